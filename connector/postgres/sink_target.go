package postgres

import (
	"context"

	"github.com/droverdata/drover"
)

// Target implements connector.Targeter.
func (s *tableSink) Target(ctx context.Context) (drover.Schema, error) {
	t, err := s.existing(ctx)
	if t == nil {
		return nil, err
	}
	var columns drover.Schema
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.generated || c.identity == "a" {
			continue
		}
		columns = append(columns, drover.Column{Name: c.name, Type: c.typ.duck(), Native: c.native, NotNull: c.notNull})
	}
	return columns, nil
}

// existing describes the table that the sink names; nil where there is none.
func (s *tableSink) existing(ctx context.Context) (*target, error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(conn)
	t, err := findTarget(ctx, conn, s.spec.Table)
	if err != nil || t.OID == 0 {
		return nil, err
	}
	return t, nil
}
