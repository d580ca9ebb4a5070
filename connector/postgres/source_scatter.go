package postgres

import (
	"context"
	"errors"
	"math"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5"
)

// clustered is the correlation of a column's values with the places of its rows from which on neighbouring values lie on neighbouring pages. It runs from
// -1 to 1 (pg_stats).
const clustered = 0.9

// FewTasks implements connector.TaskSaver. Rows of one value that lie all over the table make every task visit most of its pages. Without statistics
// that is taken for granted: many tasks then cost passes over the table, few cost nothing.
func (s *source) FewTasks(ctx context.Context, chunking drover.Chunking) (bool, error) {
	if chunking.By == "" || chunking.Spool {
		return false, nil
	}
	d, err := s.describe(ctx)
	if err != nil || d.table == nil {
		return false, err
	}
	conn, err := s.begin(ctx, "")
	if err != nil {
		return false, err
	}
	defer s.end(ctx, conn)
	var correlation float64
	err = conn.QueryRow(ctx, `SELECT coalesce(correlation, 0) FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3 ORDER BY inherited DESC LIMIT 1`,
		d.table.schema, d.table.name, chunking.By).Scan(&correlation)
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, wrap(err, "read the statistics of "+chunking.By)
	}
	return math.Abs(correlation) < clustered, nil
}
