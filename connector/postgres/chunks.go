package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

const (
	// chunkBytes is the size that chunks have where the job says nothing, and leastChunk that of the chunks of a table of which that would make
	// few: workers wait for the last of them.
	chunkBytes = 64 << 20
	leastChunk = 16 << 20
	mostSmall  = 16
	// unindexedLimit is the size above which a table is not read by a column without an index.
	unindexedLimit = 1 << 30
	// defaultRow is the size of a row of which nothing is known.
	defaultRow = 256
)

// way is how a source is cut.
type way uint8

const (
	whole way = iota
	byValue
	byKeyList
	byRange
	byPages
)

// choose decides how to cut the source, or refuses.
func (s *source) choose(d *description, c drover.Chunking) (way, error) {
	t := d.table
	switch {
	case c.By != "":
		return s.chooseBy(d, c)
	case c.Spool:
		return 0, drover.Errorf(drover.Invalid, "chunk.spool groups rows by a column that chunk.by must name").WithField("chunk.spool")
	case c.Keys != "":
		return 0, drover.Errorf(drover.Invalid, "chunk.keys lists values of a column that chunk.by must name").WithField("chunk.keys")
	case c.Files > 0:
		return 0, drover.Errorf(drover.Invalid, "a postgres source has no files to chunk by").WithField("chunk.files")
	case t == nil && c.Rows > 0:
		return 0, drover.Errorf(drover.Refused, "a query has no primary key to cut into ranges of rows").WithField("chunk.rows").
			WithHint("chunk it by a column (chunk: {by: COLUMN}), or read the table itself")
	case t == nil, c.Rows == 0 && t.bytes <= leastChunk*3/2:
		return whole, nil
	case t.key() != nil:
		return byRange, nil
	case c.Rows == 0 && t.bytes <= chunkBytes*3/2:
		return whole, nil // a snapshot held for pages costs the resume
	case t.kind == "r" || t.kind == "m" || t.kind == "p":
		return byPages, nil
	case c.Rows > 0:
		return 0, drover.Errorf(drover.Refused, "%s has no primary key and no pages to cut into ranges of rows", t.name).WithField("chunk.rows").
			WithHint("chunk it by a column (chunk: {by: COLUMN})")
	}
	return whole, nil
}

func (s *source) chooseBy(d *description, c drover.Chunking) (way, error) {
	by, err := chunkColumn(d, c.By)
	if err != nil {
		return 0, err
	}
	if !by.typ.equal {
		return 0, drover.Errorf(drover.Refused, "column %s of type %s has no equality to chunk by", by.name, by.native).WithField("chunk.by")
	}
	if create := unindexed(d, c); create != "" && d.table.bytes > unindexedLimit {
		return 0, drover.Errorf(drover.Refused, "%s has %d MiB and no index led by %s: every task would scan all of it", d.table.name, d.table.bytes>>20, by.name).
			WithField("chunk.by").WithHint("%s; or add spool: true to read it once", create)
	}
	if c.Keys != "" {
		return byKeyList, nil
	}
	return byValue, nil
}

// unindexed returns the statement that creates the index that chunking by a column wants, or "".
func unindexed(d *description, c drover.Chunking) string {
	t := d.table
	if t == nil || c.By == "" || c.Spool || t.kind != "r" && t.kind != "p" && t.kind != "m" {
		return ""
	}
	by, err := chunkColumn(d, c.By)
	if err != nil || t.ledBy(by.name) {
		return ""
	}
	how := "CREATE INDEX CONCURRENTLY"
	if t.kind == "p" {
		how = "CREATE INDEX"
	}
	return fmt.Sprintf("%s ON %s (%s)", how, t.sql(), quote(by.name))
}

// Begin implements connector.Source. A source that is cut by pages fixes a snapshot, which lasts until Close.
func (s *source) Begin(ctx context.Context, c drover.Chunking, prior json.RawMessage) (json.RawMessage, error) {
	d, err := s.describe(ctx)
	if err != nil {
		return nil, err
	}
	st, err := decodeSourceState(prior)
	if err != nil {
		return nil, err
	}
	if st.Snapshot != "" {
		conn, err := s.begin(ctx, st.Snapshot)
		if err != nil {
			return nil, (&relation{snapshot: st.Snapshot}).explainSnapshot(err)
		}
		s.mu.Lock()
		held := s.holder != nil // by whom it ends
		s.mu.Unlock()
		if held || s.slots != nil {
			s.end(ctx, conn) // who planned the run keeps its snapshot; the few connections are for tasks
		} else {
			s.hold(conn)
		}
		return prior, nil
	}
	if st.Spool != "" {
		return prior, s.beginSpool(ctx, d, c, st.Spool)
	}
	if prior != nil {
		return prior, nil
	}
	// A plan that was given up may have begun before.
	if err := s.letGo(); err != nil {
		return nil, err
	}
	w, err := s.choose(d, c)
	if err != nil {
		return nil, err
	}
	if create := unindexed(d, c); create != "" {
		s.env.Warn("%s has no index led by %s, so every task scans the table. Create one: %s", d.table.name, c.By, create)
	}
	if d.table != nil && d.table.rowSecurity {
		s.env.Warn("%s: row-level security applies to this role: rows that its policies hide are not read", d.table.name)
	}
	if c.Spool {
		if st.Spool, err = s.spoolPath(); err != nil {
			return nil, err
		}
		if err := s.beginSpool(ctx, d, c, st.Spool); err != nil {
			return nil, err
		}
	}
	if w != byPages {
		return json.Marshal(st)
	}
	if s.env.Connections == 1 {
		return nil, drover.Errorf(drover.Invalid, "%s has no primary key, so one connection keeps the snapshot that its ranges of pages are read in, and tasks need others", d.table.name).
			WithField("limits.source_connections").WithHint("at least source_connections: 2, or chunk: {by: COLUMN}")
	}
	s.env.Warn("%s has no primary key, so its chunks are ranges of pages in one snapshot, which ends with this process: no other process can resume the run. "+
		"Use chunk: {by: COLUMN}, or add a primary key", d.table.name)
	conn, err := s.beginFor(ctx, forRun, "")
	if err != nil {
		return nil, err
	}
	s.hold(conn)
	if err := conn.QueryRow(ctx, "SELECT pg_export_snapshot()").Scan(&st.Snapshot); err != nil {
		return nil, wrap(err, "export the snapshot of the run")
	}
	return json.Marshal(st)
}

// beginSpool makes the spool file, unless another process of the run has left it complete.
func (s *source) beginSpool(ctx context.Context, d *description, c drover.Chunking, path string) error {
	if _, err := readSpool(path); err == nil {
		return nil
	}
	s.mu.Lock()
	s.spool = path
	s.mu.Unlock()
	return s.makeSpool(ctx, d, c, path)
}

// hold keeps a transaction open until letGo.
func (s *source) hold(conn *pgx.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holder = conn
}

// Chunks implements connector.Source.
func (s *source) Chunks(ctx context.Context, c drover.Chunking, data json.RawMessage) iter.Seq2[connector.Chunk, error] {
	return func(yield func(connector.Chunk, error) bool) {
		begun := time.Now()
		if err := s.cut(ctx, c, data, func(ch connector.Chunk) bool { return yield(ch, nil) }); err != nil {
			yield(connector.Chunk{}, s.explain(err, begun))
		}
	}
}

// cut yields the chunks until yield returns false.
func (s *source) cut(ctx context.Context, c drover.Chunking, data json.RawMessage, yield func(connector.Chunk) bool) error {
	st, err := decodeSourceState(data)
	if err != nil {
		return err
	}
	if st.Spool != "" {
		sp, err := readSpool(st.Spool)
		if err != nil {
			return err
		}
		for _, ch := range sp.Chunks {
			if !yield(ch) {
				break
			}
		}
		return nil
	}
	d, err := s.describe(ctx)
	if err != nil {
		return err
	}
	w, err := s.choose(d, c)
	if err != nil {
		return err
	}
	conn, err := s.begin(ctx, st.Snapshot)
	if err != nil {
		if snapshotEnded(st.Snapshot, err) {
			err = &drover.Error{Kind: drover.Transient, Message: "the connection that held the snapshot of the run was lost while " + d.table.name + " was cut", Cause: err}
		}
		return err
	}
	defer s.end(ctx, conn)
	p := planner{ctx: ctx, conn: conn, src: s, about: d, yield: yield}
	switch w {
	case byValue:
		return p.values(c)
	case byKeyList:
		return p.keyList(c)
	case byRange:
		return p.ranges(c)
	case byPages:
		return p.pages(c)
	}
	rows, bytes := int64(0), int64(0)
	if d.table != nil {
		rows, bytes = max(d.table.rows, 0), d.table.bytes
	}
	ch, err := bounds{}.chunk(wholeKey, rows, bytes)
	if err == nil {
		yield(ch)
	}
	return err
}

// planner cuts one source in one transaction.
type planner struct {
	ctx   context.Context
	conn  *pgx.Conn
	src   *source
	about *description
	yield func(connector.Chunk) bool
}

// rowBytes estimates the size of a row.
func (p *planner) rowBytes() int64 {
	if t := p.about.table; t != nil && t.rows > 0 {
		return max(t.bytes/t.rows, 1)
	}
	return defaultRow
}

// emit yields one chunk.
func (p *planner) emit(b bounds, key string, rows int64) (bool, error) {
	ch, err := b.chunk(key, rows, rows*p.rowBytes())
	return err == nil && p.yield(ch), err
}

// ranges steps through the index of the table's key, so many rows at a time. The ranges cover every value that the key may have.
func (p *planner) ranges(c drover.Chunking) error {
	t := p.about.table
	key := t.key()
	step := c.Rows
	if step == 0 {
		if done, err := p.quantiles(key); done || err != nil {
			return err
		}
		step = max(chunkBytes/p.rowBytes(), 1)
		if t.bytes <= chunkBytes*3/2 {
			_, err := p.emit(bounds{}, wholeKey, max(t.rows, 0))
			return err // to find where to cut would cost as much as it gains
		}
	}
	texts := make([]string, len(key))
	for i, k := range quoteQ(key) {
		texts[i] = k + "::text"
	}
	var after []string
	for {
		where, err := bounds{Columns: key, After: after}.where(p.about)
		if err != nil {
			return err
		}
		// The last range has no end: what is inserted behind it meanwhile belongs to it. So a range is the last one where no row is behind it. The
		// ORDER BY makes Postgres take that row from the index too: for EXISTS it would read the table from its beginning.
		ends, err := p.keys(fmt.Sprintf("SELECT array_to_json(ARRAY[%s])::text FROM %s%s ORDER BY %s OFFSET %d LIMIT 2",
			strings.Join(texts, ", "), p.src.from(p.about), where, strings.Join(quoteQ(key), ", "), step-1))
		if err != nil {
			return err
		}
		var upto []string
		if len(ends) == 2 {
			upto = ends[0]
		}
		b := bounds{Columns: key, After: after, Upto: upto}
		ok, err := p.emit(b, rangeKey(after, upto), step)
		if err != nil || !ok || upto == nil {
			return err
		}
		after = upto
	}
}

// one returns the JSON array of texts that sql selects, or nil for no row.
func (p *planner) one(sql string) ([]string, error) {
	keys, err := p.keys(sql)
	if len(keys) == 0 {
		return nil, err
	}
	return keys[0], nil
}

// keys returns the JSON arrays of texts that sql selects.
func (p *planner) keys(sql string) ([][]string, error) {
	rows, err := p.conn.Query(p.ctx, sql)
	if err != nil {
		return nil, wrap(err, "cut "+p.about.table.name+" by its key")
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, wrap(err, "cut "+p.about.table.name+" by its key")
	}
	keys := make([][]string, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &keys[i]); err != nil {
			return nil, fmt.Errorf("read a key of %s: %w", p.about.table.name, err)
		}
	}
	return keys, nil
}

// rangeKey names a range: "(100,200]", "(100,)" for the last, "(,)" for all.
func rangeKey(after, upto []string) string {
	key := "(" + strings.Join(after, " ") + "," + strings.Join(upto, " ")
	if upto == nil {
		return key + ")"
	}
	return key + "]"
}

// pages cuts the heap. A partitioned table's leaves are cut alike: a page number stands for that page of each of them.
func (p *planner) pages(c drover.Chunking) error {
	t := p.about.table
	total := max(t.bytes, 1)
	count := (total + chunkBytes - 1) / chunkBytes
	if c.Rows > 0 {
		rows := t.rows
		if rows < 0 { // never analysed
			rows = t.bytes / defaultRow
		}
		count = (rows + c.Rows - 1) / c.Rows
	}
	count = min(max(count, 1), max(t.pages, 1))
	for i := range count {
		b := bounds{Pages: &[2]int64{t.pages * i / count, t.pages * (i + 1) / count}}
		if i == count-1 {
			b.Pages[1] = -1
		}
		key := fmt.Sprintf("pages %d-", b.Pages[0])
		if b.Pages[1] >= 0 {
			key += fmt.Sprint(b.Pages[1] - 1)
		}
		ok, err := p.emit(b, key, max(t.rows, 0)/count)
		if err != nil || !ok {
			return err
		}
	}
	return nil
}
