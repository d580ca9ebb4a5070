package calls

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
)

// Learn calls the functions with one chunk of a source, which it closes, and returns the columns of the last one's answer: none where it was not
// called, for want of rows. A column without a value has the type "NULL", quotes included.
func (r *Runner) Learn(ctx context.Context, source connector.Relation, chunk connector.Chunk) (columns drover.Schema, err error) {
	l := &relation{ctx: ctx, runner: r, source: source, chunks: []connector.Chunk{chunk}}
	defer func() { err = errors.Join(err, l.Close()) }()
	answer, err := l.call(0, false)
	if err != nil || answer == nil {
		return nil, err
	}
	defer answer.Release()
	if columns, err = duck.ArrowColumns(answer.Schema()); err != nil {
		return nil, fmt.Errorf("look at what the function returned: %w", err)
	}
	for i := range columns {
		columns[i].NotNull = false // another chunk may have what this one has not
	}
	return columns, nil
}
