package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/machine"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/plan"
)

// busyPoll is how often a driver looks whether another one has finished planning.
const busyPoll = 200 * time.Millisecond

// evictDead ends the leases of drivers that ran in this place and are gone, so that a resume need not wait for them to expire.
func (r *runner) evictDead(ctx context.Context) error {
	_, err := r.ledger.Evict(ctx, r.run.UID, func(holder string) bool {
		driver, ok := machine.ParseDriver(holder)
		return ok && driver.Gone()
	})
	if err != nil {
		return fmt.Errorf("end the leases of drivers that are gone: %w", err)
	}
	return nil
}

// begin finds or makes the run and brings it to the point where chunks can be claimed.
func (r *runner) begin(ctx context.Context) (ledger.Role, error) {
	unwanted := r.o.New // until this driver has begun a run of its own
	for {
		run, role, err := r.ledger.Begin(ctx, ledger.Request{
			Job: r.plan.Job, Fingerprint: r.plan.Fingerprint, Name: r.o.Name, Driver: r.driver, Lease: r.o.Lease, Engine: r.o.EngineName,
			Version: r.o.Version,
		})
		r.run = run
		switch {
		case errors.Is(err, ledger.ErrBusy):
			if err := r.evictDead(ctx); err != nil {
				return 0, err
			}
			if err := sleep(ctx, busyPoll); err != nil {
				return 0, err
			}
			continue
		case errors.Is(err, ledger.ErrVersion) && !unwanted:
			return 0, r.otherVersion()
		case errors.Is(err, ledger.ErrMeaning) && r.o.RetryErrors:
			return ledger.Work, r.retryErrors(ctx)
		case errors.Is(err, ledger.ErrMeaning) && !unwanted:
			return 0, r.otherMeaning()
		case errors.Is(err, ledger.ErrMeaning) || errors.Is(err, ledger.ErrVersion):
			if err := r.abandon(ctx); err != nil {
				return 0, err
			}
			continue
		case err != nil:
			return 0, fmt.Errorf("begin the run in the ledger: %w", err)
		}
		switch {
		case run.State == ledger.Abandoned:
			return 0, drover.Errorf(drover.Invalid, "run %s of this job was abandoned, and cannot be taken up again", run.ID).
				WithHint("name another run with --run")
		case role == ledger.Plan:
			unwanted = false
			if again, err := r.planRun(ctx); err != nil || !again {
				return ledger.Work, err
			}
			continue
		case unwanted:
			if err := r.abandon(ctx); err != nil {
				return 0, err
			}
			continue
		case r.o.RetryErrors && run.State == ledger.Failed && run.Version != r.o.Version:
			return 0, r.otherVersion()
		case r.o.RetryErrors:
			return ledger.Work, r.retryErrors(ctx)
		case role == ledger.Done:
			return role, r.showFailed(ctx)
		}
		over, err := r.joinLate(ctx, r.resume(ctx))
		if over {
			role = ledger.Done
		}
		return role, err
	}
}

// otherVersion refuses an unfinished run of another version of drover: its plan, its receipts and what is staged are that version's.
func (r *runner) otherVersion() error {
	theirs := r.run.Version
	if theirs == "" {
		theirs = "an earlier version"
	}
	e := drover.Errorf(drover.Refused, "run %s of this job is unfinished (%s), and drover %s began it: this is drover %s, and a run is of one version", r.run.ID, r.run.State, theirs, r.o.Version)
	if r.o.Name != "" {
		return e.WithHint("to go on with it, use drover %s on every machine; else name another run with --run, or abandon this one with --new and without --run", theirs)
	}
	return e.WithHint("to go on with it, use drover %s on every machine; drover run --new abandons it and starts afresh", theirs)
}

// joinLate looks whether the run ended while this driver was about to join it, and found, or did not find, what its end takes away.
func (r *runner) joinLate(ctx context.Context, cause error) (over bool, err error) {
	if cause == nil {
		return false, nil
	}
	now, err := r.ledger.Run(ctx, "", r.run.UID)
	if err == nil && now.State == ledger.Finished {
		return true, r.late(ctx)
	}
	return false, cause
}

// resume takes up a run that is open already, here or on another machine.
func (r *runner) resume(ctx context.Context) error {
	r.resumed = true
	if err := json.Unmarshal(r.run.Doc, &r.doc); err != nil {
		return fmt.Errorf("decode the plan of run %s: %w", r.run.ID, err)
	}
	r.plan = r.doc.Plan
	if err := r.sameEnds(); err != nil {
		return err
	}
	if r.doc.Published {
		return nil // all that is left is to say that it is finished
	}
	if err := r.checkMarks(ctx); err != nil {
		return err
	}
	if err := r.checkOnly(ctx); err != nil {
		return err
	}
	if err := r.evictDead(ctx); err != nil {
		return err
	}
	if err := r.resumeSource(ctx); err != nil {
		return err
	}
	if _, err := r.sources(ctx); err != nil {
		return err // before anything more is read in vain
	}
	if r.o.DryRun {
		return nil
	}
	var err error
	before := r.sinkRun(r.doc.SinkState)
	err = r.patiently(ctx, theTarget, lost, func() (err error) {
		r.doc.SinkState, err = r.bound.Sink.Begin(ctx, before, r.plan.Stages[0].Output)
		return err
	})
	if err != nil {
		return err
	}
	return r.resumeRejects(ctx)
}

// resumeSource takes the source up, unless all of it has been read: a snapshot that has ended is nothing to a run that is left to be published.
func (r *runner) resumeSource(ctx context.Context) error {
	t, err := r.ledger.Totals(ctx, r.run.UID, 0)
	if err != nil {
		return fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	if n := t.Total(); n > 0 && t.Chunks[ledger.ChunkFinished] == n {
		return nil
	}
	planned := r.doc.SourceState
	return r.patiently(ctx, theSource, lost, func() (err error) {
		r.doc.SourceState, err = r.bound.Source.Begin(ctx, r.o.Job.Frame.Chunk, planned)
		return err
	})
}

// sameEnds checks that this process sees the source and the target that the run was planned with (exactness.md 2).
func (r *runner) sameEnds() error {
	for _, end := range []struct{ what, planned, here string }{
		{"source", r.doc.SourceIdentity, r.bound.SourceIdentity},
		{"target", r.doc.SinkIdentity, r.bound.Check.Identity},
		{"folder of the rejects", r.doc.RejectsIdentity, r.bound.RejectsCheck.Identity},
	} {
		if r.o.RetryErrors && end.planned == "" {
			continue // rejects that the job did not have before
		}
		if end.planned != end.here {
			return drover.Errorf(drover.Refused, "the %s is not the one that run %s was planned with: %s there, %s here", end.what, r.run.ID, end.planned, end.here).
				WithHint("point the job at the same %s, or start afresh with --new", end.what)
		}
	}
	return nil
}

// retryErrors opens the failed run again, with the steps as they are now (exactness.md 4).
func (r *runner) retryErrors(ctx context.Context) error {
	fresh := r.plan
	if err := r.resume(ctx); err != nil {
		return err
	}
	if r.run.Fingerprint != fresh.Fingerprint {
		if what := differsBeyondSteps(r.doc.Plan, fresh); what != "" {
			return drover.Errorf(drover.Invalid, "run %s cannot be retried: the %s of the job changed since it began", r.run.ID, what).
				WithHint("--retry-errors accepts mended steps only; undo the change, or start afresh with --new")
		}
		if err := r.refuseMixture(ctx); err != nil {
			return err
		}
		if r.last() > 0 {
			fresh = fresh.Merged()
		}
		r.plan, r.doc.Plan, r.doc.Functions, r.doc.Set = fresh, fresh, r.bound.Functions, r.o.Set
		if r.doc.RejectsState == nil && !r.o.DryRun {
			if err := r.beginRejects(ctx, &r.doc); err != nil {
				return err
			}
		}
		data, err := json.Marshal(r.doc)
		if err != nil {
			return fmt.Errorf("encode the run's plan: %w", err)
		}
		if err := r.ledger.SetDoc(ctx, r.run.UID, fresh.Fingerprint, data); err != nil {
			return fmt.Errorf("record the mended steps: %w", err)
		}
	}
	if err := r.forgetJudgement(ctx); err != nil {
		return err
	}
	if _, err := r.ledger.RetryErrors(ctx, r.run.UID, r.onlyKeys()); err != nil {
		return fmt.Errorf("return failed chunks to pending: %w", err)
	}
	r.run.State = ledger.Open
	return nil
}

// differsBeyondSteps says what else than its steps changed between two plans of a job; "" if nothing did.
func differsBeyondSteps(a, b plan.Plan) string {
	s, t := a.Stages[0], b.Stages[0]
	switch {
	case !bytes.Equal(s.Source.Meaning, t.Source.Meaning):
		return "source"
	case s.Chunk != t.Chunk:
		return "chunking"
	case !bytes.Equal(s.Sink.Meaning, t.Sink.Meaning):
		return "sink"
	case a.Rejects != nil && (b.Rejects == nil || !bytes.Equal(a.Rejects.Sink.Meaning, b.Rejects.Sink.Meaning)):
		return "place of the rejects" // new ones may be added: the chunks that are finished had none
	case a.Timezone != b.Timezone:
		return "time zone"
	case !sameOutput(s, t):
		return "output schema"
	}
	return ""
}

// sameOutput reports whether the sink gets the same columns from two plans' stages. That a step makes a column now, or no longer does, is no
// difference where the target's column is of the same type either way.
func sameOutput(s, t plan.Stage) bool {
	if len(s.Output) != len(t.Output) {
		return false
	}
	target := len(s.Types) == len(s.Output) && slices.Equal(s.Types, t.Types)
	for i, c := range s.Output {
		d := t.Output[i]
		if c.Name != d.Name || c.Type != d.Type || c.Native != d.Native && (!target || c.Type == "" || c.Collation != d.Collation) {
			return false
		}
	}
	return true
}

// abandon gives up the unfinished run in r.run for --new (exactness.md 11).
func (r *runner) abandon(ctx context.Context) error {
	var old doc
	if len(r.run.Doc) > 0 {
		if err := json.Unmarshal(r.run.Doc, &old); err != nil {
			return fmt.Errorf("decode the plan of run %s: %w", r.run.ID, err)
		}
	}
	if len(r.run.Doc) > 0 {
		if err := r.undo(ctx, old); err != nil {
			return err
		}
	}
	if err := r.ledger.Close(ctx, r.run.UID, ledger.Abandoned, "abandoned by --new"); err != nil {
		return fmt.Errorf("abandon run %s: %w", r.run.ID, err)
	}
	return nil
}

// undo removes what the unfinished run in r.run staged in this job's target. A run into another target cannot be undone from here: its
// address is not in the ledger.
func (r *runner) undo(ctx context.Context, old doc) error {
	if old.SinkIdentity != r.bound.Check.Identity {
		r.events.send(monitor.Warning{Text: fmt.Sprintf("what run %s staged in %s stays there: this job writes elsewhere", r.run.ID, old.Plan.Stages[0].Sink.Text)})
		return nil
	}
	if !r.o.KeepCommitted {
		n, err := committed(ctx, r.ledger, r.o.Job.Sink, r.run.UID)
		if err != nil {
			return err
		}
		if n > 0 {
			goOn := "resume it with the same command without --new"
			if r.run.State == ledger.Failed {
				goOn = "retry what failed with the same command with --retry-errors in place of --new"
			}
			return drover.Errorf(drover.Refused, "run %s has %d committed chunks in %s; a new run would load them a second time", r.run.ID, n, r.o.Job.Sink).
				WithHint("%s, or accept its rows with --new --keep-committed", goOn)
		}
	}
	if _, err := r.bound.Sink.Abort(ctx, r.sinkRun(old.SinkState)); err != nil {
		return fmt.Errorf("undo what run %s staged: %w", r.run.ID, err)
	}
	if err := r.abortRejects(ctx, old); err != nil {
		return err
	}
	r.doc = old
	return r.unmark(ctx)
}

// showFailed lists what failed in a run that is over.
func (r *runner) showFailed(ctx context.Context) error {
	r.resumed = true
	for c, err := range r.ledger.Chunks(ctx, r.run.UID, ledger.ChunkError) {
		if err != nil {
			return fmt.Errorf("read the failed chunks: %w", err)
		}
		r.events.send(monitor.ChunkFailed{By: r.by(c.Stage), Key: c.Key, Error: c.Error, Attempts: c.Attempts, Losses: c.Losses, Final: true, Budget: budget(c.Error)})
	}
	return nil
}

// sinkRun is the run as the sink knows it.
func (r *runner) sinkRun(state json.RawMessage) connector.Run {
	return connector.Run{UID: r.run.UID, ID: r.run.ID, Job: r.run.Job, Stage: 0, StartedAt: r.run.StartedAt, State: state}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
