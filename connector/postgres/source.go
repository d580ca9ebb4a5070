package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/pgident"
	"github.com/jackc/pgx/v5"
)

// source implements connector.Source for a table or a query.
type source struct {
	spec Source
	env  connector.Env
	// batches outlive streams: a chunk of one row must not cost an arena.
	batches batchPool
	// maxRow is the size of a row above which it is refused before it is read; 0 means no bound.
	maxRow int64
	// slots bounds the connections; nil where the job does not.
	slots *slots

	mu   sync.Mutex
	idle []*pgx.Conn
	// closing closes the idle connections after idleFor.
	closing *time.Timer
	about   *description
	holder  *pgx.Conn // keeps the run's snapshot
	spool   string    // the file that this source made, "" for none
}

// idleFor is how long a connection is kept that nobody needs.
const idleFor = 2 * time.Second

// description is what a source yields, from the catalogs.
type description struct {
	table     *table // nil for a query
	columns   []column
	signature string
}

func openSource(_ context.Context, spec drover.Source, env connector.Env) (connector.Source, error) {
	s, ok := spec.(*Source)
	if !ok {
		return nil, fmt.Errorf("open a postgres source: got %T", spec)
	}
	shares := memory.Divide(env.Memory)
	src := &source{spec: *s, env: env, maxRow: shares.Row, batches: batchPool{arena: arenaFor(shares.Buffers)}}
	if env.Connections == 0 {
		return src, nil
	}
	cfg, err := config(s.URL, env)
	if err == nil {
		src.slots, err = newSlots(cfg, env.Connections, env.Warn)
	}
	return src, err
}

// Close implements connector.Source. The run's snapshot ends with it.
func (s *source) Close() error {
	s.mu.Lock()
	if s.closing != nil {
		s.closing.Stop()
	}
	conns := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, c := range conns {
		closeConn(c)
	}
	s.batches.close()
	return s.letGo()
}

// letGo ends what Begin holds for a run: its snapshot, and the spool file that this source made.
func (s *source) letGo() error {
	s.mu.Lock()
	holder, spool := s.holder, s.spool
	s.holder, s.spool = nil, ""
	s.mu.Unlock()
	if holder != nil {
		closeConn(holder)
	}
	if spool == "" {
		return nil
	}
	for _, name := range []string{spool + ".index", spool} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the spool file: %w", err)
		}
	}
	return nil
}

// UniqueKeys implements connector.Uniquer. A query has no indexes, and those of a parent do not cover its children.
func (s *source) UniqueKeys(ctx context.Context) ([][]string, error) {
	d, err := s.describe(ctx)
	if err != nil || d.table == nil || d.table.inherits {
		return nil, err
	}
	return d.table.keys(), nil
}

// from is the source as a FROM item called q.
func (s *source) from(d *description) string {
	if d.table != nil {
		return d.table.sql() + " AS q"
	}
	return "(" + s.query() + "\n) AS q"
}

// query is the user's query without the semicolon that it may end in.
func (s *source) query() string { return strings.TrimRight(s.spec.Query, " \t\r\n;") }

// acquire returns an idle connection or a new one; fresh says which. It waits where the job bounds the connections of the machine.
func (s *source) acquire(ctx context.Context, u use) (conn *pgx.Conn, fresh bool, err error) {
	s.mu.Lock()
	if k := len(s.idle) - 1; k >= 0 {
		conn, s.idle = s.idle[k], s.idle[:k]
	}
	s.mu.Unlock()
	if conn != nil {
		return conn, false, nil
	}
	var held *slot
	if s.slots != nil {
		if held, err = s.slots.take(ctx, u); err != nil {
			return nil, true, err
		}
	}
	conn, err = connect(ctx, s.spec.URL, s.env)
	if err != nil {
		if held != nil {
			held.release()
		}
		return nil, true, err
	}
	if held != nil {
		conn.PgConn().CustomData()[slotKey] = held
	}
	if s.maxRow > 0 {
		// A row of COPY is one message, which pgconn would read as a whole.
		conn.PgConn().Frontend().SetMaxBodyLen(int(min(s.maxRow, maxArena)))
	}
	return conn, true, nil
}

// release takes a connection back. One of a bounded number is closed at once: others may wait for it.
func (s *source) release(conn *pgx.Conn) {
	if s.slots != nil || conn.IsClosed() || conn.PgConn().TxStatus() != 'I' {
		closeConn(conn)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, conn)
	if s.closing == nil {
		s.closing = time.AfterFunc(idleFor, s.closeIdle)
	} else {
		s.closing.Reset(idleFor)
	}
}

// closeIdle gives connections that nobody has needed for a while back to the server, which may allow the role only a few: a driver reads at the
// beginning of its run, its workers do afterwards.
func (s *source) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.idle {
		closeConn(conn)
	}
	s.idle = nil
}

// begin opens a transaction of one snapshot that reads only: the run's snapshot, where it has one. more is further statements.
func (s *source) begin(ctx context.Context, snapshot string, more ...string) (*pgx.Conn, error) {
	return s.beginFor(ctx, forWhile, snapshot, more...)
}

func (s *source) beginFor(ctx context.Context, u use, snapshot string, more ...string) (*pgx.Conn, error) {
	sql := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"
	if snapshot != "" {
		sql += "SET TRANSACTION SNAPSHOT " + literal(snapshot) + ";\n"
	}
	// What the text of keys depends on, and no limit of the role on a transaction that lasts as long as its reader needs.
	sql += "SET LOCAL intervalstyle = postgres; SET LOCAL bytea_output = hex; SET LOCAL extra_float_digits = 1;\n" +
		fmt.Sprintf("SET LOCAL statement_timeout = %d; SET LOCAL idle_in_transaction_session_timeout = 0;\n", s.spec.StatementTimeout.Milliseconds()) +
		strings.Join(more, ";\n")
	for {
		conn, fresh, err := s.acquire(ctx, u)
		if err != nil {
			return nil, err
		}
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
		if err == nil {
			return conn, nil
		}
		closeConn(conn)
		if err = wrap(err, "begin to read "+s.spec.String()); fresh || drover.KindOf(err) != drover.Transient {
			return nil, err
		} // an idle connection may have been lost unnoticed
	}
}

// end finishes a transaction and gives its connection back.
func (s *source) end(ctx context.Context, conn *pgx.Conn) {
	if !conn.IsClosed() {
		_, _ = conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll() // nothing was written; release looks at what became of it
	}
	s.release(conn)
}

// describe returns what the source yields. It asks the server once.
func (s *source) describe(ctx context.Context) (*description, error) {
	s.mu.Lock()
	d := s.about
	s.mu.Unlock()
	if d != nil {
		return d, nil
	}
	d, err := explained(s, func() (*description, error) {
		conn, err := s.begin(ctx, "")
		if err != nil {
			return nil, err
		}
		defer s.end(ctx, conn)
		return s.read(ctx, conn)
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.about = d
	return d, nil
}

// read describes the source anew.
func (s *source) read(ctx context.Context, conn *pgx.Conn) (*description, error) {
	d := &description{}
	var err error
	if s.spec.Table == "" {
		d.columns, err = describeQuery(ctx, conn, s.query())
	} else {
		if d.table, err = findTable(ctx, conn, s.spec.Table); err == nil && d.table == nil {
			return nil, missingTable(ctx, conn, s.spec.Table)
		}
		if err == nil {
			d.columns = d.table.columns
		}
	}
	if err != nil {
		return nil, err
	}
	if d.signature, err = s.signature(ctx, conn, d); err != nil {
		return nil, err
	}
	return d, nil
}

// signature returns a text that changes with the names and types of the columns. Within a transaction it stays true: it locks the table
// against changes.
func (s *source) signature(ctx context.Context, conn *pgx.Conn, d *description) (string, error) {
	if d.table == nil {
		stmt, err := conn.PgConn().Prepare(ctx, "", "SELECT * FROM "+s.from(d), nil)
		if err != nil {
			return "", wrap(err, "prepare the query")
		}
		var b strings.Builder
		for _, f := range stmt.Fields {
			fmt.Fprintf(&b, "%s %d %d,", f.Name, f.DataTypeOID, f.TypeModifier)
		}
		return b.String(), nil
	}
	results, err := conn.PgConn().Exec(ctx, fmt.Sprintf(`SELECT FROM %s WHERE false;
		SELECT coalesce(string_agg(format('%%s %%s %%s', attname, atttypid, atttypmod), ',' ORDER BY attnum), '') || to_regclass(%s)::oid
		FROM pg_attribute WHERE attrelid = %d AND attnum > 0 AND NOT attisdropped`, d.table.sql(), literal(d.table.sql()), d.table.oid)).ReadAll()
	if err != nil {
		return "", wrap(err, "read "+d.table.sql())
	}
	return string(results[1].Rows[0][0]), nil
}

// Schema implements connector.Source.
func (s *source) Schema(ctx context.Context) (drover.Schema, error) {
	d, err := s.describe(ctx)
	if err != nil {
		return nil, err
	}
	schema := make(drover.Schema, len(d.columns))
	for i, c := range d.columns {
		if c.typ.base.send == "" {
			return nil, drover.Errorf(drover.Refused, "column %s: type %s has no binary form", c.name, c.native).
				WithHint("read it as text: query: SELECT ..., %s::text FROM ...", quote(c.name))
		}
		if k := schema[:i].Index(c.name); k >= 0 {
			return nil, drover.Errorf(drover.Refused, "columns %s and %s differ in case alone", schema[k].Name, c.name).
				WithHint("give one another name: query: SELECT ..., %s AS other_name FROM ...", quote(c.name))
		}
		schema[i] = drover.Column{Name: c.name, Type: c.typ.duck(), Native: c.native, Collation: c.collation, NotNull: c.notNull}
		if c.typ.oid >= firstUserOID && schema[i].Type == "" {
			schema[i].Made = c.typ.made
		}
	}
	if len(schema) == 0 {
		return nil, drover.Errorf(drover.Refused, "%s has no columns that can be read", s.spec.String())
	}
	return schema, nil
}

// Identity implements connector.Source.
func (s *source) Identity(ctx context.Context) (string, error) {
	d, err := s.describe(ctx)
	if err != nil {
		return "", err
	}
	conn, err := s.begin(ctx, "")
	if err != nil {
		return "", err
	}
	defer s.end(ctx, conn)
	system, err := pgident.Database(ctx, conn)
	if err != nil {
		return "", wrap(err, "look at the source")
	}
	if d.table != nil {
		return fmt.Sprintf("postgres:%s/%d", system, d.table.oid), nil
	}
	return "postgres:" + system + "/query", nil
}

// state is what a run's chunks agree on.
type state struct {
	// Snapshot is the exported snapshot that page ranges are read under.
	Snapshot string `json:"snapshot,omitempty"`
	// Spool is the file that holds the source's rows, grouped by chunk.
	Spool string `json:"spool,omitempty"`
}

func decodeSourceState(data json.RawMessage) (state, error) {
	var st state
	if len(data) == 0 {
		return st, nil
	}
	if err := json.Unmarshal(data, &st); err != nil {
		return st, fmt.Errorf("decode the state of a postgres source: %w", err)
	}
	return st, nil
}
