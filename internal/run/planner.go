package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/machine"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/redact"
)

// planning is what a planner has done so far.
type planning struct {
	doc doc
	// staged says that something may be in the target.
	staged bool
}

// unread is an error of the source while it was read for a plan. What the plan has so far is of no use then: the chunks that are in the ledger, the snapshot
// that they were cut in.
type unread struct{ error }

func (e unread) Unwrap() error { return e.error }

// planRun plans the new run in r.run under the planner's lease. again says that the source was lost, that the lease was, or that nobody knows whether the run
// was opened: this driver, or whoever else takes the run's place, plans anew, or has opened it.
func (r *runner) planRun(ctx context.Context) (again bool, err error) {
	held, stop := context.WithCancelCause(ctx)
	var beat sync.WaitGroup
	beat.Go(func() { r.keepLease(held, stop) })
	var p planning
	if err = r.forgetReplaced(held); err == nil {
		err = r.start(held, &p)
	}
	var source unread
	again = errors.As(err, &source) && r.again(held, &r.unplanned, lost, source.error) // with the lease: others would only find the same
	stop(nil)
	beat.Wait()
	if again {
		r.replaced = r.run.UID
	}
	if err == nil || again {
		return again, nil
	}
	return r.giveUp(context.WithoutCancel(ctx), p, stopped(ctx, err))
}

// forgetReplaced removes the run in whose place the ledger has put r.run, because this driver plans once more. It has staged nothing.
func (r *runner) forgetReplaced(ctx context.Context) error {
	if r.replaced == "" {
		return nil
	}
	uid := r.replaced
	r.replaced = ""
	return r.ledger.Forget(ctx, uid)
}

// giveUp removes the run in r.run, which could not be planned because of err, unless another driver has it by now.
func (r *runner) giveUp(ctx context.Context, p planning, err error) (again bool, _ error) {
	switch now, lost := r.ledger.Run(ctx, "", r.run.UID); {
	case lost != nil && !errors.Is(lost, ledger.ErrNotFound):
		return false, errors.Join(err, lost)
	case lost == nil && now.UID == r.run.UID && (now.State == ledger.Open || now.State == ledger.Publishing || now.State == ledger.Finished):
		return true, nil // the answer was lost, not the change
	}
	switch lost := r.ledger.Renew(ctx, r.run.UID, r.driver, r.o.Lease); {
	case errors.Is(lost, ledger.ErrFenced) || errors.Is(lost, ledger.ErrNotFound):
		return true, r.discard(ctx, r.run, p)
	case lost != nil:
		return false, errors.Join(err, lost)
	}
	var left error
	if p.staged {
		left = r.unstage(ctx, r.run, p)
	}
	err = errors.Join(err, left, r.ledger.Close(ctx, r.run.UID, ledger.Abandoned, redact.Passwords("not planned: "+err.Error())))
	if left != nil {
		return false, err // drover prune finds by the run what is left
	}
	return false, errors.Join(err, r.ledger.Forget(ctx, r.run.UID))
}

// start plans a new run: source and sink are made ready, and all chunks go into the ledger.
func (r *runner) start(ctx context.Context, p *planning) error {
	for _, refuse := range []func(context.Context) error{r.refuseRetryOfNothing, r.refuseSecondAppend, r.refuseTwoPlans} {
		if err := refuse(ctx); err != nil {
			return err
		}
	}
	past, err := r.loadedKeys(ctx)
	if err != nil {
		return err
	}
	chunking := r.o.Job.Frame.Chunk
	stage := r.plan.Stages[0]
	d := &p.doc
	*d = doc{Plan: r.plan, Functions: r.bound.Functions, SourceIdentity: r.bound.SourceIdentity, SinkIdentity: r.bound.Check.Identity, Host: machine.NewDriver().Host, Set: r.o.Set}
	if d.SourceState, err = r.bound.Source.Begin(ctx, chunking, nil); err != nil {
		return unread{err}
	}
	fault.Point(ctx)
	planned := monitor.Planned{
		Job: r.plan.Job, Source: r.o.Job.Frame.Source.String(), Sink: r.o.Job.Sink.String(), By: chunking.By,
		Path: stage.Path(), Notes: stage.Notes,
	}
	only := r.watchOnly()
	var sample Sample
	chunks := numbered(past.New(r.bound.Source.Chunks(ctx, chunking, d.SourceState)), &planned, only, &sample)
	if err := r.ledger.AddChunks(ctx, r.run.UID, r.driver, 0, chunks); err != nil {
		return fmt.Errorf("cut the source into chunks: %w", err)
	}
	if err := only.err(); err != nil {
		return err
	}
	planned.Loaded = past.Skipped()
	fault.Point(ctx)
	if err := r.chooseLayout(ctx, d, &sample); err != nil {
		return err
	}
	planned.Notes = d.Plan.Stages[0].Notes
	r.back(&r.unplanned)
	if err := r.stage(ctx, p); err != nil {
		return err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode the run's plan: %w", err)
	}
	if err := r.ledger.Start(ctx, r.run.UID, r.driver, data); err != nil {
		return fmt.Errorf("open the run in the ledger: %w", err)
	}
	fault.Point(ctx)
	r.doc, r.plan = *d, d.Plan
	r.run.State = ledger.Open
	r.events.send(planned)
	return nil
}

// stage makes the target ready. It comes last, because a source that cannot be cut must leave the target untouched.
func (r *runner) stage(ctx context.Context, p *planning) error {
	deserted, err := r.deserted(ctx)
	if err != nil {
		return err
	}
	if !r.o.DryRun {
		for _, old := range deserted {
			if err := r.unstage(ctx, old, planning{}); err != nil {
				return fmt.Errorf("remove what the planner of run %s left: %w", old.ID, err)
			}
		}
		run := r.sinkRun(nil)
		if run.Fence, err = r.ledger.Fence(ctx); err != nil {
			return fmt.Errorf("identify the ledger's database: %w", err)
		}
		p.staged = true
		err = r.patiently(ctx, theTarget, lost, func() (err error) {
			p.doc.SinkState, err = r.bound.Sink.Begin(ctx, run, r.plan.Stages[0].Output)
			return err
		})
		if err != nil {
			return err
		}
		if err := r.beginRejects(ctx, &p.doc); err != nil {
			return err
		}
	}
	fault.Point(ctx)
	if err := r.mark(ctx, &p.doc); err != nil {
		return err
	}
	for _, old := range deserted {
		if err := errors.Join(r.unmarkOf(ctx, old.UID, p.doc), r.ledger.Forget(ctx, old.UID)); err != nil {
			return fmt.Errorf("remove what the planner of run %s left: %w", old.ID, err)
		}
	}
	return nil
}

// numbered gives chunks their IDs, sums them up in planned and shows them to only and sample.
func numbered(chunks iter.Seq2[connector.Chunk, error], planned *monitor.Planned, only *onlyWatch, sample *Sample) iter.Seq2[connector.Chunk, error] {
	return func(yield func(connector.Chunk, error) bool) {
		planned.Chunks, planned.Rows, planned.Bytes = 0, 0, 0
		*sample = Sample{}
		for c, err := range chunks {
			c.ID = planned.Chunks
			planned.Chunks++
			planned.Rows += c.Rows
			planned.Bytes += c.Bytes
			only.add(c.Key)
			sample.Add(c)
			if err != nil {
				err = unread{err}
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// discard removes what a run has staged that was never opened and never will be, and the run itself.
func (r *runner) discard(ctx context.Context, run ledger.Run, p planning) error {
	if err := r.unstage(ctx, run, p); err != nil {
		return fmt.Errorf("remove what the planner of run %s left: %w", run.ID, err)
	}
	return r.ledger.Forget(ctx, run.UID)
}

// unstage removes what a run that was never opened has left, with its marks at the places of p.
func (r *runner) unstage(ctx context.Context, run ledger.Run, p planning) error {
	never := connector.Run{UID: run.UID, ID: run.ID, Job: run.Job, StartedAt: run.StartedAt}
	_, err := r.bound.Sink.Abort(ctx, never)
	if r.bound.Rejects != nil {
		_, rejectsErr := r.bound.Rejects.Abort(ctx, never)
		err = errors.Join(err, r.rejectsError(rejectsErr, "undo"))
	}
	return errors.Join(err, r.unmarkOf(ctx, run.UID, p.doc))
}

// deserted lists the runs of the job whose planners fell silent. Each planner sweeps them, before it begins in the target and once it knows where marks are.
func (r *runner) deserted(ctx context.Context) ([]ledger.Run, error) {
	var runs []ledger.Run
	for run, err := range r.ledger.History(ctx, ledger.Past{Job: r.plan.Job, Deserted: true}) {
		if err != nil {
			return nil, fmt.Errorf("look for runs whose planners fell silent: %w", err)
		}
		runs = append(runs, run)
	}
	return runs, nil
}
