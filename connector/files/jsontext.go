package files

import (
	"context"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// jsonColumns returns the columns of all of a set of JSON files: newline-delimited objects, or one array of objects.
func jsonColumns(ctx context.Context, s *duck.Session, paths []string, bytes int64) (shape, error) {
	escaped := make([]string, len(paths))
	for i, p := range paths {
		escaped[i] = globEscape(p)
	}
	describe := func(list string) (drover.Schema, error) {
		return s.Describe(ctx, "SELECT * FROM read_json("+list+", union_by_name=true, hive_partitioning=false, maximum_sample_files=1000000000, "+sample(bytes)+")")
	}
	columns, err := describe(literals(escaped))
	if err == nil {
		return shape(columns), checkJSON(ctx, s, escaped, bytes, columns)
	}
	for i, p := range escaped {
		if _, one := describe(duck.Literal(p)); one != nil && ctx.Err() == nil {
			return nil, drover.Errorf(drover.Refused, "%s is not readable as JSON: %w", paths[i], one)
		}
	}
	return nil, err
}
