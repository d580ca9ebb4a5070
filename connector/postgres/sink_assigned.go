package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// Assigned implements connector.Assigner: Postgres's assignment casts (exactness.md 29), as far as DuckDB has them.
func (s *tableSink) Assigned(ctx context.Context, output drover.Schema) ([]drover.Pair, error) {
	t, err := s.existing(ctx)
	if t == nil {
		return nil, err
	}
	var casts []drover.Pair
	for _, out := range output {
		c := t.column(out.Name)
		if c == nil || untouched(out) {
			continue // a run refuses what does not match
		}
		if expr := assigned(out, c.typ); expr != "" {
			casts = append(casts, drover.Pair{Key: out.Name, Value: expr})
		}
	}
	return casts, nil
}

// assigned is the expression that casts a computed column as Postgres would, or "" where there is nothing to cast or DuckDB cannot.
func assigned(out drover.Column, to *pgType) string {
	typ, name := to.duck(), duck.Ident(out.Name)
	if out.Type == "" || typ == "" {
		return ""
	}
	numeric := to.base.wire == wireNumeric
	_, _, bounded := precision(to.base.typmod)
	switch {
	case to.base.send == "bpcharsend" && to.base.typmod > 4:
		text := "CAST(" + name + " AS VARCHAR)"
		return fmt.Sprintf("%[1]s || repeat(' ', greatest(%[2]d - length(%[1]s), 0))", text, to.base.typmod-4)
	case numeric && !bounded, out.Type == typ:
		return ""
	case numeric && out.Type == "DOUBLE":
		// Postgres takes 15 digits of a double and 6 of a real (float8_numeric, float4_numeric in src/backend/utils/adt/numeric.c).
		return fmt.Sprintf("CAST(printf('%%.15g', %s) AS %s)", name, typ)
	case numeric && out.Type == "FLOAT":
		return fmt.Sprintf("CAST(printf('%%.6g', CAST(%s AS DOUBLE)) AS %s)", name, typ)
	case strings.HasPrefix(typ, "JSON"):
		return "" // its text stays
	}
	return fmt.Sprintf("CAST(%s AS %s)", name, typ)
}
