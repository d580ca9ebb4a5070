package connector

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/droverdata/drover"
)

// Rejected is what became of the rows of one chunk that could not be converted or stored.
type Rejected struct {
	Rows int64
	// Staged is the rejects' sink's own note of what to publish, which chunks of one attempt share; nil for a chunk without rejects.
	Staged json.RawMessage
}

// Mark puts into a receipt what was rejected of its chunk, the i-th of the input, and its sums.
func (in Input) Mark(r *Receipt, i int) {
	r.Sums = in.Sums.of(i)
	if in.Rejected == nil {
		return
	}
	r.RowsRejected, r.Rejects = in.Rejected[i].Rows, in.Rejected[i].Staged
}

// Keeper is a Relation that can be read again in parts, for the rows at fault to be found. Other relations are copied into the session.
type Keeper interface {
	Relation
	// Keep reads all rows, without those that Narrow leaves out, and has All and Chunk return them from then on, as often as they are called and in one
	// order. Count stays what it is then. It returns how many rows there are.
	Keep(ctx context.Context) (rows int64, err error)
	// Limit has what All and Chunk return after it hold the rows numbered from..to-1 alone, without those of except, which is sorted.
	Limit(from, to int64, except []int64)
	// Row returns the row of a number as a JSON object, with every column of the relation, and the index of its chunk. What DuckDB has no exact
	// type for is a text.
	Row(ctx context.Context, number int64) (chunk int, row string, err error)
}

// Trier is a Sink that can tell whether it would take rows before it does. It is optional: rows that other sinks refuse fail their chunk.
type Trier interface {
	// Try begins to try rows for a run.
	Try(ctx context.Context, run Run) (Trial, error)
}

// Trial tries the rows of one attempt. Nothing of it stays.
type Trial interface {
	// Rows does what Write would do with an input of so many chunks, as far as it looks at one row at a time. An error of kind Data says that
	// some of the rows would be refused; it may come as a RowError.
	Rows(ctx context.Context, in Input, chunks int) error
	Close() error
}

// RowError is an error of Trial.Rows that says which row was refused: the Row-th, from 0, of those that the input's query gave. The sink has taken all rows before it.
type RowError struct {
	Row int64
	Err error
}

func (e *RowError) Error() string { return e.Err.Error() }

// Unwrap returns what was wrong with the row.
func (e *RowError) Unwrap() error { return e.Err }

// SinkChecker is a Sink that refuses to share its place with another sink of the same job. It is optional.
type SinkChecker interface {
	CheckSink(other Sink) error
}

// Rejectable reports whether err is the fault of a row by itself: not of two that cannot be together, or of another table's rows, which
// may come and go.
func Rejectable(err error) (*drover.Error, bool) {
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Data {
		return nil, false
	}
	switch e.Code {
	case "23505", "23P01", "23503", "21000", TooManyRejects: // unique, exclusion, foreign key; a key twice in one upsert
		return nil, false
	}
	return e, true
}

// TooManyRejects is the Code of the Data error of a task that has more rejects than the job allows.
const TooManyRejects = "rejects.max"
