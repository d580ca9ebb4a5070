package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
	"github.com/jackc/pgx/v5/pgconn"
)

// loaded is what load wrote of one chunk: rows, and their bytes in binary COPY.
type loaded struct{ rows, bytes int64 }

// load runs the program of in over the n chunks of an attempt and streams its rows into conn as binary COPY, inside the caller's
// open transaction. copySQL is "COPY t (a, b) FROM STDIN (FORMAT binary)"; columns are the target's columns in its order, one per
// column of in.Output. It returns the counts of each chunk. On error the transaction, or the connection, is beyond use, and
// no goroutine of load is left.
//
// Where the rows come from Postgres and the program is row-wise, columns that it leaves alone are copied from the
// input's bytes and never decoded. The rows are the same either way.
func load(ctx context.Context, conn *pgconn.PgConn, copySQL string, in connector.Input, n int, columns []column) ([]loaded, error) {
	if len(columns) != len(in.Output) {
		return nil, fmt.Errorf("load: %d columns for an output of %d", len(columns), len(in.Output))
	}
	ld := &loader{in: in, columns: columns, counts: make([]loaded, n)}
	prepare := ld.prepare
	rel, fromPostgres := in.Relation.(*relation)
	if fromPostgres && in.Program.RowWise {
		prepare = func() (pass, error) { return ld.prepareSplice(ctx, rel) }
	}
	run, err := prepare()
	if err != nil {
		return nil, err
	}
	defer run.close()
	ld.out = startCopy(ctx, conn, copySQL)
	if err := run.rows(ctx); err != nil {
		if first := ld.out.abort(); first != nil {
			return nil, first
		}
		return nil, err
	}
	if err := ld.out.end(); err != nil {
		return nil, err
	}
	return ld.counts, nil
}

// pass sends all rows.
type pass interface {
	rows(ctx context.Context) error
	close()
}

// loader is one call of load.
type loader struct {
	in      connector.Input
	columns []column
	counts  []loaded
	out     *copyIn

	rowsOut, bytesOut int64
	told              int64 // rowsOut at the last call of Progress
}

// encoders returns an encoder for each of the given output columns, and their expressions over the program's rows, with Tag as the last
// one.
func (ld *loader) encoders(outputs []int) (encs []encoder, list []string, err error) {
	for _, k := range outputs {
		o := ld.in.Output[k]
		enc, cast, err := newEncoder(o.Type, ld.columns[k].typ)
		if o.Type == "" && err == nil {
			err = ld.sameAsSource(o, ld.columns[k])
		}
		if err != nil {
			e := drover.Errorf(drover.Invalid, "column %s: %w", o.Name, err).WithHint("convert it in a step: cast: {%s: TYPE}", o.Name)
			e.Column = o.Name
			return nil, nil, e
		}
		expr := duck.Ident(o.Name)
		if cast != "" {
			expr = "CAST(" + expr + " AS " + cast + ")"
		}
		encs = append(encs, enc)
		list = append(list, expr)
	}
	return encs, append(list, duck.Ident(step.Tag)), nil
}

// sameAsSource refuses to move bytes between types of different forms: nothing behind this would notice.
func (ld *loader) sameAsSource(o drover.Column, target column) error {
	rel, ok := ld.in.Relation.(*relation)
	if s := ld.in.Source.Index(o.From); ok && s >= 0 && rel.columns[s].typ.sameForm(target.typ) {
		return nil
	}
	return fmt.Errorf("%s cannot be stored as %s", o.Native, target.native)
}

// sent counts one row of a chunk.
func (ld *loader) sent(chunk int64, bytes int) {
	ld.out.rows++
	ld.counts[chunk].rows++
	ld.counts[chunk].bytes += int64(bytes)
	ld.rowsOut++
	ld.bytesOut += int64(bytes)
}

// progress tells the totals.
func (ld *loader) progress() {
	ld.told = ld.rowsOut
	var rows, bytes int64
	for i := range ld.counts {
		c := ld.in.Relation.Count(i)
		rows += c.Rows
		bytes += c.Bytes
	}
	ld.in.Progress(rows, ld.rowsOut, bytes, ld.bytesOut)
}

// wholePass encodes every column of every row. The rows of a row-wise program are consumed inside their query: on the way out of it DuckDB would
// copy each text once more. Those of other programs are streamed, in the order that the program gives them.
type wholePass struct {
	*loader
	encs    []encoder
	queries []string
	remove  func()
	mu      sync.Mutex // a session of several threads sends from all of them
}

// prepare readies the pass that serves every source and program.
func (ld *loader) prepare() (pass, error) {
	all := make([]int, len(ld.columns))
	for i := range all {
		all[i] = i
	}
	encs, list, err := ld.encoders(all)
	if err != nil {
		return nil, err
	}
	p := &wholePass{loader: ld, encs: encs, remove: func() {}}
	if ld.in.Program.RowWise {
		var query string
		query, p.remove = ld.in.Session.AddConsumer(ld.in.Program.Over(ld.in.Relation.All()), list, p.send)
		p.queries = []string{query}
		return p, nil
	}
	wrapped := func(program string) string { return "SELECT " + strings.Join(list, ", ") + " FROM (" + program + ")" }
	for i := range ld.counts {
		p.queries = append(p.queries, wrapped(ld.in.Program.Chunk(ld.in.Relation.Chunk(i), i)))
	}
	return p, nil
}

func (p *wholePass) close() { p.remove() }

func (p *wholePass) rows(ctx context.Context) error {
	for _, q := range p.queries {
		if err := p.query(ctx, q); err != nil {
			return err
		}
	}
	p.progress()
	return nil
}

// progressRows is how many rows pass between two calls of Progress.
const progressRows = 4 * duck.VectorSize

func (p *wholePass) query(ctx context.Context, sql string) error {
	rows, err := p.in.Session.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for {
		c, err := rows.Next()
		if err != nil || c.Rows() == 0 {
			return err
		}
		if p.in.Program.RowWise {
			continue // the row count of what was consumed
		}
		if err := p.send(c); err != nil {
			return err
		}
	}
}

func (p *wholePass) send(c duck.Chunk) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := c.Rows()
	for k, e := range p.encs {
		e.bind(c.Vector(k), n)
	}
	tags := duck.Data[int64](c.Vector(len(p.encs)))
	for i := range n {
		dst := p.out.buf
		start := len(dst)
		dst = append(dst, byte(len(p.encs)>>8), byte(len(p.encs)))
		for k, e := range p.encs {
			var err error
			if dst, err = e.append(dst, i); err != nil {
				return encodeError(&p.columns[k], p.in.Output[k].Type, err)
			}
		}
		p.out.buf = dst
		p.sent(tags[i], len(dst)-start)
		if err := p.out.flush(false); err != nil {
			return err
		}
	}
	if p.rowsOut-p.told >= progressRows {
		p.progress()
	}
	return nil
}
