package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/fault"
	"github.com/jackc/pgx/v5"
)

// The temporary tables of an attempt: rows in the types that they arrive in, and in the target's.
const (
	arrived = "drover_arrived"
	typed   = "drover_typed"
)

// opener is what Write gets its input from.
type opener = func(ctx context.Context, chunks []connector.Chunk) (connector.Input, error)

// Write implements connector.Sink: the rows of all chunks that have no receipt yet, and their receipts, in one transaction.
func (s *tableSink) Write(ctx context.Context, attempt connector.Attempt, open opener) ([]connector.Receipt, error) {
	run := attempt.Run
	st, err := decodeSinkState(run)
	if err != nil {
		return nil, err
	}
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(conn)
	ids := make([]int64, len(attempt.Chunks))
	for i, c := range attempt.Chunks {
		ids[i] = c.ID
	}
	if err := s.stillOpen(ctx, conn, run, st); err != nil {
		return nil, err
	}
	receipts, err := s.readReceipts(ctx, conn, run, ids)
	if err != nil {
		return nil, err
	}
	rest := without(attempt.Chunks, receipts)
	if len(rest) == 0 {
		return receipts, nil
	}
	in, err := open(ctx, rest)
	if err != nil {
		return nil, err
	}
	mark := attemptMark(run, attempt.Token)
	var fresh []connector.Receipt
	err = s.transaction(ctx, conn, "write to "+st.Target.String(), settings{lockTimeout: lockTimeout, application: mark}, func(tx pgx.Tx) error {
		counts, err := s.put(ctx, tx, st, in, len(rest))
		if err != nil {
			return err
		}
		fresh = make([]connector.Receipt, len(rest))
		for i, c := range rest {
			read := in.Relation.Count(i)
			fresh[i] = connector.Receipt{
				ChunkID: c.ID, Token: attempt.Token, RowsIn: read.Rows, RowsScanned: read.Scanned, BytesIn: read.Bytes,
				RowsOut: counts[i].rows, BytesOut: counts[i].bytes, PeakMemory: in.PeakMemory(),
			}
			in.Mark(&fresh[i], i)
		}
		fault.Point(ctx)
		err = s.unblocked(ctx, run, mark, attempt.Token, func() error { return s.insertReceipts(ctx, tx, run, fresh) })
		if err != nil {
			return err
		}
		fault.Point(ctx)
		if err := s.passGate(ctx, tx, run, st); err != nil {
			return err
		}
		return passLedger(ctx, tx, attempt, st, rest)
	})
	fault.Point(ctx)
	if err != nil {
		return nil, nameTarget(s.withSample(ctx, st, rest, open, err), st)
	}
	receipts = append(receipts, fresh...)
	slices.SortFunc(receipts, func(a, b connector.Receipt) int { return cmp.Compare(a.ChunkID, b.ChunkID) })
	return receipts, nil
}

// nameTarget has a message name the target, where the server names the staging table, which nobody has heard of.
func nameTarget(err error, st sinkState) error {
	var e *drover.Error
	if st.staged() && errors.As(err, &e) {
		e.Message = strings.ReplaceAll(e.Message, st.Into.Name, st.Target.Name)
	}
	return err
}

// withSample adds to the error of a COPY, which names the column alone, the value that did not fit. The chunk is read once more, into a
// temporary table from which that column is assigned. Best effort, for chunks that are alone: others are tried alone next.
func (s *tableSink) withSample(ctx context.Context, st sinkState, chunks []connector.Chunk, open opener, err error) error {
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Data || !strings.HasPrefix(e.Code, "22") || e.Sample != "" || len(chunks) > 1 {
		return err
	}
	i := slices.IndexFunc(st.Columns, func(c sinkColumn) bool { return c.Name == e.Column })
	if i < 0 || st.Columns[i].Cast || st.Columns[i].Wire == st.Columns[i].Type {
		return err
	}
	st.Columns = slices.Clone(st.Columns)
	st.Columns[i].Cast = true
	conn, connErr := s.acquire(ctx)
	if connErr != nil {
		return err
	}
	defer s.release(conn)
	in, openErr := open(ctx, chunks)
	if openErr != nil {
		return err
	}
	again := s.transaction(ctx, conn, "write to "+st.Target.String(), settings{lockTimeout: lockTimeout}, func(tx pgx.Tx) error {
		if _, err := s.put(ctx, tx, st, in, len(chunks)); err != nil {
			return err
		}
		return errors.New("the value fits now") // whatever happens, nothing stays
	})
	var sampled *drover.Error
	if errors.As(again, &sampled) && sampled.Code == e.Code && sampled.Column == e.Column {
		return again
	}
	return err
}

// stillOpen saves an attempt of a closed run its work: passGate would stop it in the end.
func (s *tableSink) stillOpen(ctx context.Context, conn *pgx.Conn, run connector.Run, st sinkState) error {
	var open bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+s.gateTable()+" WHERE run_uid = $1 AND state = 'open')", run.UID).Scan(&open)
	if err == nil && !open {
		return closed(run, st)
	}
	return wrap(err, "look whether run "+run.ID+" is open")
}

func closed(run connector.Run, st sinkState) error {
	return drover.Errorf(drover.Fenced, "run %s is closed; nothing was written to %s", run.ID, st.Target)
}

// passGate holds the run's gate open until the transaction ends, or fails where it is closed.
func (s *tableSink) passGate(ctx context.Context, tx pgx.Tx, run connector.Run, st sinkState) error {
	g, err := s.lockGate(ctx, tx, run.UID, "FOR SHARE")
	if err != nil {
		return err
	}
	if g == nil || !g.open {
		return closed(run, st)
	}
	if st.staged() {
		return nil
	}
	oid, err := tableOID(ctx, tx.Conn(), st.Target)
	if err == nil && oid != st.OID {
		err = refuse("%s has been dropped and made again since the run began", st.Target).WithHint("start afresh with --new")
	}
	return err
}

// put brings the input's rows into the table that the run writes.
func (s *tableSink) put(ctx context.Context, tx pgx.Tx, st sinkState, in connector.Input, n int) ([]loaded, error) {
	into := st.Into.sql()
	if !casts(st.Columns) && st.Mode != Upsert {
		return s.copyInto(ctx, tx, st, into, in, n)
	}
	source, typ := "pg_temp."+arrived, "pg_temp."+typed
	if !casts(st.Columns) {
		source = typ
	}
	if _, err := tx.Exec(ctx, tempTable(source, st.Columns, true)); err != nil {
		return nil, err
	}
	counts, err := s.copyInto(ctx, tx, st, source, in, n)
	if err != nil {
		return nil, err
	}
	var rows int64
	for _, c := range counts {
		rows += c.rows
	}
	if st.Mode != Upsert {
		return counts, assign(ctx, tx, st, source, into, rows)
	}
	if source != typ {
		if _, err := tx.Exec(ctx, tempTable(typ, st.Columns, false)); err != nil {
			return nil, err
		}
		if err := assign(ctx, tx, st, source, typ, rows); err != nil {
			return nil, err
		}
	}
	return counts, merge(ctx, tx, st, typ, rows)
}

func (s *tableSink) copyInto(ctx context.Context, tx pgx.Tx, st sinkState, table string, in connector.Input, n int) ([]loaded, error) {
	columns := st.known
	if columns == nil || table != st.Into.sql() {
		var err error
		if columns, err = copyColumns(ctx, tx.Conn(), st, table); err != nil {
			return nil, err
		}
	}
	sql := fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", table, quoteAll(names(st.Columns)))
	return load(ctx, tx.Conn().PgConn(), sql, in, n, columns)
}

// copyColumns describes the columns of a table that COPY fills, in the order of the output. The table is locked before: binary COPY carries
// no types, so they must not change before the rows are in.
func copyColumns(ctx context.Context, conn *pgx.Conn, st sinkState, name string) ([]column, error) {
	doing := "read the columns of " + name
	var oid int64
	if err := conn.QueryRow(ctx, `SELECT coalesce(to_regclass($1)::oid::int8, 0)`, name).Scan(&oid); err != nil {
		return nil, wrap(err, doing)
	}
	if oid == 0 {
		return nil, refuse("%s has been dropped since the run began", name).WithHint("run the same command again: it looks what is left, and does the rest")
	}
	// Planning an INSERT takes COPY's lock and wants COPY's privileges; LOCK TABLE would want more.
	if _, err := conn.Exec(ctx, fmt.Sprintf("EXPLAIN INSERT INTO %s (%s) SELECT %s", name, quoteAll(names(st.Columns)),
		strings.TrimSuffix(strings.Repeat("NULL, ", len(st.Columns)), ", "))); err != nil {
		return nil, wrap(err, doing)
	}
	t := table{oid: uint32(oid)}
	if err := t.readColumns(ctx, conn); err != nil {
		return nil, wrap(err, doing)
	}
	columns := make([]column, len(st.Columns))
	for i, c := range st.Columns {
		found := find(t.columns, c.Name)
		was := c.Type
		if c.Cast && strings.HasPrefix(name, "pg_temp.") && found.native == c.Wire {
			was = c.Wire
		}
		if found.native != was {
			return nil, columnError(c.Name, "column %s of %s is %s now, and was %s when the run began", c.Name, name, found.native, c.Type).WithHint("start afresh with --new")
		}
		columns[i] = *found
	}
	return columns, nil
}

// assign moves so many rows from one table to another by Postgres's assignment casts. For a value that does not fit it finds the column and
// the value, which the server's error lacks.
func assign(ctx context.Context, tx pgx.Tx, st sinkState, from, to string, rows int64) error {
	cols := quoteAll(names(st.Columns))
	step, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	tag, err := step.Exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", to, cols, cols, from))
	if err == nil {
		if n := tag.RowsAffected(); n != rows {
			return skipped("write to "+st.Target.String(), rows, n)
		}
		return step.Commit(ctx)
	}
	if rollErr := step.Rollback(ctx); rollErr != nil {
		return errors.Join(err, rollErr)
	}
	var e *drover.Error
	wrapped := wrap(err, "write to "+st.Target.String())
	if errors.As(wrapped, &e) && e.Kind == drover.Data && e.Column == "" {
		findCulprit(ctx, tx, st, from, e)
	}
	return wrapped
}

// findCulprit casts one column after the other until one fails as e did, and sets e's Column and Sample. Rows arrive in the table's order
// until the one that fails. Best effort: the transaction is lost anyway.
func findCulprit(ctx context.Context, tx pgx.Tx, st sinkState, from string, e *drover.Error) {
	for _, c := range st.Columns {
		if !c.Cast {
			continue
		}
		step, err := tx.Begin(ctx)
		if err != nil {
			return
		}
		good := 0
		rows, err := step.Query(ctx, fmt.Sprintf("SELECT (%s::%s) IS NULL FROM %s", quote(c.Name), c.Type, from))
		if err == nil {
			for rows.Next() {
				good++
			}
			rows.Close()
			err = rows.Err()
		}
		if rollErr := step.Rollback(ctx); rollErr != nil {
			return
		}
		if !hasState(err, e.Code) {
			continue
		}
		e.Column = c.Name
		var value *string
		if tx.QueryRow(ctx, fmt.Sprintf("SELECT %s::text FROM %s OFFSET $1 LIMIT 1", quote(c.Name), from), good).Scan(&value) == nil && value != nil {
			e.Sample = sample(*value)
		}
		return
	}
}
