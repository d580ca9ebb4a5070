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
	return d.table.scatters(ctx, conn, chunking.By)
}

// scatters reports whether rows of one value of a column lie all over the table. Without statistics that is taken for granted.
func (t *table) scatters(ctx context.Context, conn *pgx.Conn, column string) (bool, error) {
	var correlation float64
	err := conn.QueryRow(ctx, `SELECT coalesce(correlation, 0) FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3 ORDER BY inherited DESC LIMIT 1`,
		t.schema, t.name, column).Scan(&correlation)
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, wrap(err, "read the statistics of "+column)
	}
	return math.Abs(correlation) < clustered, nil
}

// passShare is the part of a table's rows, one in so many, from which on scattered rows are read by a pass over the table. A bitmap of them costs more than
// it saves: nearly every page has some, each page is announced to the system and then read by itself, and the index is read besides.
const passShare = 4

// pass has the server read the table from end to end where the chunks that share a statement are most of what is on its pages. Left alone, the planner
// prefers a bitmap for half of a table; with the bitmap alone forbidden, one that takes random pages for cheap fetches each row by the index. A table whose
// policies hide rows is left to the planner: what they look up by an index is part of the statement.
func (r *relation) pass(conn *pgx.Conn, p reading) error {
	t := r.about.table
	if p.shared == nil || t == nil || t.rows <= 0 || t.rowSecurity {
		return nil
	}
	var rows int64
	for _, c := range p.shared {
		rows += r.rows[c]
	}
	if rows < t.rows/passShare {
		return nil
	}
	scattered, err := t.scatters(r.ctx, conn, p.by)
	if scattered {
		last := &p.statements[len(p.statements)-1]
		last.sql = "SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off;\n" + last.sql +
			";\nSET LOCAL enable_indexscan TO DEFAULT; SET LOCAL enable_bitmapscan TO DEFAULT"
	}
	return err
}
