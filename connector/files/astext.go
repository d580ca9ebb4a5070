package files

import (
	"context"
	"slices"
	"strings"

	"github.com/droverdata/drover"
)

// AsText implements connector.Texter. Only CSV files hold texts; columns of other files, and partition columns, stay what they are.
func (s *source) AsText(ctx context.Context, columns []string) (drover.Source, error) {
	sv, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	spec := *s.spec
	if sv.Format != formatCSV {
		return &spec, nil
	}
	same := func(name string) func(drover.Pair) bool {
		return func(p drover.Pair) bool { return strings.EqualFold(p.Key, name) }
	}
	spec.Types = slices.Clone(spec.Types)
	for _, c := range columns {
		// What the job declares is no guess.
		if drover.Schema(sv.Hive).Index(c) < 0 && !slices.ContainsFunc(spec.Types, same(c)) {
			spec.Types = append(spec.Types, drover.Pair{Key: c, Value: "VARCHAR"})
		}
	}
	return &spec, nil
}

// Untyped implements connector.Texter: all columns of CSV files, and the strings of JSON.
func (s *source) Untyped(ctx context.Context) ([]string, error) {
	sv, err := s.survey(ctx)
	if err != nil || sv.Format != formatCSV && sv.Format != formatJSON {
		return nil, err
	}
	var columns []string
	for _, c := range sv.schema {
		if drover.Schema(sv.Hive).Index(c.Name) < 0 && (sv.Format == formatCSV || c.Type == "VARCHAR") {
			columns = append(columns, c.Name)
		}
	}
	return columns, nil
}
