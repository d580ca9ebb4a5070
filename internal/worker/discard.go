package worker

import (
	"context"
	"strings"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// discard is the sink of a dry run: it reads and transforms everything, counts, and writes nothing.
type discard struct{}

func (discard) Write(ctx context.Context, attempt connector.Attempt, open func(context.Context, []connector.Chunk) (connector.Input, error)) ([]connector.Receipt, error) {
	in, err := open(ctx, attempt.Chunks)
	if err != nil {
		return nil, err
	}
	n := len(attempt.Chunks)
	out, err := compute(ctx, in, n)
	if err != nil {
		return nil, err
	}
	receipts := make([]connector.Receipt, n)
	for i, chunk := range attempt.Chunks {
		count := in.Relation.Count(i)
		receipts[i] = connector.Receipt{
			ChunkID: chunk.ID, Token: attempt.Token, RowsIn: count.Rows, RowsOut: out[i],
			RowsScanned: count.Scanned, BytesIn: count.Bytes, PeakMemory: in.PeakMemory(),
		}
		in.Mark(&receipts[i], i)
	}
	return receipts, nil
}

// Try implements connector.Trier.
func (d discard) Try(context.Context, connector.Run) (connector.Trial, error) { return d, nil }

// Rows implements connector.Trial: only what a step refuses is found without a sink.
func (discard) Rows(ctx context.Context, in connector.Input, chunks int) error {
	_, err := compute(ctx, in, chunks)
	return err
}

// Close implements connector.Trial.
func (discard) Close() error { return nil }

// compute reads and transforms an input of n chunks and counts its rows by chunk.
func compute(ctx context.Context, in connector.Input, n int) ([]int64, error) {
	rows, err := in.Session.Query(ctx, computed(in, n))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]int64, n)
	for {
		c, err := rows.Next()
		if err != nil {
			return nil, err
		}
		if c.Rows() == 0 {
			return out, nil
		}
		for _, tag := range duck.Data[int64](c.Vector(c.Columns() - 1))[:c.Rows()] {
			out[tag]++
		}
	}
}

// computed is the input's query without the columns that repeat a source column: a run may move those without reading them, whatever they
// hold.
func computed(in connector.Input, n int) string {
	var columns []string
	for _, c := range in.Output {
		if c.From == "" {
			columns = append(columns, duck.Ident(c.Name))
		}
	}
	return "SELECT " + strings.Join(append(columns, step.Tag), ", ") + " FROM (" + in.Query(n) + ")"
}
