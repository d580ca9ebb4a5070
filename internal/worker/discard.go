package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/step"
)

// discard is the sink of a dry run: it reads and transforms everything, counts, and writes nothing.
type discard struct {
	// expect are expectations of single rows, which it holds against the rows that it makes.
	expect []drover.Expectation
	// source is the columns before any step. broken is what the last attempt found.
	source drover.Schema
	broken []expect.Broken
}

func (d *discard) Write(ctx context.Context, attempt connector.Attempt, open func(context.Context, []connector.Chunk) (connector.Input, error)) ([]connector.Receipt, error) {
	in, err := open(ctx, attempt.Chunks)
	if err != nil {
		return nil, err
	}
	n := len(attempt.Chunks)
	var out []int64
	if d.broken = nil; len(d.expect) == 0 {
		out, err = compute(ctx, in, n)
	} else {
		out, err = d.judge(ctx, in, n)
	}
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

// rehearsedTable holds what expectations look at of the rows of an attempt, on disk where memory is short.
const rehearsedTable = "drover_rehearsed"

// judge is compute, and holds the rows against the expectations.
func (d *discard) judge(ctx context.Context, in connector.Input, n int) (out []int64, err error) {
	bound, err := expect.Bind(ctx, in.Session, d.expect, d.source, in.Output)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	out = make([]int64, n)
	columns := seen(in.Output)
	held := expect.Held(bound, in.Output)
	for _, c := range held {
		if name := duck.Ident(c.Name); !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	// Every computed column is evaluated, and those that are looked at are kept.
	query, remove := in.Session.AddTap("SELECT "+strings.Join(append(columns, step.Tag), ", ")+" FROM ("+in.Query(n)+")", append(columns, step.Tag), func(c duck.Chunk) error {
		mu.Lock()
		defer mu.Unlock()
		for _, tag := range duck.Data[int64](c.Vector(len(columns)))[:c.Rows()] {
			out[tag]++
		}
		return nil
	})
	defer remove()
	names := make([]string, len(held))
	for i, c := range held {
		names[i] = duck.Ident(c.Name)
	}
	if err := in.Session.Exec(ctx, "CREATE OR REPLACE TEMP TABLE "+rehearsedTable+" AS SELECT "+strings.Join(names, ", ")+" FROM ("+query+")"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Session.Exec(ctx, "DROP TABLE IF EXISTS temp."+rehearsedTable)) }()
	rows := expect.Staged{Session: in.Session, Input: d.source, Output: held, Part: true, Relation: func() string { return "(SELECT * FROM temp." + rehearsedTable + ")" }}
	if _, d.broken, err = expect.Check(ctx, rows, d.expect); err != nil {
		return nil, fmt.Errorf("check what a dry run makes: %w", err)
	}
	return out, nil
}

// Try implements connector.Trier.
func (d *discard) Try(context.Context, connector.Run) (connector.Trial, error) { return d, nil }

// Rows implements connector.Trial: only what a step refuses is found without a sink.
func (*discard) Rows(ctx context.Context, in connector.Input, chunks int) error {
	_, err := compute(ctx, in, chunks)
	return err
}

// Close implements connector.Trial.
func (*discard) Close() error { return nil }

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
	return "SELECT " + strings.Join(append(seen(in.Output), step.Tag), ", ") + " FROM (" + in.Query(n) + ")"
}

// seen are the columns that steps compute.
func seen(output drover.Schema) []string {
	var columns []string
	for _, c := range output {
		if c.From == "" {
			columns = append(columns, duck.Ident(c.Name))
		}
	}
	return columns
}
