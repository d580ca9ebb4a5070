package worker

import (
	"context"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
)

// discard is the sink of a dry run: it reads and transforms everything, counts, and writes nothing.
type discard struct{}

func (discard) Write(ctx context.Context, attempt connector.Attempt, open func(context.Context, []connector.Chunk) (connector.Input, error)) ([]connector.Receipt, error) {
	in, err := open(ctx, attempt.Chunks)
	if err != nil {
		return nil, err
	}
	n := len(attempt.Chunks)
	rows, err := in.Session.Query(ctx, in.Query(n))
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
			break
		}
		for _, tag := range duck.Data[int64](c.Vector(c.Columns() - 1))[:c.Rows()] {
			out[tag]++
		}
	}
	receipts := make([]connector.Receipt, n)
	for i, chunk := range attempt.Chunks {
		count := in.Relation.Count(i)
		receipts[i] = connector.Receipt{
			ChunkID: chunk.ID, Token: attempt.Token, RowsIn: count.Rows, RowsOut: out[i],
			RowsScanned: count.Scanned, BytesIn: count.Bytes, PeakMemory: in.PeakMemory(),
		}
	}
	return receipts, nil
}

func (discard) Close() error { return nil }
