package python

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

const (
	// leastRows is how many rows a batch has room for where nothing is known of the chunk.
	leastRows = 32 << 10
	// mostRoom bounds a buffer, so that 32-bit offsets hold whatever it counts: 8 booleans a byte.
	mostRoom = 1<<28 - 64
)

// gatherer writes the chunks of a run into shared memory. It remembers how large they are: what it has room for costs nothing until it is written.
type gatherer struct {
	memory *segment // that is written to
	used   int      // of the memory
	// rates are the bytes a row of each buffer in the last batch, expected is the rows of the last chunk.
	rates    []float64
	expected int

	body  *body
	head  int // where the present batch's metadata begins
	needs []int
}

// write writes rows to their end as an IPC stream from a memory's beginning, and returns the stream's length.
func (g *gatherer) write(memory *segment, rows array.RecordReader) (int, error) {
	g.memory, g.used, g.body = memory, 0, nil
	write := g.gather
	if fields := rows.Schema().Fields(); len(fields) == 0 || !plain(fields) {
		write = g.stream
	}
	if err := write(rows); err != nil {
		return 0, fmt.Errorf("write rows for Python: %w", err)
	}
	return g.used, rows.Err()
}

// stream writes batches as they come.
func (g *gatherer) stream(rows array.RecordReader) error {
	w := ipc.NewWriter(g, ipc.WithSchema(rows.Schema()))
	for rows.Next() {
		if err := w.Write(rows.RecordBatch()); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

// Write appends to the stream.
func (g *gatherer) Write(p []byte) (int, error) {
	if err := g.memory.grow(g.used + len(p)); err != nil {
		return 0, err
	}
	g.used += copy(g.memory.data[g.used:], p)
	return len(p), nil
}

// gather writes as few batches as there can be.
func (g *gatherer) gather(rows array.RecordReader) error {
	schema, err := schemaMessage(rows.Schema())
	if err != nil {
		return err
	}
	if _, err := g.Write(schema); err != nil {
		return err
	}
	total := 0
	for rows.Next() {
		rec := rows.RecordBatch()
		n := int(rec.NumRows())
		g.needs = g.needs[:0]
		for _, c := range rec.Columns() {
			g.needs = measure(g.needs, c.Data(), 0, n)
		}
		if g.body != nil && !g.body.fits(g.needs) {
			g.end()
		}
		if g.body == nil {
			if err := g.begin(rec.Schema().Fields(), max(leastRows, total, g.expected-total)); err != nil {
				return err
			}
		}
		g.body.add(rec.Columns(), n)
		total += n
	}
	if g.body != nil {
		g.end()
	}
	g.expected = total
	_, err = g.Write(endOfStream())
	return err
}

// begin has a batch with room for needs, and for as many rows like those before.
func (g *gatherer) begin(fields []arrow.Field, rows int) error {
	nodes, regions := shapeOf(fields)
	if len(g.rates) != regions {
		g.rates = make([]float64, regions)
	}
	b := &body{nodes: make([]node, nodes), regions: make([]region, regions)}
	g.head = g.used
	at := g.head + len(appendBatchHead(nil, b, g.head, 0, 0))
	for i := range b.regions {
		room := max(g.needs[i], min(mostRoom, int(g.rates[i]*float64(rows)*9/8)))
		b.regions[i] = region{at: at, room: aligned(room)}
		at += b.regions[i].room
	}
	if err := g.memory.grow(at); err != nil {
		return err
	}
	b.data, g.body = g.memory.data, b
	return nil
}

// end writes the metadata of the batch, whose body ends with its last buffer.
func (g *gatherer) end() {
	b := g.body
	for i := range b.regions {
		g.rates[i] = float64(b.regions[i].size) / float64(max(b.rows, 1))
	}
	b.end()
	last := b.regions[len(b.regions)-1]
	body := b.regions[0].at
	length := aligned(last.at + last.size - body)
	copy(b.data[g.head:], appendBatchHead(nil, b, g.head, body, length))
	g.used, g.body = body+length, nil
}

// endOfStream follows the last message: no metadata.
func endOfStream() []byte { return binary.LittleEndian.AppendUint64(nil, continuation) }

// schemaMessage is the beginning of a stream.
func schemaMessage(schema *arrow.Schema) ([]byte, error) {
	var b bytes.Buffer
	if err := ipc.NewWriter(&b, ipc.WithSchema(schema)).Close(); err != nil {
		return nil, fmt.Errorf("encode a schema: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), endOfStream()), nil
}
