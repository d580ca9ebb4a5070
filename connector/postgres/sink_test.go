package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
	"github.com/jackc/pgx/v5"
)

// selects is a relation whose chunks are DuckDB SELECTs.
type selects []string

func (s selects) Chunk(i int) string {
	return fmt.Sprintf("(SELECT *, %d::BIGINT AS %s FROM (%s))", i, duck.Ident(step.Tag), s[i])
}

func (s selects) All() string {
	parts := make([]string, len(s))
	for i := range s {
		parts[i] = s.Chunk(i)
	}
	return "(" + strings.Join(parts, " UNION ALL ") + ")"
}

func (s selects) Count(int) connector.Count { return connector.Count{Rows: 7, Bytes: 70} }
func (s selects) Close() error              { return nil }

// job is one run of a sink in a test: its chunks are SELECTs, by ID.
type job struct {
	t       testing.TB
	session *duck.Session
	sink    *tableSink
	run     connector.Run
	output  drover.Schema
	chunks  []string
	token   int64
	opened  []int64 // chunk IDs that Write asked for
	program step.Program
}

func newUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// newJob opens a sink. The output's columns are those of the first chunk, all computed.
func newJob(t testing.TB, spec *Sink, chunks ...string) *job {
	t.Helper()
	j := &job{t: t, sink: newSink(spec, testEnv()), chunks: chunks}
	t.Cleanup(func() { _ = j.sink.Close() })
	j.run = connector.Run{UID: newUID(), ID: "r-test", Job: "job"}
	j.session = newSession(t)
	j.program = step.Program{SQL: "SELECT * FROM " + step.Input(), RowWise: true}
	var err error
	if j.output, err = j.session.Describe(t.Context(), chunks[0]); err != nil {
		t.Fatal(err)
	}
	return j
}

func newSession(t testing.TB) *duck.Session {
	t.Helper()
	session, err := duck.Open(t.Context(), duck.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return session
}

func (j *job) check() (connector.Check, error) { return j.sink.Check(j.t.Context(), j.output) }

func (j *job) begin() *job {
	j.t.Helper()
	state, err := j.sink.Begin(j.t.Context(), j.run, j.output)
	if err != nil {
		j.t.Fatal(err)
	}
	j.run.State = state
	return j
}

func (j *job) state() sinkState {
	st, err := decodeSinkState(j.run)
	if err != nil {
		j.t.Fatal(err)
	}
	return st
}

// try runs one attempt at chunks.
func (j *job) try(ids ...int64) ([]connector.Receipt, error) {
	j.token++
	attempt := connector.Attempt{Run: j.run, Token: j.token}
	for _, id := range ids {
		attempt.Chunks = append(attempt.Chunks, connector.Chunk{ID: id, Key: fmt.Sprint(id)})
	}
	return j.sink.Write(j.t.Context(), attempt, func(_ context.Context, chunks []connector.Chunk) (connector.Input, error) {
		return j.input(chunks), nil
	})
}

func (j *job) input(chunks []connector.Chunk) connector.Input {
	var rel selects
	j.opened = nil
	for _, c := range chunks {
		rel = append(rel, j.chunks[c.ID])
		j.opened = append(j.opened, c.ID)
	}
	return connector.Input{
		Session: j.session, Relation: rel, Program: j.program,
		Source: j.output, Output: j.output, Progress: func(_, _, _, _ int64) {}, PeakMemory: func() int64 { return 42 },
	}
}

func (j *job) write(ids ...int64) []connector.Receipt {
	j.t.Helper()
	receipts, err := j.try(ids...)
	if err != nil {
		j.t.Fatal(err)
	}
	return receipts
}

// trace has f called before every statement of the sink's next connections.
func (j *job) trace(f tracer) {
	_ = j.sink.Close()
	j.sink.trace = f
}

func (j *job) publish() *job {
	j.t.Helper()
	if _, err := j.sink.Publish(j.t.Context(), j.run, j.output, nil); err != nil {
		j.t.Fatal(err)
	}
	return j
}

// complete runs the job from Begin to Publish, each chunk by itself.
func (j *job) complete() *job {
	j.t.Helper()
	j.begin()
	for i := range j.chunks {
		j.write(int64(i))
	}
	return j.publish()
}

// column returns the texts of a one-column query.
func column1(t testing.TB, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql)
	if err != nil {
		t.Fatalf("%v in\n%s", err, sql)
	}
	texts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var s *string
		err := row.Scan(&s)
		if s == nil {
			return "NULL", err
		}
		return *s, err
	})
	if err != nil {
		t.Fatalf("%v in\n%s", err, sql)
	}
	return texts
}

// want compares the rows of a table, as texts, with lines.
func want(t testing.TB, conn *pgx.Conn, table string, lines ...string) {
	t.Helper()
	got := column1(t, conn, "SELECT x::text FROM "+table+" x ORDER BY 1")
	slices.Sort(lines)
	if !slices.Equal(got, lines) {
		t.Errorf("%s holds %q, want %q", table, got, lines)
	}
}

// fails asserts the kind of an error and texts in its message, hint, column and code.
func fails(t testing.TB, err error, kind drover.Kind, texts ...string) {
	t.Helper()
	var e *drover.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error of kind %s", err, kind)
	}
	if e.Kind != kind {
		t.Errorf("kind %s, want %s: %v", e.Kind, kind, err)
	}
	all := strings.Join([]string{e.Message, e.Hint, e.Column, e.Code, e.Field, e.Sample}, " | ")
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("%q lacks %q", all, text)
		}
	}
}

// untouchedColumns are output columns that repeat a Postgres source's.
func untouchedColumns(nameType ...string) drover.Schema {
	var s drover.Schema
	for i := 0; i < len(nameType); i += 2 {
		s = append(s, drover.Column{Name: nameType[i], From: nameType[i], Native: nameType[i+1], Type: "VARCHAR"})
	}
	return s
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
