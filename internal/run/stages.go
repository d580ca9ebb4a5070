package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
)

// exchange is what lies between the two stages of a run that merges (exactness.md 18); nil where a run has one.
type exchange struct {
	spools connector.Spools
	// state is what merge tasks are told of the spools, and inputs its digest: a merge receipt says by it which spools it has read.
	state  json.RawMessage
	inputs string
}

// openExchange makes r.exchange where the plan has two stages.
func (r *runner) openExchange() error {
	if !r.plan.Spools(0) {
		return nil
	}
	sink, ok := r.bound.Sink.(connector.Spooler)
	if !ok {
		return fmt.Errorf("%s has no spools", r.o.Job.Sink)
	}
	spools, err := sink.Spools(r.plan.Stages[0].Output)
	if err != nil {
		return fmt.Errorf("prepare the merge: %w", err)
	}
	r.exchange = &exchange{spools: spools}
	return nil
}

// last is the number of the stage that writes what is published.
func (r *runner) last() int { return len(r.plan.Stages) - 1 }

// runOf is the run as a stage's sink knows it.
func (r *runner) runOf(stage int) connector.Run {
	run := r.sinkRun(r.doc.SinkState)
	run.Stage = stage
	if stage > 0 {
		run.Inputs = r.exchange.inputs
	}
	return run
}

// stages works on one stage after the other and says how the last one ended that was begun.
func (r *runner) stages(ctx context.Context) (end, error) {
	for {
		end, err := r.process(ctx, 0)
		if err != nil || end != complete || r.exchange == nil {
			return end, err
		}
		if ready, end, err := r.prepareMerge(ctx); err != nil || end == elsewhere {
			return end, err
		} else if !ready {
			continue
		}
		if end, err = r.process(ctx, 1); drover.KindOf(err) != drover.Fenced {
			return end, err
		}
		// A spool was lost while it was needed, or the run was closed.
		if ready, end, again := r.prepareMerge(ctx); again != nil || ready {
			return 0, err
		} else if end == elsewhere {
			return end, nil
		}
	}
}

// prepareMerge sees to it that the spools are there and that the merge has chunks. Where spools are gone their chunks return to pending, and it is not
// ready. elsewhere says that another driver has gone on meanwhile.
func (r *runner) prepareMerge(ctx context.Context) (ready bool, _ end, err error) {
	if err := r.readInputs(ctx); err != nil {
		return false, 0, err
	}
	merge, err := r.ledger.Totals(ctx, r.run.UID, 1)
	if err != nil {
		return false, 0, fmt.Errorf("read the merge's totals from the ledger: %w", err)
	}
	if n := merge.Total(); n > 0 && merge.Chunks[ledger.ChunkFinished] == n {
		return true, 0, nil // nobody needs the spools any more
	}
	gone, err := r.exchange.spools.Verify(ctx, r.runOf(0), r.ledger.Receipts(ctx, r.run.UID, 0))
	if err != nil {
		return false, 0, fmt.Errorf("compare the spools with the ledger: %w", err)
	}
	if len(gone) > 0 {
		err := r.ledger.Reopen(ctx, r.run.UID, 0, gone, "its spool is gone")
		if errors.Is(err, ledger.ErrFenced) {
			return false, elsewhere, nil
		}
		if err != nil {
			return false, 0, fmt.Errorf("return lost chunks to pending: %w", err)
		}
		r.events.send(monitor.Warning{Text: fmt.Sprintf("the spools of %d finished chunks are gone, and they are done again", len(gone))})
		return false, 0, nil
	}
	if again, err := r.verifyRejects(ctx); err != nil || again {
		return false, 0, err
	}
	return r.addMerge(ctx)
}

// addMerge puts the merge's chunks into the ledger, unless they are there already.
func (r *runner) addMerge(ctx context.Context) (ready bool, _ end, err error) {
	first, err := r.ledger.Totals(ctx, r.run.UID, 0)
	if err != nil {
		return false, 0, fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	slots, err := r.o.Engine.Slots(ctx)
	if err != nil {
		return false, 0, err
	}
	chunks, err := r.exchange.spools.Cut(r.runOf(0), r.ledger.Receipts(ctx, r.run.UID, 0), mergeSize(first.BytesOut, int64(slots)))
	if err != nil {
		return false, 0, fmt.Errorf("cut the merge into chunks: %w", err)
	}
	fault.Point(ctx)
	err = r.ledger.AddStage(ctx, r.run.UID, 1, chunks)
	if errors.Is(err, ledger.ErrFenced) {
		return false, elsewhere, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("add the merge to the ledger: %w", err)
	}
	fault.Point(ctx)
	return true, 0, nil
}

// readInputs finds out which spools the ledger names now. A driver whose list is older than that writes receipts that do not count: the rows of a
// chunk whose spool was written again may be others, where its source has changed.
func (r *runner) readInputs(ctx context.Context) error {
	if r.exchange == nil {
		return nil
	}
	state, err := r.exchange.spools.State(r.sinkRun(r.doc.SinkState), r.ledger.Receipts(ctx, r.run.UID, 0))
	if err != nil {
		return fmt.Errorf("list the spools: %w", err)
	}
	sum := sha256.Sum256(state)
	r.exchange.state, r.exchange.inputs = state, hex.EncodeToString(sum[:])
	return nil
}

// checkMerge refuses to publish what does not have every row of the first stage.
func (r *runner) checkMerge(ctx context.Context) error {
	if r.exchange == nil {
		return nil
	}
	var rows [2]int64
	for stage := range rows {
		t, err := r.ledger.Totals(ctx, r.run.UID, stage)
		if err != nil {
			return fmt.Errorf("read the run's totals from the ledger: %w", err)
		}
		rows[stage] = t.RowsOut
	}
	if rows[0] != rows[1] {
		return drover.Errorf(drover.Refused, "the merge wrote %d rows, and its spools hold %d: nothing was published", rows[1], rows[0]).
			WithHint("start afresh with --new, and please report this")
	}
	return nil
}
