package postgres

import (
	"context"

	"github.com/droverdata/drover"
)

// Target implements connector.Targeter.
func (s *tableSink) Target(ctx context.Context) (drover.Schema, error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(conn)
	t, err := findTarget(ctx, conn, s.spec.Table)
	if err != nil || t.OID == 0 {
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
