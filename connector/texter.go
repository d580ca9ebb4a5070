package connector

import (
	"context"

	"github.com/droverdata/drover"
)

// Texter is a Source that can read columns as texts in its system's own spelling. It is optional; drover diff asks for it where DuckDB
// has no type for a column or cannot hold a value of it.
type Texter interface {
	// AsText returns what reads the same rows in one chunk if it can, with these columns as VARCHAR and all columns in the order of Schema.
	AsText(ctx context.Context, columns []string) (drover.Source, error)
	// Untyped returns the columns of which the system keeps texts alone, so that Schema's types are guesses.
	Untyped(ctx context.Context) ([]string, error)
}
