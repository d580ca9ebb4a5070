package sqlstep

import (
	"context"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// Explain looks for the step and the column behind the failure of a chunk. relation yields schema's columns and step.Tag, and may be
// scanned any number of times. It returns nil where no step fails over relation.
func Explain(ctx context.Context, s *duck.Session, steps []drover.Step, schema drover.Schema, relation string) (*drover.Error, error) {
	return nil, ctx.Err()
}
