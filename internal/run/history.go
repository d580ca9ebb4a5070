package run

import (
	"context"
	"fmt"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
)

// What a sink may say of itself beyond drover.Sink.
type (
	// doubler is a sink to which a second run may add the same rows again.
	doubler interface{ Doubles() bool }
	// earlyCommitter is a sink whose committed chunks stay visible whatever becomes of the run.
	earlyCommitter interface{ CommitsEarly() bool }
)

// doubles reports whether loading the same rows again would have them in the sink twice.
func doubles(sink drover.Sink) bool {
	d, ok := sink.(doubler)
	return ok && d.Doubles()
}

// committed counts the chunks of a run into sink that are visible whatever becomes of the run: to give it up is to have the next run load them again
// (exactness.md 11).
func committed(ctx context.Context, l ledger.Ledger, sink drover.Sink, uid string) (int64, error) {
	if c, ok := sink.(earlyCommitter); !ok || !c.CommitsEarly() {
		return 0, nil
	}
	t, err := l.Totals(ctx, uid, 0)
	if err != nil {
		return 0, fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	return t.Chunks[ledger.ChunkFinished], nil
}

// pruned tells of a finished run of which the ledger has no more than its end.
func (r *runner) pruned(run ledger.Run) Summary {
	r.events.send(monitor.Ended{
		Run: run.ID, State: string(run.State), Sink: r.o.Job.Sink.String(), Published: run.State == ledger.Finished,
		FinishedAt: run.FinishedAt, PrunedAt: run.PrunedAt, PeakMemory: r.events.peakMemory(),
	})
	return Summary{
		Run: run.ID, Job: run.Job, State: string(run.State), Engine: r.o.EngineName, Resumed: r.resumed, Seconds: time.Since(r.begun).Seconds(),
		PeakMemoryBytes: r.events.peakMemory(), PrunedAt: &run.PrunedAt,
	}
}

// refuseRetryOfNothing keeps --retry-errors from starting a run: after a finished one it would load everything again.
func (r *runner) refuseRetryOfNothing(context.Context) error {
	if !r.o.RetryErrors {
		return nil
	}
	return drover.Errorf(drover.Invalid, "job %s has no unfinished run whose errors could be retried", r.plan.Job).
		WithHint("drover status lists the runs; without --retry-errors the command starts a new one")
}

// refuseSecondAppend keeps a late second machine from loading everything twice (exactness.md 3). Of keys that are new nothing is loaded
// twice.
func (r *runner) refuseSecondAppend(ctx context.Context) error {
	if !doubles(r.o.Job.Sink) || !r.o.Shared || r.o.Name != "" || r.o.New || r.o.Job.Frame.Chunk.NewKeys {
		return nil
	}
	same := ledger.Past{Job: r.plan.Job, Fingerprint: r.plan.Fingerprint, States: []ledger.RunState{ledger.Finished}}
	for run, err := range r.ledger.History(ctx, same) {
		if err != nil {
			return fmt.Errorf("look for earlier runs: %w", err)
		}
		return drover.Errorf(drover.Invalid, "run %s of this very job has finished, and on a shared ledger a second append would load everything twice", run.ID).
			WithHint("name the run with --run NAME, so that a late machine finds it finished, or load again with --new")
	}
	return nil
}

// refuseTwoPlans keeps runs of different names from loading the same new keys side by side: of those that begin together, the one that the
// ledger saw first goes on.
func (r *runner) refuseTwoPlans(ctx context.Context) error {
	if !r.o.Job.Frame.Chunk.NewKeys {
		return nil
	}
	unfinished := ledger.Past{
		Job: r.plan.Job, Before: r.run.UID, States: []ledger.RunState{ledger.Planned, ledger.Open, ledger.Publishing, ledger.Failed},
	}
	for run, err := range r.ledger.History(ctx, unfinished) {
		if err != nil {
			return fmt.Errorf("look for unfinished runs: %w", err)
		}
		return drover.Errorf(drover.Invalid, "run %s of this job is %s, and which keys are new is known only when it has ended", run.ID, run.State).
			WithHint("finish it with --run %s, or wait for it", run.ID)
	}
	return nil
}

// refuseMixture keeps steps that were mended although nothing failed from being used for the rest of a run: part of its rows would be those
// of the old steps, without anything that said so (exactness.md 4).
func (r *runner) refuseMixture(ctx context.Context) error {
	t, err := r.ledger.Totals(ctx, r.run.UID, 0)
	if err != nil {
		return fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	if t.Chunks[ledger.ChunkError] > 0 {
		return nil
	}
	return drover.Errorf(drover.Invalid, "no chunk of run %s has failed in its steps, which have changed since it began: the other chunks would be done with other steps than the %d finished ones",
		r.run.ID, t.Chunks[ledger.ChunkFinished]).WithHint("undo the change to resume it, or start afresh with --new")
}
