package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/redact"
)

// publish checks the target against the ledger and makes the result visible. again says that chunks were gone from the target
// and returned to pending, or that the lease was lost, so there is something to do first.
func (r *runner) publish(ctx context.Context) (again bool, err error) {
	if r.o.DryRun {
		if err := r.judgeRehearsed(ctx, false); err != nil {
			return false, err
		}
		return false, r.close(ctx, "dry run: nothing was written")
	}
	for {
		err := r.ledger.AcquirePublish(ctx, r.run.UID, r.driver, r.o.Lease)
		if err == nil {
			break
		}
		if errors.Is(err, ledger.ErrFenced) {
			return r.othersDid(ctx)
		}
		if !errors.Is(err, ledger.ErrBusy) {
			return false, fmt.Errorf("take the publish lease: %w", err)
		}
		if err := r.evictDead(ctx); err != nil {
			return false, err
		}
		if err := sleep(ctx, busyPoll); err != nil {
			return false, drover.Errorf(drover.Interrupted, "stopped while another process publishes run %s", r.run.ID)
		}
	}
	held, stop := context.WithCancelCause(ctx)
	var beat sync.WaitGroup
	beat.Go(func() { r.keepLease(held, stop) })
	defer func() {
		stop(nil)
		beat.Wait()
	}()
	again, err = r.publishHeld(held)
	if err != nil && errors.Is(context.Cause(held), ledger.ErrFenced) {
		return true, nil // another driver took over: see what becomes of it
	}
	if err == nil {
		r.back(&r.unpublished)
	} else if r.again(ctx, &r.unpublished, passing, err) { // publishing is idempotent, and looks what is done already
		return true, nil
	}
	return again, err
}

// passing is the patience with what time may mend: a server that is away, a disk that is full.
func passing(e *drover.Error, _ bool) time.Duration {
	if mendable(e.Kind) {
		return outage
	}
	return 0
}

// publishHeld publishes under the lease, which ctx ends with.
func (r *runner) publishHeld(ctx context.Context) (again bool, err error) {
	fault.Point(ctx)
	if r.doc.Published {
		return false, r.close(ctx, "")
	}
	if err := r.readInputs(ctx); err != nil {
		return false, err
	}
	last := r.last()
	run := r.runOf(last)
	gone, err := r.bound.Sink.Verify(ctx, run, r.ledger.Receipts(ctx, r.run.UID, last))
	if err != nil {
		return false, fmt.Errorf("compare the target with the ledger: %w", err)
	}
	if len(gone) > 0 {
		r.events.send(monitor.Warning{Text: fmt.Sprintf("%d finished chunks are gone from %s and are done again", len(gone), r.o.Job.Sink)})
		if err := r.forgetJudgement(ctx); err != nil {
			return false, err
		}
		if err := r.ledger.Reopen(ctx, r.run.UID, last, gone, "gone from the target"); err != nil {
			return false, fmt.Errorf("return lost chunks to pending: %w", err)
		}
		return true, nil
	}
	if err := r.checkMerge(ctx); err != nil {
		return false, err
	}
	if again, err := r.verifyRejects(ctx); err != nil || again {
		return again, err
	}
	if pass, err := r.judge(ctx); err != nil || !pass {
		return false, err
	}
	if err := r.keepPublishing(ctx); err != nil {
		return false, err
	}
	r.events.send(monitor.Publishing{Sink: r.o.Job.Sink.String()})
	fault.Point(ctx)
	published, err := r.bound.Sink.Publish(ctx, run, r.plan.Stages[last].Output, r.ledger.Receipts(ctx, r.run.UID, last))
	if err != nil {
		return false, fmt.Errorf("publish: %w", err)
	}
	fault.Point(ctx)
	if err := r.publishRejects(ctx); err != nil {
		return false, err
	}
	fault.Point(ctx)
	r.warnOfFiles(published.Files)
	if err := r.warnOfNothing(ctx); err != nil {
		return false, err
	}
	if err := r.keepPublished(ctx, published.Files); err != nil {
		return false, err
	}
	return false, r.close(ctx, "")
}

// warnOfFiles says what would have been right where the estimate of the partitions was much too low.
func (r *runner) warnOfFiles(files int64) {
	sink, ok := r.bound.Sink.(connector.Spooler)
	if !ok || r.exchange != nil || len(sink.Partitions()) == 0 || files <= 2*sink.FileBudget() {
		return
	}
	r.events.send(monitor.Warning{Text: fmt.Sprintf("the tasks left %d files, and max_files is %d: there are more partitions than a sample showed, or chunks were done in parts for want of memory; max_files: 1 has them merged",
		files, sink.FileBudget())})
}

// warnOfNothing says that no row passed the steps. It is a result like any other, and seldom the one that was wanted.
func (r *runner) warnOfNothing(ctx context.Context) error {
	t, err := r.ledger.Totals(ctx, r.run.UID, r.last())
	if err != nil {
		return fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	if t.RowsOut == 0 && len(r.o.Job.Frame.Steps) > 0 {
		r.events.send(monitor.Warning{Text: "no row passed the steps: the result has its columns and no rows"})
	}
	return nil
}

// keepPublished records that everything is visible, and how many files that were, for those who only find the run finished, or closed by half: its marks go
// before it ends.
func (r *runner) keepPublished(ctx context.Context, files int64) error {
	r.doc.Published, r.doc.Files = true, files
	data, err := json.Marshal(r.doc)
	if err != nil {
		return fmt.Errorf("encode the run's plan: %w", err)
	}
	if err := r.ledger.SetDoc(ctx, r.run.UID, r.plan.Fingerprint, data); err != nil {
		return fmt.Errorf("record what was published: %w", err)
	}
	fault.Point(ctx)
	return nil
}

func (r *runner) close(ctx context.Context, message string) error {
	if err := r.unmark(ctx); err != nil {
		return err
	}
	fault.Point(ctx)
	if err := r.ledger.Close(ctx, r.run.UID, ledger.Finished, message); err != nil {
		return fmt.Errorf("record that the run is finished: %w", err)
	}
	fault.Point(ctx)
	r.keepRecent(ctx)
	return nil
}

// keepRecent removes the job's runs that are older than the job keeps them. The run that has just finished stands whatever becomes of that.
func (r *runner) keepRecent(ctx context.Context) {
	if r.o.Job.Keep == 0 || r.o.DryRun {
		return
	}
	_, err := Prune(ctx, r.ledger, PruneOptions{
		Registry: r.o.Registry, Job: r.plan.Job, Age: r.o.Job.Keep, Sink: r.bound.Sink, Source: r.bound.Source, Rejects: r.bound.Rejects,
	})
	if err != nil {
		r.events.send(monitor.Warning{Text: redact.Passwords(fmt.Sprintf("the run is finished, but older runs could not be removed: %v", err))})
	}
}

// othersDid looks what became of a run that cannot be published any more.
func (r *runner) othersDid(ctx context.Context) (again bool, err error) {
	run, err := r.ledger.Run(ctx, "", r.run.UID)
	if err != nil {
		return false, fmt.Errorf("read the run from the ledger: %w", err)
	}
	if run.State == ledger.Finished || run.State == ledger.Abandoned {
		if err := r.late(ctx); err != nil {
			return false, err
		}
	}
	switch run.State {
	case ledger.Finished, ledger.Failed:
		return false, nil
	case ledger.Abandoned:
		return false, drover.Errorf(drover.Refused, "run %s was abandoned by another process", r.run.ID)
	}
	return true, nil
}

// late removes what this driver made anew when it joined a run that another one was about to end.
func (r *runner) late(ctx context.Context) error {
	if !r.resumed || r.o.DryRun {
		return nil
	}
	if sink, ok := r.bound.Sink.(connector.Latecomer); ok {
		if err := sink.Late(ctx, r.sinkRun(r.doc.SinkState)); err != nil {
			return fmt.Errorf("tidy up after a run that is over: %w", err)
		}
	}
	if sink, ok := r.bound.Rejects.(connector.Latecomer); ok && r.doc.RejectsState != nil {
		return r.rejectsError(sink.Late(ctx, r.rejectsRun(&r.doc)), "tidy up")
	}
	return nil
}

// keepLease renews the lease of the planner or the publisher until ctx ends, and stops the work once the lease is lost.
func (r *runner) keepLease(ctx context.Context, stop context.CancelCauseFunc) {
	for sleep(ctx, r.o.Lease/3) == nil {
		err := r.renew(ctx)
		if err != nil && !errors.Is(err, ledger.ErrFenced) {
			err = r.renew(ctx)
		}
		if errors.Is(err, ledger.ErrFenced) {
			stop(ledger.ErrFenced)
			return
		}
	}
}

func (r *runner) renew(ctx context.Context) error {
	ctx, cancel := r.brief(ctx)
	defer cancel()
	return r.ledger.Renew(ctx, r.run.UID, r.driver, r.o.Lease)
}
