package connector

import (
	"context"

	"github.com/droverdata/drover"
)

// Assigner is a Sink whose target may take values as another type than it is given. It is optional; drover test asks for it, which does not
// write to the sink and compares what the sink would hold.
type Assigner interface {
	// Assigned returns, for columns whose values the target as it is now would cast, DuckDB expressions over the columns that do the same. It
	// writes nothing, and says nothing of columns whose types no DuckDB type stands for.
	Assigned(ctx context.Context, output drover.Schema) ([]drover.Pair, error)
}
