package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/downcast"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/protocol"
)

// profiler is the sink of a task that finds something out about a chunk. Nothing of it stays in the sink.
type profiler struct {
	connector.Sink
	finding protocol.Finding
	// kept is the source columns that the stage reads or moves.
	kept     []string
	stage    *stage
	spec     protocol.Stage
	measured *protocol.Profile
}

type opener = func(context.Context, []connector.Chunk) (connector.Input, error)

func (p *profiler) Write(ctx context.Context, attempt connector.Attempt, open opener) (_ []connector.Receipt, err error) {
	p.measured = nil
	var m protocol.Profile
	if p.finding == protocol.Values {
		if m.Columns, err = values(ctx, attempt, open); err == nil && p.stage.calls != nil {
			m.Received, err = p.received(ctx, attempt.Chunks)
		}
	} else {
		err = p.cost(ctx, attempt, open, &m)
	}
	if err != nil {
		return nil, err
	}
	p.measured = &m
	return nil, nil
}

// cost reads the chunk several times; each pass does one thing more than the one before.
func (p *profiler) cost(ctx context.Context, attempt connector.Attempt, open opener, m *protocol.Profile) error {
	// The first pass finds whatever the caches of the system and the server have; the others would find it there.
	if _, _, err := p.read(ctx, attempt, open); err != nil {
		return err
	}
	called := p.called()
	read, count, err := p.read(ctx, attempt, open)
	if err != nil {
		return err
	}
	read -= p.called() - called
	m.Read, m.RowsIn, m.BytesIn = read, count.Rows, count.Bytes
	used := cpu()
	called = p.called()
	if m.Transform, m.RowsOut, err = transform(ctx, attempt, open); err != nil {
		return err
	}
	m.Total, m.CPU, m.Function = m.Transform, cpu()-used, p.called()-called
	in, err := open(ctx, attempt.Chunks)
	if err != nil {
		return err
	}
	if rehearser, ok := p.Sink.(connector.Rehearser); ok {
		begun, used := time.Now(), cpu()
		if m.BytesOut, err = rehearser.Rehearse(ctx, in); err != nil {
			return fmt.Errorf("rehearse the writing: %w", err)
		}
		m.Total, m.CPU, m.Rehearsed = time.Since(begun), cpu()-used, true
	}
	m.PeakMemory = in.PeakMemory()
	if t, ok := in.Relation.(connector.ServerTimer); ok {
		m.Server, err = t.ServerTime(ctx)
	}
	return err
}

// read reads the columns that the stage needs and does nothing with them.
func (p *profiler) read(ctx context.Context, attempt connector.Attempt, open opener) (took time.Duration, count connector.Count, err error) {
	in, err := open(ctx, attempt.Chunks)
	if err != nil {
		return 0, count, err
	}
	begun := time.Now()
	_, err = drain(ctx, in, in.Source, in.Relation.All(), func(c drover.Column) bool { return slices.Contains(p.kept, c.Name) })
	return time.Since(begun), in.Relation.Count(0), err
}

// called is the time that functions have had.
func (p *profiler) called() time.Duration {
	if p.stage.calls == nil {
		return 0
	}
	return p.stage.calls.Took()
}

// received looks at the values of the columns that the first function receives.
func (p *profiler) received(ctx context.Context, chunks []connector.Chunk) (_ map[string]downcast.Stats, err error) {
	rel, err := p.stage.source.Open(ctx, p.stage.reading, p.spec.Input, p.spec.SourceState, chunks)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rel.Close()) }()
	call := p.spec.Program.Calls[0]
	return statistics(ctx, p.stage.reading, call.Input, "("+call.Before.Chunk(rel.Chunk(0), 0)+")")
}

// transform reads the chunk and runs the steps.
func transform(ctx context.Context, attempt connector.Attempt, open opener) (took time.Duration, rows int64, err error) {
	in, err := open(ctx, attempt.Chunks)
	if err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	rows, err = drain(ctx, in, in.Output, "("+in.Query(1)+")", func(drover.Column) bool { return true })
	return time.Since(begun), rows, err
}

// drain reads some columns of a relation to its end and counts its rows.
func drain(ctx context.Context, in connector.Input, columns drover.Schema, relation string, some func(drover.Column) bool) (n int64, err error) {
	list := []string{"1"}
	for _, c := range columns {
		if certain(c) && some(c) {
			list = append(list, duck.Ident(c.Name))
		}
	}
	rows, err := in.Session.Query(ctx, "SELECT "+strings.Join(list, ", ")+" FROM "+relation)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for {
		c, err := rows.Next()
		if err != nil || c.Rows() == 0 {
			return n, err
		}
		n += int64(c.Rows())
	}
}

// certain says that DuckDB can read every value of a column. Of others a run may move what it cannot read.
func certain(c drover.Column) bool {
	return c.Type != "" && c.Native != "numeric"
}

// values looks at the values of the output's columns. A column with one that DuckDB cannot read is left out.
func values(ctx context.Context, attempt connector.Attempt, open opener) (map[string]downcast.Stats, error) {
	var out map[string]bool
	for {
		in, err := open(ctx, attempt.Chunks)
		if err != nil {
			return nil, err
		}
		var columns drover.Schema
		for _, c := range in.Output {
			if c.Type != "" && !out[c.Name] {
				columns = append(columns, c)
			}
		}
		stats, err := statistics(ctx, in.Session, columns, "("+in.Query(1)+")")
		var e *drover.Error
		if errors.As(err, &e) && e.Kind == drover.Data && in.Output.Index(e.Column) >= 0 && !out[e.Column] {
			if out == nil {
				out = map[string]bool{}
			}
			out[e.Column] = true
			continue
		}
		return stats, err
	}
}

func statistics(ctx context.Context, session *duck.Session, columns drover.Schema, relation string) (map[string]downcast.Stats, error) {
	if len(columns) == 0 {
		return nil, nil
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = duck.Ident(c.Name)
	}
	rows, err := session.Texts(ctx, downcast.Query(columns, "(SELECT "+strings.Join(list, ", ")+" FROM "+relation+")"))
	if err != nil {
		return nil, fmt.Errorf("look at the columns' values: %w", err)
	}
	stats, err := downcast.Parse(columns, rows[0])
	if err != nil {
		return nil, err
	}
	found := map[string]downcast.Stats{}
	for i, c := range columns {
		found[c.Name] = stats[i]
	}
	return found, nil
}

// cpu is the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
