package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
	"github.com/jackc/pgx/v5"
)

// relation implements connector.Relation. A stream of it holds one connection, whose transaction the next stream takes over.
type relation struct {
	ctx      context.Context
	src      *source
	session  *duck.Session
	about    *description
	columns  []column // of the schema, in its order
	chunks   []bounds
	rows     []int64 // of each chunk, as planned
	snapshot string
	spool    *spooled // nil: the chunks are read from the server
	kept     *kept    // nil until Keep
	borrowed bool     // kept is another relation's
	utf8     bool     // the encoding of the server
	where    []string // conditions over q that rows must meet

	mu     sync.Mutex
	idle   []*pgx.Conn // in a transaction
	counts []connector.Count
	scans  []*scan
	remove []func()
	all    string
}

// Open implements connector.Source.
func (s *source) Open(ctx context.Context, session *duck.Session, schema drover.Schema, data json.RawMessage, chunks []connector.Chunk) (connector.Relation, error) {
	st, err := decodeSourceState(data)
	if err != nil {
		return nil, err
	}
	d, err := s.describe(ctx)
	if err != nil {
		return nil, err
	}
	r := &relation{ctx: ctx, src: s, session: session, about: d, snapshot: st.Snapshot, counts: make([]connector.Count, len(chunks))}
	for _, c := range schema {
		now := find(d.columns, c.Name)
		if now == nil {
			return nil, changed(c.Name, "is gone since the run was planned")
		}
		if now.native != c.Native || now.typ.duck() != c.Type {
			return nil, changed(c.Name, fmt.Sprintf("was %s when the run was planned, and is %s now", c.Native, now.native))
		}
		if c.NotNull && !now.notNull {
			return nil, changed(c.Name, "was NOT NULL when the run was planned, and may be NULL now")
		}
		r.columns = append(r.columns, *now)
	}
	for _, c := range chunks {
		var b bounds
		if err := json.Unmarshal(c.Bounds, &b); err != nil {
			return nil, fmt.Errorf("decode the bounds of chunk %s: %w", c.Key, err)
		}
		r.chunks, r.rows = append(r.chunks, b), append(r.rows, c.Rows)
	}
	if st.Spool != "" {
		if err := r.openSpool(st.Spool); err != nil {
			return nil, err
		}
		return r, nil
	}
	conn, err := r.begin()
	if err != nil {
		return nil, err
	}
	r.idle = append(r.idle, conn)
	r.utf8 = conn.PgConn().ParameterStatus("server_encoding") == "UTF8"
	return r, nil
}

func changed(column, how string) error {
	return drover.Errorf(drover.Refused, "source column %s %s", column, how).WithHint("start again with --new")
}

// scanSettings are for statements that pick many rows of one table. Parallel workers would pass each row on through shared memory, which
// costs more than the scan. Compiling a statement (jit) costs as much as a task of a large table. A bitmap of the rows that is cut to
// work_mem has every row of a page looked at again.
var scanSettings = []string{
	"SET LOCAL jit = off",
	"SET LOCAL max_parallel_workers_per_gather = 0",
	"SELECT set_config('work_mem', '32MB', true) WHERE pg_size_bytes(current_setting('work_mem')) < 33554432",
}

// begin opens a transaction in which the source is what it was when it was described.
func (r *relation) begin() (*pgx.Conn, error) {
	var more []string
	if r.about.table != nil {
		more = scanSettings
	}
	conn, err := r.src.begin(r.ctx, r.snapshot, more...)
	if err != nil {
		return nil, r.explainSnapshot(err)
	}
	now, err := r.src.signature(r.ctx, conn, r.about)
	if err == nil && now != r.about.signature {
		err = r.difference(conn)
	}
	if err != nil {
		r.src.end(r.ctx, conn)
		return nil, err
	}
	return conn, nil
}

// snapshotEnded reports whether err says that the server does not know the snapshot.
func snapshotEnded(snapshot string, err error) bool {
	var e *drover.Error
	return snapshot != "" && errors.As(err, &e) && (e.Code == "42704" || e.Code == "22023")
}

func (r *relation) explainSnapshot(err error) error {
	if snapshotEnded(r.snapshot, err) {
		return drover.Errorf(drover.Refused, "the snapshot that this run reads has ended with the process that held it, so the rest of its pages can no longer be read").
			WithHint("delete the rows that the run has committed, if the sink's mode shows them (append), then start afresh with --new; " +
				"a run over chunk: {by: COLUMN}, or over a table with a primary key, can be resumed")
	}
	return err
}

// difference names the column that has changed while the source was open.
func (r *relation) difference(conn *pgx.Conn) error {
	now, err := r.src.read(r.ctx, conn)
	if err != nil {
		return err
	}
	r.src.mu.Lock()
	r.src.about = nil // whoever opens it next sees what it is now
	r.src.mu.Unlock()
	for _, c := range r.columns {
		switch n := find(now.columns, c.name); {
		case n == nil:
			return changed(c.name, "is gone since the run was planned")
		case n.native != c.native:
			return changed(c.name, fmt.Sprintf("was %s when the run was planned, and is %s now", c.native, n.native))
		}
	}
	return drover.Errorf(drover.Transient, "%s has changed while it was read", r.src.spec.String())
}

// take returns a connection in a transaction of the relation.
func (r *relation) take() (*pgx.Conn, error) {
	r.mu.Lock()
	if k := len(r.idle) - 1; k >= 0 {
		conn := r.idle[k]
		r.idle = r.idle[:k]
		r.mu.Unlock()
		return conn, nil
	}
	r.mu.Unlock()
	return r.begin()
}

func (r *relation) give(conn *pgx.Conn, err error) {
	if err != nil {
		closeConn(conn)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, conn)
}

// stream starts to read the given columns (indexes of the schema) of the given chunks. The columns are the first fields of the
// tuples, in their order.
func (r *relation) stream(columns, chunks []int) (*stream, error) {
	return r.streamOf(r.feed, columns, chunks)
}

func (r *relation) streamOf(from feeder, columns, chunks []int) (*stream, error) {
	f, err := from(columns, chunks)
	if err != nil {
		return nil, err
	}
	return startStream(r.ctx, &r.src.batches, f), nil
}

// pump is stream for one who takes a batch at a time.
func (r *relation) pump(columns, chunks []int, each func(*batch) error) error {
	f, err := r.feed(columns, chunks)
	if err != nil {
		return err
	}
	return pump(r.ctx, &r.src.batches, f, each)
}

// feed is what reads the given columns of the given chunks. It must be run.
func (r *relation) feed(columns, chunks []int) (feed, error) {
	if r.kept != nil {
		return r.kept.feed(r, columns, chunks), nil
	}
	if r.spool != nil {
		run := func(s *stream) error {
			for _, c := range chunks {
				s.pending = append(s.pending, statement{chunk: c})
				if err := r.spool.send(s, r.chunks[c].name(), columns); err != nil {
					return err
				}
			}
			return s.flush()
		}
		return feed{fields: len(columns), count: r.count, run: run}, nil
	}
	p, err := r.statements(columns, chunks)
	if err != nil {
		return feed{}, err
	}
	conn, err := r.take()
	if err != nil {
		return feed{}, err
	}
	if err := r.pass(conn, p); err != nil {
		r.give(conn, err)
		return feed{}, err
	}
	return r.src.copyOut(conn.PgConn(), p, r.count, func(err error) { r.give(conn, err) }), nil
}

// count adds the rows of a batch.
func (r *relation) count(segments []segment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := int32(0)
	for _, g := range segments {
		c := &r.counts[g.chunk]
		c.Rows += int64(g.end - from)
		c.Bytes += int64(g.bytes)
		from = g.end
	}
}

// Count implements connector.Relation.
func (r *relation) Count(i int) connector.Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts[i]
	if len(r.where) == 0 { // the chunk's bounds are all that the server leaves rows out by
		c.Scanned = new(c.Rows)
	}
	return c
}

// Recount implements connector.Recounter: the next stream reads in the same transaction.
func (r *relation) Recount() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.counts)
}

// All implements connector.Relation.
func (r *relation) All() string {
	if r.all == "" {
		r.all = r.register(r.everyChunk(), r.feed)
	}
	return r.all
}

// Chunk implements connector.Relation.
func (r *relation) Chunk(i int) string { return r.register([]int{i}, r.feed) }

// feeder is feed, or like it.
type feeder = func(columns, chunks []int) (feed, error)

// register makes chunks readable in the session.
func (r *relation) register(chunks []int, from feeder) string {
	name, remove, err := r.session.AddScan(r.scanned(), func() (duck.Filler, error) {
		sc := &scan{rel: r, chunks: chunks, from: from}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.scans = append(r.scans, sc)
		return sc.fill, nil
	})
	if err != nil {
		// The interface has no error here: the query that reads the relation reports it.
		return "(SELECT error(" + literal(err.Error()) + "))"
	}
	r.remove = append(r.remove, remove)
	return "(SELECT * FROM " + name + ")"
}

// scanned returns the columns of a scan: the relation's, those without a DuckDB type as their raw bytes, and the tag.
func (r *relation) scanned() drover.Schema {
	schema := make(drover.Schema, 0, len(r.columns)+1)
	for _, c := range r.columns {
		typ := c.typ.duck()
		if typ == "" {
			typ = "BLOB"
		}
		schema = append(schema, drover.Column{Name: c.name, Type: typ})
	}
	return append(schema, drover.Column{Name: step.Tag, Type: "BIGINT"})
}

// everyChunk returns the indexes of all chunks.
func (r *relation) everyChunk() []int {
	all := make([]int, len(r.chunks))
	for i := range all {
		all[i] = i
	}
	return all
}

// Close implements connector.Relation.
func (r *relation) Close() error {
	for _, sc := range r.scans {
		sc.close()
	}
	for _, remove := range r.remove {
		remove()
	}
	r.mu.Lock()
	idle := r.idle
	r.idle, r.scans, r.remove = nil, nil, nil
	r.mu.Unlock()
	for _, conn := range idle {
		r.src.end(r.ctx, conn)
	}
	k := r.kept
	r.kept = nil
	if k == nil || r.borrowed {
		return nil
	}
	return k.close()
}
