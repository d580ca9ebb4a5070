package calls

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
	"github.com/droverdata/drover/internal/step/function"
)

// relation is what a program's last function returned for each chunk of a task.
type relation struct {
	ctx    context.Context // DuckDB's callbacks have none
	runner *Runner
	source connector.Relation
	chunks []connector.Chunk
	out    *duck.Session
	// columns are the last function's as DuckDB reads them from Arrow, and step.Tag.
	columns drover.Schema
	closers []func()

	// mu is held by whoever calls a function: scans of several chunks may run side by side.
	mu sync.Mutex
	// sorted yields the first function's rows chunk after chunk; nil where each chunk is read by itself.
	sorted *sorted
}

// Over returns the relation of what the functions make of a source's chunks. It is scanned in the session out. Closing it closes
// source.
func (r *Runner) Over(ctx context.Context, out *duck.Session, source connector.Relation, chunks []connector.Chunk) connector.Relation {
	return &relation{ctx: ctx, runner: r, source: source, chunks: chunks, out: out, columns: tagged(r.answers[len(r.answers)-1])}
}

func (l *relation) Chunk(i int) string { return l.scan([]int{i}) }

func (l *relation) All() string {
	all := make([]int, len(l.chunks))
	for i := range all {
		all[i] = i
	}
	return l.scan(all)
}

func (l *relation) Count(i int) connector.Count { return l.source.Count(i) }

func (l *relation) Close() error {
	for _, c := range l.closers {
		c()
	}
	if l.sorted != nil {
		l.sorted.close()
	}
	return l.source.Close()
}

// scan registers a scan of some chunks, in this order.
func (l *relation) scan(chunks []int) string {
	sql, remove, err := l.out.AddScan(l.columns, func() (duck.Filler, error) {
		s := &scan{relation: l, more: l.each(chunks)}
		l.mu.Lock()
		defer l.mu.Unlock()
		if f, ok := l.batcher(); ok && len(chunks) > 1 {
			b := &batches{relation: l, function: f, most: firstRows}
			s.more = b.next
			l.closers = append(l.closers, b.stop) // where it is given up half-way, as the scan
		}
		l.closers = append(l.closers, s.close)
		return s.fill, nil
	})
	if err != nil {
		// The columns were declared when the job was bound. It is told where the relation is read.
		return "(SELECT error(" + duck.Literal("declare a function's columns: "+err.Error()) + "))"
	}
	l.closers = append(l.closers, remove)
	return selectAs(l.runner.Output(), l.columns, sql)
}

// each returns the answers for chunks, one by one.
func (l *relation) each(chunks []int) func() (answer, error) {
	left, together := chunks, len(chunks) > 1
	return func() (answer, error) {
		for len(left) > 0 {
			i := left[0]
			left = left[1:]
			rows, err := l.call(i, together)
			if err != nil || rows != nil {
				return answer{rows, whole(i)}, err
			}
		}
		return answer{}, nil
	}
}

// selectAs reads a scan whose columns are read, and step.Tag, with the types of columns.
func selectAs(columns, read drover.Schema, scan string) string {
	items := make([]string, 0, len(read))
	for i, c := range columns {
		item := duck.Ident(c.Name)
		if read[i].Type != c.Type {
			item = "CAST(" + item + " AS " + c.Type + ") AS " + item
		}
		items = append(items, item)
	}
	return "(SELECT " + strings.Join(append(items, step.Tag), ", ") + " FROM " + scan + ")"
}

// call runs all functions on the i-th chunk and returns the last one's answer; nil where it was not called, for want of rows.
func (l *relation) call(i int, together bool) (array.RecordReader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, err := l.first(i, together)
	if err != nil {
		return nil, err
	}
	chunk := l.about(i)
	answer, err := l.runner.one(l.ctx, 0, chunk, rows)
	for k := 1; k < len(l.runner.calls) && err == nil; k++ {
		if rows, err = l.between(k, i, answer); err == nil {
			answer, err = l.runner.one(l.ctx, k, chunk, rows)
		}
	}
	return answer, err
}

// about is what a function may know of the i-th chunk.
func (l *relation) about(i int) function.Chunk {
	return function.Chunk{ID: l.chunks[i].ID, Key: l.chunks[i].Key, Run: l.runner.run, Job: l.runner.job}
}

// one calls the k-th function and releases its rows, of which there may be none.
func (r *Runner) one(ctx context.Context, k int, chunk function.Chunk, rows *rows) (array.RecordReader, error) {
	if rows == nil {
		return nil, nil
	}
	defer rows.Release()
	began := time.Now()
	answer, err := r.functions[k].Call(ctx, chunk, rows)
	r.took += time.Since(began) - rows.took
	if rows.Err() != nil {
		if answer != nil {
			answer.Release()
		}
		return nil, rows.Err() // the function is not to blame
	}
	if err != nil {
		return nil, failed(ctx, r.calls[k], err)
	}
	return answer, nil
}

// first makes the rows of the first function.
func (l *relation) first(i int, together bool) (*rows, error) {
	r := l.runner
	before := r.calls[0].Before
	if !together || len(r.calls) > 1 || !before.RowWise {
		return r.queryRows(l.ctx, 0, before.Chunk(l.source.Chunk(i), i))
	}
	if l.sorted == nil {
		var err error
		if l.sorted, err = r.sort(l.ctx, l.source); err != nil {
			return nil, err
		}
	}
	return r.newRows(0, func() (duck.Chunk, int, int, error) { return l.sorted.next(i) }, func() {})
}

// between makes the rows of the k-th function out of the answer before it, which it releases.
func (l *relation) between(k, i int, before array.RecordReader) (*rows, error) {
	r := l.runner
	held := &relation{out: r.session, columns: tagged(r.answers[k-1])}
	s := &scan{relation: held, more: func() (answer, error) { return answer{}, nil }, current: answer{before, whole(i)}}
	sql, remove, err := r.session.AddScan(held.columns, func() (_ duck.Filler, err error) {
		if before != nil && s.filler == nil {
			s.filler, err = r.session.NewArrowFiller(before.Schema())
		}
		return s.fill, err
	})
	if err != nil {
		s.close()
		return nil, fmt.Errorf("declare a function's columns: %w", err)
	}
	rows, err := r.queryRows(l.ctx, k, r.calls[k].Before.Chunk(selectAs(r.calls[k-1].Output, held.columns, sql), i))
	if rows == nil {
		s.close()
		remove()
		return nil, err
	}
	rows.closers = slices.Insert(rows.closers, 0, s.close, remove)
	return rows, nil
}
