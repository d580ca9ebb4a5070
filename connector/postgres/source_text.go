package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/droverdata/drover"
)

// AsText implements connector.Texter: a query, which is one chunk whatever its size, with ::text behind the columns.
func (s *source) AsText(ctx context.Context, columns []string) (drover.Source, error) {
	d, err := s.describe(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(d.columns))
	for i, c := range d.columns {
		list[i] = "q." + quote(c.name)
		if slices.Contains(columns, c.name) {
			list[i] += "::text AS " + quote(c.name)
		}
	}
	return &Source{URL: s.spec.URL, Query: "SELECT " + strings.Join(list, ", ") + " FROM " + s.from(d)}, nil
}

// Untyped implements connector.Texter.
func (*source) Untyped(context.Context) ([]string, error) { return nil, nil }
