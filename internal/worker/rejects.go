package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/protocol"
	"github.com/droverdata/drover/internal/reject"
	"github.com/droverdata/drover/internal/step"
	sqlstep "github.com/droverdata/drover/internal/step/sql"
)

// openRejects opens the stage's rejects' sink, which a dry run does not need.
func (s *stage) openRejects(ctx context.Context, registry connector.Registry, task protocol.Task, env connector.Env) error {
	r := task.Stage.Rejects
	if r == nil || task.DryRun {
		return nil
	}
	decoded, err := registry.DecodeSink(r.Sink.Connector, r.Sink.Value)
	if err != nil {
		return err
	}
	if s.rejects, err = registry.OpenSink(ctx, decoded, env); err != nil {
		return fmt.Errorf("open the rejects: %w", reject.At(err, decoded))
	}
	s.closers = append(s.closers, s.rejects.Close)
	return nil
}

// separates reports whether the rows of a task that failed with err can be told apart: those at fault go to the job's rejects.
func (s *stage) separates(task protocol.Task, err error) (connector.Trier, bool) {
	_, rejectable := connector.Rejectable(err)
	trier, tries := s.sink.(connector.Trier)
	return trier, task.Stage.Rejects != nil && rejectable && tries
}

// writeRest makes an attempt again without the rows at fault.
func (w *Worker) writeRest(ctx context.Context, task protocol.Task, attempt connector.Attempt, trier connector.Trier, open opener) (_ []connector.Receipt, err error) {
	s := w.stage
	var done []func() error
	defer func() {
		for _, d := range done {
			err = errors.Join(err, d())
		}
	}()
	return s.write(ctx, attempt, func(ctx context.Context, chunks []connector.Chunk) (connector.Input, error) {
		in, err := open(ctx, chunks)
		if err != nil || len(done) > 0 { // a sink that looks at a failed input again sees what the source has
			return in, err
		}
		in, free, err := w.separating(ctx, task, attempt, chunks, trier).Separate(ctx, in)
		if free != nil {
			done = append(done, free)
		}
		return in, err
	})
}

// separating is what tells the rows of chunks apart.
func (w *Worker) separating(ctx context.Context, task protocol.Task, attempt connector.Attempt, chunks []connector.Chunk, trier connector.Trier) reject.Task {
	attempt.Chunks = chunks
	steps, first, input, reads := w.judged(task)
	parts, after := w.parts(ctx, task, steps, first, input)
	if parts != nil {
		steps, first, input, reads = steps[after:], first+after, parts.Between, parts.Between.Names()
	}
	explainer := sqlstep.NewExplainer(w.stage.session, steps, first, input)
	return reject.Task{
		Attempt: attempt, State: task.Stage.Rejects.State, Steps: &discard{}, Sink: trier, Into: w.stage.rejects, Most: task.Stage.Rejects.Max, Parts: parts,
		Explain: func(ctx context.Context, relation string, why *drover.Error) *drover.Error {
			return explainRow(ctx, explainer, input, reads, relation, why)
		},
		Suspect: func(ctx context.Context) ([]step.Program, []string, error) {
			programs, err := sqlstep.Suspects(ctx, w.stage.session, steps, first, input)
			return programs, reads, err
		},
	}
}

// parts finds the steps that look at one row at a time behind the last of steps that does not: those from after on. It finds nothing where there are none; or where a part
// cannot be compiled by itself.
func (w *Worker) parts(ctx context.Context, task protocol.Task, steps []drover.Step, first int, input drover.Schema) (_ *reject.Parts, after int) {
	if task.Stage.Program.Tail().RowWise {
		return nil, 0
	}
	for n := 1; n < len(steps); n++ {
		head, err := sqlstep.Compile(ctx, w.stage.session, steps[:n], first, input)
		if err != nil {
			return nil, 0
		}
		if head.Program.RowWise {
			continue
		}
		between := make(drover.Schema, len(head.Output))
		for i, c := range head.Output {
			between[i] = drover.Column{Name: c.Name, Type: c.Type}
		}
		tail, err := sqlstep.Compile(ctx, w.stage.session, steps[n:], first+n, between)
		same := func(a, b drover.Column) bool { return a.Name == b.Name && a.Type == b.Type }
		if err == nil && tail.Program.RowWise && slices.EqualFunc(tail.Output, task.Stage.Output, same) {
			return &reject.Parts{Head: head.Program, Tail: tail.Program, Between: between}, n
		}
	}
	return nil, 0
}

// judged are the steps whose rows can be told apart, the place in the job of the first of them, and their input with those of its columns that they read.
func (w *Worker) judged(task protocol.Task) (steps []drover.Step, first int, input drover.Schema, reads []string) {
	if w.stage.calls == nil {
		return task.Stage.Steps, 0, task.Stage.Input, task.Stage.Reads
	}
	input, calls := w.stage.calls.Output(), task.Stage.Program.Calls
	first = calls[len(calls)-1].Step + 1
	return task.Stage.Steps[first:], first, input, input.Names()
}

// restoreRejects stages the rejects of chunks once more whose rows are committed already, where those that their receipts name are gone.
func (w *Worker) restoreRejects(ctx context.Context, task protocol.Task, attempt connector.Attempt, receipts []connector.Receipt, open opener) ([]connector.Receipt, error) {
	s := w.stage
	trier, ok := s.sink.(connector.Trier)
	if s.rejects == nil || !ok {
		return receipts, nil
	}
	run := attempt.Run
	run.State = task.Stage.Rejects.State
	gone, err := s.rejects.Verify(ctx, run, reject.Receipts(func(yield func(connector.Receipt, error) bool) {
		for _, r := range receipts {
			if r.Token != task.Token && !yield(r, nil) {
				return
			}
		}
	}))
	if err != nil || len(gone) == 0 {
		return receipts, err
	}
	chunks := slices.DeleteFunc(slices.Clone(task.Chunks), func(c connector.Chunk) bool { return !slices.Contains(gone, c.ID) })
	in, err := open(ctx, chunks)
	if err != nil {
		return nil, err
	}
	in, free, err := w.separating(ctx, task, attempt, chunks, trier).Separate(ctx, in)
	if free != nil {
		err = errors.Join(err, free())
	}
	if err != nil {
		return nil, fmt.Errorf("find the rejects again: %w", err)
	}
	receipts = slices.Clone(receipts)
	for i, c := range chunks {
		r := &receipts[slices.IndexFunc(receipts, func(r connector.Receipt) bool { return r.ChunkID == c.ID })]
		before := r.RowsRejected
		if r.RowsRejected, r.Rejects = 0, nil; in.Rejected != nil {
			r.RowsRejected, r.Rejects = in.Rejected[i].Rows, in.Rejected[i].Staged
		}
		if r.RowsRejected != before {
			return nil, drover.Errorf(drover.Refused, "the staged rejects of chunk %s are gone, and cannot be found again: %d of its rows were rejected then, and %d are now; its other rows are in the target",
				c.Key, before, r.RowsRejected).WithHint("start afresh with --new")
		}
	}
	return receipts, nil
}

// explainRow finds the step and the column behind the failure of a relation's one row.
func explainRow(ctx context.Context, explainer *sqlstep.Explainer, input drover.Schema, reads []string, relation string, why *drover.Error) *drover.Error {
	if !raisedByDuckDB(why) || why.Column != "" {
		return why
	}
	relation = "(SELECT " + strings.Join(append(reject.Items(input, reads), step.Tag), ", ") + " FROM " + relation + ")"
	better, err := explainer.Explain(ctx, relation)
	if err != nil || better == nil {
		return why // the failure itself is what the user must see
	}
	return better
}
