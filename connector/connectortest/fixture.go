// Package connectortest is the suite that every connector's source and sink passes: what the contracts of package connector promise
// to the worker, whatever the system behind them.
package connectortest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

func session(t *testing.T) *duck.Session {
	t.Helper()
	s, err := duck.Open(t.Context(), duck.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func environment(t *testing.T) connector.Env {
	t.Helper()
	return connector.Env{Timezone: "UTC", TempDir: t.TempDir(), Application: "drover/test", Warn: t.Logf}
}

// Lines runs a query and returns its rows, sorted, with NULL as "NULL" and fields separated by "|".
func Lines(t *testing.T, s *duck.Session, query string) []string {
	t.Helper()
	rows, err := s.Texts(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	out := make([]string, len(rows))
	for i, row := range rows {
		fields := make([]string, len(row))
		for j, v := range row {
			if fields[j] = "NULL"; v != nil {
				fields[j] = *v
			}
		}
		out[i] = strings.Join(fields, "|")
	}
	slices.Sort(out)
	return out
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %d rows, want %d\ngot  %s\nwant %s", what, len(got), len(want), head(got), head(want))
	}
}

func head(rows []string) string {
	if len(rows) > 20 {
		return strings.Join(rows[:20], "\n     ") + "\n     ..."
	}
	return strings.Join(rows, "\n     ")
}

func newUID(t *testing.T) string {
	t.Helper()
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b[:])
}

// fixed is a relation of given SELECTs, one a chunk.
type fixed []string

func (f fixed) Chunk(i int) string {
	return fmt.Sprintf("(SELECT *, %d::BIGINT AS %s FROM (%s))", i, step.Tag, f[i])
}

func (f fixed) All() string {
	all := make([]string, len(f))
	for i := range f {
		all[i] = f.Chunk(i)
	}
	return "(" + strings.Join(all, " UNION ALL ") + ")"
}

func (fixed) Count(i int) connector.Count {
	return connector.Count{Rows: int64(i + 1), Bytes: 100, Scanned: new(int64(i + 2))}
}

func (fixed) Close() error { return nil }

// run is one run against a sink, with a map in the place of the ledger.
type run struct {
	t       *testing.T
	session *duck.Session
	sink    connector.Sink
	id      connector.Run
	output  drover.Schema
	chunks  []connector.Chunk
	selects []string
	token   int64
	ledger  map[int64]connector.Receipt
}

// begin opens a sink and begins a run on it whose i-th chunk is selects[i].
func begin(t *testing.T, d connector.Definition, spec drover.Sink, output drover.Schema, selects []string) *run {
	t.Helper()
	sink, err := d.OpenSink(t.Context(), spec, environment(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	uid := newUID(t)
	r := &run{
		t: t, sink: sink, output: output, selects: selects, ledger: map[int64]connector.Receipt{},
		id: connector.Run{UID: uid, ID: "r-" + uid[:4], Job: "conformance", StartedAt: time.Now()},
	}
	for i := range selects {
		r.chunks = append(r.chunks, connector.Chunk{ID: int64(i), Key: fmt.Sprint(i)})
	}
	if _, err := sink.Check(t.Context(), output); err != nil {
		t.Fatal(err)
	}
	if r.id.State, err = sink.Begin(t.Context(), r.id, output); err != nil {
		t.Fatal(err)
	}
	return r
}

// attempt writes chunks under the next token. rowWise says how the program sees them.
func (r *run) attempt(chunks []connector.Chunk, rowWise bool) ([]connector.Receipt, error) {
	r.t.Helper()
	r.token++
	if r.session == nil {
		r.session = session(r.t)
	}
	program := step.Program{SQL: "SELECT * FROM " + step.Input(), RowWise: rowWise}
	a := connector.Attempt{Run: r.id, Token: r.token, Chunks: chunks}
	return r.sink.Write(r.t.Context(), a, func(_ context.Context, remaining []connector.Chunk) (connector.Input, error) {
		var f fixed
		for _, c := range remaining {
			f = append(f, r.selects[c.ID])
		}
		return connector.Input{
			Session: r.session, Relation: f, Program: program, Source: r.output, Output: r.output,
			Progress:   func(_, _, _, _ int64) {},
			PeakMemory: func() int64 { return 1 << 20 },
		}, nil
	})
}

// write is an attempt that must succeed and whose receipts the ledger takes.
func (r *run) write(chunks ...connector.Chunk) []connector.Receipt {
	r.t.Helper()
	receipts, err := r.attempt(chunks, true)
	if err != nil {
		r.t.Fatal(err)
	}
	r.accept(receipts)
	return receipts
}

func (r *run) accept(receipts []connector.Receipt) {
	for _, x := range receipts {
		r.ledger[x.ChunkID] = x
	}
}

func (r *run) receipts() iter.Seq2[connector.Receipt, error] {
	return func(yield func(connector.Receipt, error) bool) {
		for _, c := range r.chunks {
			if x, ok := r.ledger[c.ID]; ok && !yield(x, nil) {
				return
			}
		}
	}
}

func (r *run) publish() {
	r.t.Helper()
	gone, err := r.sink.Verify(r.t.Context(), r.id, r.receipts())
	if err != nil || len(gone) > 0 {
		r.t.Fatalf("verify: gone %v, %v", gone, err)
	}
	if _, err := r.sink.Publish(r.t.Context(), r.id, r.output, r.receipts()); err != nil {
		r.t.Fatal(err)
	}
}
