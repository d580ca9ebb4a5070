package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5/pgtype"
)

// AsText implements connector.Texter: a query, which is one chunk whatever its size, with the columns' values as the server prints them.
func (s *source) AsText(ctx context.Context, columns []string) (drover.Source, error) {
	d, err := s.describe(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(d.columns))
	for i, c := range d.columns {
		list[i] = "q." + quote(c.name)
		if slices.Contains(columns, c.name) {
			list[i] = asText(c, list[i]) + " AS " + quote(c.name)
		}
	}
	return &Source{URL: s.spec.URL, Query: "SELECT " + strings.Join(list, ", ") + " FROM " + s.from(d), plain: d.stored()}, nil
}

// asText is the text of a column's values as COPY and psql have it. That is the cast to text of all types of ours but inet, whose cast adds the /32.
func asText(c column, value string) string {
	typ := c.typ
	if typ.base != nil {
		typ = typ.base
	}
	if typ.oid == pgtype.InetOID {
		return "nullif(pg_catalog.format('%s', " + value + "), '')" // which has the empty text for NULL, and no address is empty
	}
	return value + "::text"
}

// stored reports whether the source is a table that holds its rows itself.
func (d *description) stored() bool {
	return d.table != nil && slices.Contains([]string{"r", "p", "m"}, d.table.kind)
}

// Range implements connector.Ranger.
func (s *source) Range(ctx context.Context, column string) (low, high int64, ok bool) {
	d, err := s.describe(ctx)
	if err != nil || !d.stored() && !s.spec.plain || find(d.columns, column) == nil {
		return 0, 0, false
	}
	conn, err := s.begin(ctx, "")
	if err != nil {
		return 0, 0, false
	}
	defer s.end(ctx, conn)
	name := "q." + quote(column)
	err = conn.QueryRow(ctx, "SELECT min("+name+")::int8, max("+name+")::int8 FROM "+s.from(d)).Scan(&low, &high)
	return low, high, err == nil // NULL, of a table without rows, is no int64
}

// Untyped implements connector.Texter.
func (*source) Untyped(context.Context) ([]string, error) { return nil, nil }
