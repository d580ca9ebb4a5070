package worker

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/downcast"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/protocol"
)

// profiler measures one chunk: each pass reads it again and does one thing more than the pass before. Nothing of it stays in the sink.
type profiler struct {
	connector.Sink
	measured *protocol.Profile
}

type opener = func(context.Context, []connector.Chunk) (connector.Input, error)

func (p *profiler) Write(ctx context.Context, attempt connector.Attempt, open opener) ([]connector.Receipt, error) {
	p.measured = nil
	var m protocol.Profile
	begun := time.Now()
	if err := read(ctx, attempt, open); err != nil {
		return nil, err
	}
	m.Read = time.Since(begun)
	begun, used := time.Now(), cpu()
	receipts, err := discard{}.Write(ctx, attempt, open)
	if err != nil {
		return nil, err
	}
	m.Transform, m.CPU = time.Since(begun), cpu()-used
	m.Total = m.Transform
	r := receipts[0]
	m.RowsIn, m.RowsOut, m.BytesIn = r.RowsIn, r.RowsOut, r.BytesIn
	if rehearser, ok := p.Sink.(connector.Rehearser); ok {
		in, err := open(ctx, attempt.Chunks)
		if err != nil {
			return nil, err
		}
		begun, used = time.Now(), cpu()
		if m.BytesOut, err = rehearser.Rehearse(ctx, in); err != nil {
			return nil, fmt.Errorf("rehearse the writing: %w", err)
		}
		m.Total, m.CPU, m.Rehearsed = time.Since(begun), cpu()-used, true
		m.BytesIn = max(m.BytesIn, in.Relation.Count(0).Bytes)
	}
	in, err := open(ctx, attempt.Chunks)
	if err != nil {
		return nil, err
	}
	m.PeakMemory = in.PeakMemory() // what follows is no part of a run
	if t, ok := in.Relation.(connector.ServerTimer); ok {
		if m.Server, err = t.ServerTime(ctx); err != nil {
			return nil, err
		}
	}
	if m.Columns, err = statistics(ctx, in); err != nil {
		return nil, err
	}
	p.measured = &m
	return receipts, nil
}

// read reads the columns that the output needs and does nothing with them.
func read(ctx context.Context, attempt connector.Attempt, open opener) error {
	in, err := open(ctx, attempt.Chunks)
	if err != nil {
		return err
	}
	list := idents(readable(in.Source))
	if list == "" {
		list = "1"
	}
	rows, err := in.Session.Query(ctx, "SELECT "+list+" FROM "+in.Relation.All())
	if err != nil {
		return err
	}
	defer rows.Close()
	for {
		c, err := rows.Next()
		if err != nil || c.Rows() == 0 {
			return err
		}
	}
}

// statistics looks at the values of the output's columns.
func statistics(ctx context.Context, in connector.Input) ([]downcast.Stats, error) {
	columns := readable(in.Output)
	if len(columns) == 0 {
		return nil, nil
	}
	rows, err := in.Session.Texts(ctx, downcast.Query(columns, "(SELECT "+idents(columns)+" FROM ("+in.Query(1)+"))"))
	if err != nil {
		return nil, fmt.Errorf("look at the columns' values: %w", err)
	}
	return downcast.Parse(columns, rows[0])
}

// readable returns the columns that DuckDB can read.
func readable(columns drover.Schema) drover.Schema {
	var list drover.Schema
	for _, c := range columns {
		if c.Type != "" {
			list = append(list, c)
		}
	}
	return list
}

func idents(columns drover.Schema) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = duck.Ident(c.Name)
	}
	return strings.Join(list, ", ")
}

// cpu is the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
