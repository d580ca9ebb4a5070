package postgres

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tried is the temporary table that stands for the target while rows are tried.
const tried = "drover_tried"

// trial implements connector.Trial in one transaction that is rolled back. Each try is a savepoint.
type trial struct {
	sink *tableSink
	conn *pgx.Conn
	tx   pgx.Tx
	st   sinkState
}

// Try implements connector.Trier. Rows are tried in a temporary table with the target's columns, NOT NULL and CHECK constraints: the target grows by no
// dead row, and nobody waits. Where triggers or partitions look at rows too, or the role may not read the target's definition, they are tried
// in the table that is written.
func (s *tableSink) Try(ctx context.Context, run connector.Run) (_ connector.Trial, err error) {
	st, err := decodeSinkState(run)
	if err != nil {
		return nil, err
	}
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	t := &trial{sink: s, conn: conn, st: st}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	const doing = "try rows for "
	if t.tx, err = conn.Begin(ctx); err != nil {
		return nil, wrap(err, doing+st.Target.String())
	}
	// Of an upsert only the conversion of its rows is tried: which of them meet is no row's own fault.
	t.st.Mode = Append
	err = s.within(ctx, t.tx, settings{lockTimeout: lockTimeout}, func(tx pgx.Tx) error {
		model := st.Into
		if st.OID != 0 {
			model = st.Target // a staging table that is refilled from has no constraints of its own
		}
		var plain bool
		if err := tx.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'TEMP') AND has_table_privilege(c.oid, 'SELECT') AND c.relkind = 'r'
				AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 4 = 4 AND t.tgenabled IN ('O', 'A'))
				AND NOT EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid)
			FROM pg_class c WHERE c.oid = to_regclass($1)`, model.sql()).Scan(&plain); err != nil {
			return err
		}
		if !plain {
			return nil
		}
		t.st.Into = tableName{"pg_temp", tried}
		_, err := tx.Exec(ctx, "CREATE TABLE "+t.st.Into.sql()+" (LIKE "+model.sql()+" INCLUDING CONSTRAINTS INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY) ON COMMIT DROP")
		if err == nil && !casts(st.Columns) {
			t.st.known, err = copyColumns(ctx, tx.Conn(), t.st, t.st.Into.sql())
		}
		return err
	})
	return t, wrap(err, doing+st.Target.String())
}

// Rows implements connector.Trial.
func (t *trial) Rows(ctx context.Context, in connector.Input, chunks int) error {
	try, err := t.tx.Begin(ctx)
	if err != nil {
		return wrap(err, "try rows for "+t.st.Target.String())
	}
	_, err = t.sink.put(ctx, try, t.st, in, chunks)
	if rollErr := try.Rollback(ctx); rollErr != nil && drover.KindOf(err) != drover.Data {
		return errors.Join(err, wrap(rollErr, "try rows for "+t.st.Target.String()))
	}
	row := t.row(err)
	if err = t.named(wrap(err, "write to "+t.st.Target.String())); row >= 0 {
		err = &connector.RowError{Row: row, Err: err}
	}
	return err
}

// copyLine finds the row's number in the context of a COPY error behind the table's name: "COPY t, line 3, column x", in any language.
var copyLine = regexp.MustCompile(`^\S+ (\d+)`)

// row is the number of the row, from 0, that a COPY into the temporary table ended at; -1 where that is not known. The server looks at one row after the other there:
// without triggers and indexes nothing is put off.
func (t *trial) row(err error) int64 {
	var pg *pgconn.PgError
	if t.st.Into.Name != tried || !errors.As(err, &pg) {
		return -1
	}
	at, ok := strings.CutPrefix(pg.Where, "COPY "+tried+", ")
	m := copyLine.FindStringSubmatch(at)
	if !ok || m == nil {
		return -1
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return -1
	}
	return n - 1
}

// named has a message name the target in the place of the table that stands for it.
func (t *trial) named(err error) error {
	st := t.st
	st.Method = refill // both names differ
	return nameTarget(err, st)
}

// Close implements connector.Trial.
func (t *trial) Close() error {
	if t.tx != nil {
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := t.tx.Rollback(stop); err != nil {
			closeConn(t.conn) // the server rolls back by itself
		}
	}
	t.sink.release(t.conn)
	return nil
}
