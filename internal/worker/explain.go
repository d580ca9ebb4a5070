package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
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

func (w *Worker) lookThrough(ctx context.Context, task protocol.Task) (*drover.Error, error) {
	s := w.stage
	rel, err := s.source.Open(ctx, s.session, task.Stage.Input, task.Stage.SourceState, task.Chunks)
	if err != nil {
		return nil, fmt.Errorf("read the failed chunk again: %w", err)
	}
	err = s.session.Exec(ctx, "CREATE OR REPLACE TEMP TABLE "+failedTable+" AS SELECT * FROM "+rel.Chunk(0))
	err = errors.Join(err, rel.Close())
	if err != nil {
		return nil, fmt.Errorf("read the failed chunk again: %w", err)
	}
	why, err := sqlstep.Explain(ctx, s.session, task.Stage.Steps, task.Stage.Input, failedTable)
	return why, errors.Join(err, s.session.Exec(ctx, "DROP TABLE "+failedTable))
}
