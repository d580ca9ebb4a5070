package calls

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step/function"
)

const (
	// A batch has at most so many rows and bytes, but for a chunk that has more. The first of a task has firstRows. As long as the function is
	// done with a batch in less than quick, the next may have twice as many, up to mostRows; after one that has taken longer than slow, half as
	// many, down to one chunk.
	firstRows = 1 << 10
	mostRows  = 16 << 10
	mostBytes = 4 << 20
	quick     = time.Second / 4
	slow      = time.Second
)

// batches calls a function for a task's chunks, whose rows it hands over many chunks at a time: what that costs, small chunks share. While an
// answer is read, the next one is made, and the rows of the one after that are handed over.
type batches struct {
	*relation
	function function.Batcher
	most     int // rows of a batch
	// running are the batches whose answers were not taken, two at most.
	running []running
}

// running is a batch that was handed over.
type running struct {
	wait   func() (answer, error)
	cancel context.CancelFunc
}

// batcher returns the function if it takes many chunks at once.
func (l *relation) batcher() (function.Batcher, bool) {
	r := l.runner
	f, ok := r.functions[0].(function.Batcher)
	return f, ok && len(r.calls) == 1 && r.calls[0].Before.RowWise
}

// next returns the next answer. It has no rows after the last.
func (b *batches) next() (answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.running) == 0 {
		if err := b.start(); err != nil || len(b.running) == 0 {
			return answer{}, err
		}
	}
	ahead := b.function.Ahead()
	if ahead {
		if err := b.start(); err != nil {
			return answer{}, err
		}
	}
	a, err := b.finish()
	if err != nil || ahead {
		return a, err
	}
	if err := b.start(); err != nil {
		a.rows.Release()
		return answer{}, err
	}
	return a, nil
}

// start reads the next batch and starts the call for it. There is none after the last.
func (b *batches) start() error {
	r := b.runner
	if b.sorted == nil {
		var err error
		if b.sorted, err = r.sort(b.ctx, b.source); err != nil {
			return err
		}
	}
	in := &batch{relation: b.relation, most: b.most}
	var err error
	if in.rows, err = r.newRows(0, in.read, func() {}); err != nil || in.rows == nil {
		return err
	}
	defer in.Release()
	began := time.Now()
	ctx, cancel := context.WithCancel(b.ctx)
	wait, err := b.function.CallEach(ctx, in)
	r.took += time.Since(began) - in.took
	if err != nil {
		cancel()
		if in.Err() != nil {
			return in.Err() // the function is not to blame
		}
		return failed(b.ctx, r.calls[0], err)
	}
	b.running = append(b.running, running{cancel: cancel, wait: func() (answer, error) {
		defer cancel()
		a, err := wait()
		r.took += a.Took
		b.adapt(a.Took)
		if err != nil {
			return answer{}, failed(b.ctx, r.calls[0], err)
		}
		for i := range in.parts {
			in.parts[i].rows = a.Counts[i]
		}
		return answer{a.Rows, in.parts}, nil
	}})
	return nil
}

func (b *batches) adapt(took time.Duration) {
	if took < quick {
		b.most = min(2*b.most, mostRows)
	} else if took > slow {
		b.most = max(b.most/2, 1)
	}
}

func (b *batches) finish() (answer, error) {
	first := b.running[0]
	b.running = b.running[1:]
	return first.wait()
}

// stop ends the calls that run.
func (b *batches) stop() {
	for _, r := range b.running {
		r.cancel()
	}
	for len(b.running) > 0 {
		if a, err := b.finish(); err == nil {
			a.rows.Release()
		}
	}
}

// batch is the rows of the next chunks. It implements function.Batch.
type batch struct {
	*rows
	relation *relation
	most     int
	parts    []part
	count    int
	bytes    int64
}

func (b *batch) read() (duck.Chunk, int, int, error) { return b.relation.sorted.while(b.wants) }

// wants counts a row of a chunk, unless that is one too many.
func (b *batch) wants(chunk int) bool {
	last := len(b.parts) - 1
	if last < 0 || b.parts[last].chunk != chunk {
		if last >= 0 && (b.count+max(1, int(b.relation.chunks[chunk].Rows)) > b.most || b.bytes >= mostBytes) {
			return false
		}
		b.parts, last = append(b.parts, part{chunk: chunk}), last+1
	}
	b.parts[last].rows++
	b.count++
	return true
}

func (b *batch) Next() bool {
	if !b.rows.Next() {
		return false
	}
	for _, c := range b.RecordBatch().Columns() {
		b.bytes += size(c.Data())
	}
	return true
}

// size is the bytes of an array's buffers.
func size(a arrow.ArrayData) (n int64) {
	for _, b := range a.Buffers() {
		if b != nil {
			n += int64(b.Len())
		}
	}
	for _, c := range a.Children() {
		n += size(c)
	}
	return n
}

// Parts implements function.Batch.
func (b *batch) Parts() []function.Part {
	parts := make([]function.Part, len(b.parts))
	for i, p := range b.parts {
		parts[i] = function.Part{Chunk: b.relation.about(p.chunk), Rows: p.rows}
	}
	return parts
}
