package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/droverdata/drover/connector"
)

// rehearsal is the temporary table that Rehearse fills.
const rehearsal = "pg_temp.drover_rehearsal"

// Rehearse implements connector.Rehearser: the rows are copied into a temporary table of the target's server, in a transaction that is rolled
// back.
func (s *tableSink) Rehearse(ctx context.Context, in connector.Input) (bytes int64, err error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer s.release(conn)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, wrap(err, "begin a transaction that is rolled back")
	}
	defer tx.Rollback(ctx) //nolint:errcheck // release looks at what became of it
	columns, err := newColumns(ctx, conn, in.Output)
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, tempTable(rehearsal, columns, true)); err != nil {
		return 0, wrap(err, "create a temporary table")
	}
	counts, err := s.copyInto(ctx, tx, sinkState{Columns: columns}, rehearsal, in, 1)
	if err != nil {
		return 0, err
	}
	return counts[0].bytes, nil
}

// ServerTime implements connector.ServerTimer by EXPLAIN ANALYZE, which makes the rows and sends none; from PostgreSQL 17 on it serializes
// them too. A spool has been read already.
func (r *relation) ServerTime(ctx context.Context) (time.Duration, error) {
	if r.spool != nil {
		return 0, nil
	}
	where, err := r.chunks[0].where(r.about)
	if err != nil {
		return 0, err
	}
	conn, err := r.begin()
	if err != nil {
		return 0, err
	}
	defer r.src.end(ctx, conn)
	serialize := ""
	if version, _ := strconv.Atoi(conn.PgConn().ParameterStatus("server_version_num")); version >= 170000 {
		serialize = ", SERIALIZE BINARY"
	}
	var plans []struct {
		Time float64 `json:"Execution Time"` // milliseconds
	}
	sql := fmt.Sprintf("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY, FORMAT json%s) SELECT * FROM %s%s", serialize, r.src.from(r.about), where)
	if err := conn.QueryRow(ctx, sql).Scan(&plans); err != nil {
		return 0, wrap(err, "measure the server")
	}
	if len(plans) == 0 {
		return 0, nil
	}
	return time.Duration(plans[0].Time * float64(time.Millisecond)), nil
}
