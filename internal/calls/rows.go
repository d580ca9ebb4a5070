package calls

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// rows yields a query's rows as record batches, without step.Tag. It implements array.RecordReader.
type rows struct {
	refs    atomic.Int64
	convert *duck.ArrowWriter
	schema  *arrow.Schema
	// read returns the next chunk, of which the rows from..to count; none at the end.
	read    func() (c duck.Chunk, from, to int, err error)
	current arrow.RecordBatch
	// first was read ahead, to know whether there is any.
	first   arrow.RecordBatch
	err     error
	closers []func()
	// took is the time of making the rows, but for the first.
	took time.Duration
}

// queryRows runs a query that makes rows of the k-th function, and step.Tag. It returns nil where there are none.
func (r *Runner) queryRows(ctx context.Context, k int, query string) (*rows, error) {
	result, err := r.session.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return r.newRows(k, func() (duck.Chunk, int, int, error) {
		c, err := result.Next()
		return c, 0, c.Rows(), err
	}, result.Close)
}

// newRows returns nil where there are no rows. done is called once they are not needed any more.
func (r *Runner) newRows(k int, read func() (duck.Chunk, int, int, error), done func()) (*rows, error) {
	convert := r.converters[k]
	n := &rows{read: read, convert: convert, schema: declared(convert.Schema(), r.calls[k].Input), closers: []func(){done}}
	n.refs.Store(1)
	if !n.Next() {
		defer n.Release()
		return nil, n.err
	}
	n.first, n.current, n.took = n.current, nil, 0
	return n, nil
}

func (r *rows) Schema() *arrow.Schema          { return r.schema }
func (r *rows) RecordBatch() arrow.RecordBatch { return r.current }
func (r *rows) Record() arrow.RecordBatch      { return r.current }
func (r *rows) Err() error                     { return r.err }
func (r *rows) Retain()                        { r.refs.Add(1) }

func (r *rows) Release() {
	if r.refs.Add(-1) > 0 {
		return
	}
	for _, b := range []arrow.RecordBatch{r.current, r.first} {
		if b != nil {
			b.Release()
		}
	}
	r.current, r.first = nil, nil
	for _, c := range slices.Backward(r.closers) {
		c()
	}
	r.closers = nil
}

func (r *rows) Next() bool {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
	if r.first != nil {
		r.current, r.first = r.first, nil
		return true
	}
	if r.err != nil {
		return false
	}
	began := time.Now()
	defer func() { r.took += time.Since(began) }()
	c, from, to, err := r.read()
	if err != nil || from == to {
		r.err = err
		return false
	}
	whole, err := r.convert.Batch(c)
	if err != nil {
		r.err = err
		return false
	}
	defer whole.Release()
	all := array.NewRecordBatch(r.schema, whole.Columns()[:r.schema.NumFields()], whole.NumRows())
	defer all.Release()
	r.current = all.NewSlice(int64(from), int64(to))
	return true
}

// sorted hands out the rows of a task's chunks one chunk after the other, all read in one pass: a source may read its chunks together faster than
// each by itself. Where the source does not put them in this order, DuckDB sorts them, on disk where memory is short.
type sorted struct {
	result *duck.Rows
	// current is the chunk that is read, with the chunk of the task that each of its rows belongs to, and at the next row. It is empty at the end.
	current duck.Chunk
	tags    []int64
	at      int
	last    int64 // the chunk of the last of them
	ended   bool
}

// sort starts to read a task's rows in the order of its chunks.
func (r *Runner) sort(ctx context.Context, source connector.Relation) (*sorted, error) {
	before := r.calls[0].Before
	query := ""
	if g, ok := source.(connector.Grouper); ok {
		query = before.Over(g.Grouped()) // row by row, and so in the same order
	} else {
		query = "SELECT * FROM (" + before.Over(source.All()) + ") ORDER BY " + step.Tag
	}
	result, err := r.session.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return &sorted{result: result}, nil
}

// next returns the next rows of the i-th chunk. Chunks are asked for in order, each once those before are read.
func (s *sorted) next(i int) (c duck.Chunk, from, to int, err error) {
	return s.while(func(chunk int) bool { return chunk == i })
}

// while returns the next rows, as long as their chunks are wanted. wanted is asked for every row.
func (s *sorted) while(wanted func(chunk int) bool) (c duck.Chunk, from, to int, err error) {
	if s.at == len(s.tags) && !s.ended {
		if s.current, err = s.result.Next(); err != nil {
			return s.current, 0, 0, err
		}
		s.tags, s.at, s.ended = nil, 0, s.current.Rows() == 0
		if !s.ended {
			s.tags = duck.Data[int64](s.current.Vector(s.current.Columns() - 1))[:s.current.Rows()]
			if !slices.IsSorted(s.tags) || s.tags[0] < s.last {
				return s.current, 0, 0, errors.New("the rows of a task are not in the order of its chunks")
			}
			s.last = s.tags[len(s.tags)-1]
		}
	}
	from = s.at
	for s.at < len(s.tags) && wanted(int(s.tags[s.at])) {
		s.at++
	}
	return s.current, from, s.at, nil
}

func (s *sorted) close() { s.result.Close() }
