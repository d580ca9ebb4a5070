package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
	"github.com/droverdata/drover/internal/reject"
)

// rejectsRun is the run as the rejects' sink knows it. Rejects belong to the first stage: a merge moves rows that were written before.
func (r *runner) rejectsRun(d *doc) connector.Run { return r.sinkRun(d.RejectsState) }

// beginRejects makes the rejects' sink ready for a run.
func (r *runner) beginRejects(ctx context.Context, d *doc) (err error) {
	if r.bound.Rejects == nil {
		return nil
	}
	d.RejectsIdentity = r.bound.RejectsCheck.Identity
	err = r.patiently(ctx, theRejects, lost, func() (err error) {
		d.RejectsState, err = r.bound.Rejects.Begin(ctx, r.sinkRun(nil), reject.Schema())
		return err
	})
	if err == nil {
		fault.Point(ctx)
		return nil
	}
	_, abortErr := r.bound.Rejects.Abort(context.WithoutCancel(ctx), r.sinkRun(nil))
	return errors.Join(r.rejectsError(err, "prepare"), abortErr)
}

// resumeRejects makes it ready for a run that has begun before.
func (r *runner) resumeRejects(ctx context.Context) (err error) {
	if r.bound.Rejects == nil || r.doc.RejectsState == nil {
		return nil
	}
	before := r.rejectsRun(&r.doc)
	err = r.patiently(ctx, theRejects, lost, func() (err error) {
		r.doc.RejectsState, err = r.bound.Rejects.Begin(ctx, before, reject.Schema())
		return err
	})
	return r.rejectsError(err, "prepare")
}

// rejectsError gives an error of the rejects' sink its place.
func (r *runner) rejectsError(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s the rejects: %w", doing, reject.At(err, r.o.Job.Rejects.Sink))
}

// stageRejects is what the tasks of a stage need to reject rows; most is negative where they do not.
func (r *runner) stageRejects(stage int) (_ *protocol.Rejects, most int64, err error) {
	if r.o.Job.Rejects == nil || stage > 0 {
		return nil, -1, nil
	}
	into, err := r.o.Job.Rejects.Into()
	if err != nil {
		return nil, 0, err
	}
	value, err := json.Marshal(into)
	if err != nil {
		return nil, 0, fmt.Errorf("encode the rejects: %w", err)
	}
	most = r.o.Job.Rejects.Most()
	return &protocol.Rejects{Sink: protocol.Spec{Connector: into.Connector(), Value: value}, State: r.doc.RejectsState, Max: most}, most, nil
}

// overRejected reports whether more rows were rejected, as far as this process knows, than may be.
func (p *pool) overRejected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mostRejected >= 0 && p.rejected > p.mostRejected
}

// refuseRejects stops the run because of a task that has more rejects than the run may have.
func (p *pool) refuseRejects(why *drover.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rejected = max(p.rejected, p.mostRejected+1)
	if p.tooMany == nil {
		p.tooMany = why
	}
}

// tooManyRejects ends the run as failed: nothing of it is published.
func (r *runner) tooManyRejects(ctx context.Context) error {
	t, err := r.ledger.Totals(ctx, r.run.UID, 0)
	if err != nil {
		return fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	most := r.o.Job.Rejects.Most()
	e := rejectsRefused("")
	e.Message = fmt.Sprintf("%s were rejected, and rejects.max is %s", human.Plural(t.RowsRejected, "row"), human.Count(most))
	if why := r.tooMany; why != nil {
		e.Message, e.Column, e.Sample = why.Message, why.Column, why.Sample
	}
	e.Message += "; nothing is published"
	if c, ok := r.o.Job.Sink.(earlyCommitter); ok && c.CommitsEarly() && t.Chunks[ledger.ChunkFinished] > 0 && !r.o.DryRun {
		e.Message += fmt.Sprintf(", but the rows of %s are in %s", human.Plural(t.Chunks[ledger.ChunkFinished], "finished chunk"), r.o.Job.Sink)
	}
	if err := r.ledger.Close(ctx, r.run.UID, ledger.Failed, e.Message); err != nil {
		return fmt.Errorf("record that the run failed: %w", err)
	}
	return e
}

// rejectsRefused is the error of a run that failed for its rejects.
func rejectsRefused(message string) *drover.Error {
	return (&drover.Error{Kind: drover.Data, Code: connector.TooManyRejects, Field: "rejects.max", Message: message}).
		WithHint("raise rejects.max and go on with --retry-errors, or mend the steps or the source and start afresh with --new")
}

// verifyRejects looks for the rejects that the receipts name, before anything is published, and returns chunks whose rejects are gone to pending: again
// says that there are such. Where their other rows are committed those stay, and the rejects alone are found once more.
func (r *runner) verifyRejects(ctx context.Context) (again bool, err error) {
	if r.bound.Rejects == nil || r.doc.RejectsState == nil {
		return false, nil
	}
	gone, err := r.bound.Rejects.Verify(ctx, r.rejectsRun(&r.doc), reject.Receipts(r.ledger.Receipts(ctx, r.run.UID, 0)))
	if err != nil || len(gone) == 0 {
		return false, r.rejectsError(err, "compare with the ledger")
	}
	if err := r.readDoc(ctx); err != nil {
		return false, err
	}
	if r.doc.Publishing {
		return false, drover.Errorf(drover.Refused, "the staged rejects of %s are gone from %s; a publish of the rows beside them has begun, so they cannot be found again",
			human.Plural(int64(len(gone)), "chunk"), r.o.Job.Rejects).WithField("rejects").WithHint("restore the folder, and run the same command again")
	}
	if gone, err = r.writtenWith(ctx, gone); err != nil {
		return false, err
	}
	if err := r.forgetJudgement(ctx); err != nil {
		return false, err
	}
	err = r.ledger.Reopen(ctx, r.run.UID, 0, gone, "its rejects are gone")
	if errors.Is(err, ledger.ErrFenced) && r.exchange != nil {
		return false, drover.Errorf(drover.Refused, "the staged rejects of %s are gone from %s, and the rows beside them are merged already; nothing was published",
			human.Plural(int64(len(gone)), "chunk"), r.o.Job.Rejects).WithField("rejects").WithHint("start afresh with --new")
	}
	if err != nil {
		return false, fmt.Errorf("return chunks without their rejects to pending: %w", err)
	}
	r.events.send(monitor.Warning{Text: fmt.Sprintf("the staged rejects of finished chunks are gone from %s; done again: %s", r.o.Job.Rejects, human.Plural(int64(len(gone)), "chunk"))})
	return true, nil
}

// writtenWith adds the chunks that were written together with some.
func (r *runner) writtenWith(ctx context.Context, some []int64) ([]int64, error) {
	tokens := map[int64]bool{}
	for _, all := range []bool{false, true} {
		for receipt, err := range r.ledger.Receipts(ctx, r.run.UID, 0) {
			switch {
			case err != nil:
				return nil, fmt.Errorf("read the receipts from the ledger: %w", err)
			case !all && slices.Contains(some, receipt.ChunkID):
				tokens[receipt.Token] = true
			case all && tokens[receipt.Token] && !slices.Contains(some, receipt.ChunkID):
				some = append(some, receipt.ChunkID)
			}
		}
	}
	return some, nil
}

// keepPublishing records that the rows of a run with rejects may become visible.
func (r *runner) keepPublishing(ctx context.Context) error {
	if r.bound.Rejects == nil || r.doc.Publishing {
		return nil
	}
	r.doc.Publishing = true
	if err := r.writeDoc(ctx); err != nil {
		return fmt.Errorf("record that the run is published: %w", err)
	}
	fault.Point(ctx)
	return nil
}

// publishRejects makes the rejects visible, after the rows: a run whose rows cannot be published leaves none.
func (r *runner) publishRejects(ctx context.Context) error {
	if r.bound.Rejects == nil || r.doc.RejectsState == nil {
		return nil
	}
	t, err := r.ledger.Totals(ctx, r.run.UID, 0)
	if err != nil {
		return fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	if t.RowsRejected == 0 {
		// A dataset without rows is worth a file; rejects without rows are none.
		_, err := r.bound.Rejects.Abort(ctx, r.rejectsRun(&r.doc))
		return r.rejectsError(err, "close")
	}
	_, err = r.bound.Rejects.Publish(ctx, r.rejectsRun(&r.doc), reject.Schema(), reject.Receipts(r.ledger.Receipts(ctx, r.run.UID, 0)))
	return r.rejectsError(err, "publish")
}

// abortRejects removes what an abandoned run staged of them.
func (r *runner) abortRejects(ctx context.Context, old doc) error {
	if old.RejectsState == nil {
		return nil
	}
	if r.bound.Rejects == nil || r.bound.RejectsCheck.Identity != old.RejectsIdentity {
		r.events.send(monitor.Warning{Text: fmt.Sprintf("the rejects that run %s staged stay in %s: this job has them elsewhere", r.run.ID, old.Plan.Rejects.Sink.Text)})
		return nil
	}
	_, err := r.bound.Rejects.Abort(ctx, r.rejectsRun(&old))
	return r.rejectsError(err, "undo")
}
