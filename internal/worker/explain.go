package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/protocol"
	sqlstep "github.com/droverdata/drover/internal/step/sql"
)

// failedTable holds the rows of a failed chunk while they are looked through.
const failedTable = "drover_failed"

// explain finds out which step and which column raised the error of a failed task. It reads the chunk again, so it does that only for a
// chunk that is alone, which is where every failure of the data ends up.
func (w *Worker) explain(ctx context.Context, task protocol.Task, cause error) error {
	var e *drover.Error
	if len(task.Chunks) != 1 || !errors.As(cause, &e) || e.Kind != drover.Data || !raisedByDuckDB(e) || e.Column != "" {
		return cause
	}
	why, err := w.lookThrough(ctx, task)
	if err != nil || why == nil {
		// The failure itself is what the user must see; that it could not be narrowed down is not.
		return cause
	}
	return why
}

// raisedByDuckDB tells a step's failure from one of the source or the sink by its code: "Conversion Error", not a SQLSTATE.
func raisedByDuckDB(e *drover.Error) bool { return strings.HasSuffix(e.Code, " Error") }

// lookThrough runs the steps before the first function over the chunk's rows, and where they do not fail those after the last function over
// its answer. What lies between functions is not looked through.
func (w *Worker) lookThrough(ctx context.Context, task protocol.Task) (*drover.Error, error) {
	s, st := w.stage, task.Stage
	rel, err := s.source.Open(ctx, s.reading, st.Input, st.SourceState, task.Chunks)
	if err != nil {
		return nil, fmt.Errorf("read the failed chunk again: %w", err)
	}
	if s.calls == nil {
		return look(ctx, s.reading, rel, st.Steps, 0, st.Input)
	}
	first, last := st.Program.Calls[0].Step, st.Program.Calls[len(st.Program.Calls)-1].Step
	why, err := look(ctx, s.reading, rel, st.Steps[:first], 0, st.Input)
	if why != nil || err != nil {
		return why, err
	}
	if rel, err = s.source.Open(ctx, s.reading, st.Input, st.SourceState, task.Chunks); err != nil {
		return nil, fmt.Errorf("read the failed chunk again: %w", err)
	}
	return look(ctx, s.session, s.calls.Over(ctx, s.session, rel, task.Chunks), st.Steps[last+1:], last+1, s.calls.Output())
}

// look explains a failure of steps over a relation of one chunk, which it closes; first is the place of the first of them in the job.
func look(ctx context.Context, s *duck.Session, rel connector.Relation, steps []drover.Step, first int, columns drover.Schema) (*drover.Error, error) {
	err := s.Exec(ctx, "CREATE OR REPLACE TEMP TABLE "+failedTable+" AS SELECT * FROM "+rel.Chunk(0))
	err = errors.Join(err, rel.Close())
	if err != nil {
		return nil, fmt.Errorf("read the failed chunk again: %w", err)
	}
	why, err := sqlstep.Explain(ctx, s, steps, first, columns, failedTable)
	return why, errors.Join(err, s.Exec(ctx, "DROP TABLE "+failedTable))
}
