package bind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/plan"
)

// memory is a connector whose source and sink are what the test says.
type memory struct {
	name                                           string
	schema                                         drover.Schema
	openErr, schemaErr, identityErr, sinkErr, cErr error

	opened, closed int
	checked        drover.Schema
}

func (m *memory) Connector() string { return m.name }
func (m *memory) String() string    { return m.name }
func (m *memory) Meaning() any      { return m.name }

func (m *memory) registry() connector.Registry {
	return connector.Registry{"memory": {
		Name: "memory",
		OpenSource: func(context.Context, drover.Source, connector.Env) (connector.Source, error) {
			if m.openErr != nil {
				return nil, m.openErr
			}
			m.opened++
			return source{m}, nil
		},
		OpenSink: func(context.Context, drover.Sink, connector.Env) (connector.Sink, error) {
			if m.sinkErr != nil {
				return nil, m.sinkErr
			}
			m.opened++
			return sink{m}, nil
		},
	}}
}

type source struct{ m *memory }

func (s source) Schema(context.Context) (drover.Schema, error) { return s.m.schema, s.m.schemaErr }
func (s source) Identity(context.Context) (string, error)      { return "here", s.m.identityErr }
func (s source) Close() error                                  { s.m.closed++; return nil }
func (source) Begin(context.Context, drover.Chunking, json.RawMessage) (json.RawMessage, error) {
	return nil, nil
}

func (source) Chunks(context.Context, drover.Chunking, json.RawMessage) iter.Seq2[connector.Chunk, error] {
	return func(func(connector.Chunk, error) bool) {}
}

func (source) Open(context.Context, *duck.Session, drover.Schema, json.RawMessage, []connector.Chunk) (connector.Relation, error) {
	return nil, errors.New("nothing is read while binding")
}

type sink struct{ m *memory }

func (s sink) Check(_ context.Context, output drover.Schema) (connector.Check, error) {
	s.m.checked = output
	return connector.Check{Identity: "there", Notes: []string{"a note"}}, s.m.cErr
}
func (s sink) Close() error { s.m.closed++; return nil }
func (sink) Begin(context.Context, connector.Run, drover.Schema) (json.RawMessage, error) {
	return nil, errors.New("nothing is written while binding")
}

func (sink) Write(context.Context, connector.Attempt, func(context.Context, []connector.Chunk) (connector.Input, error)) ([]connector.Receipt, error) {
	return nil, errors.New("nothing is written while binding")
}

func (sink) Verify(context.Context, connector.Run, iter.Seq2[connector.Receipt, error]) ([]int64, error) {
	return nil, nil
}

func (sink) Void(context.Context, connector.Run, int64) (*connector.Receipt, error) { return nil, nil }

func (sink) Publish(context.Context, connector.Run, drover.Schema, iter.Seq2[connector.Receipt, error]) (connector.Published, error) {
	return connector.Published{}, errors.New("nothing is written while binding")
}
func (sink) Abort(context.Context, connector.Run) (int64, error) { return 0, nil }

func fresh() *memory {
	return &memory{name: "memory", schema: drover.Schema{
		{Name: "id", Type: "BIGINT", Native: "bigint", NotNull: true},
		{Name: "seen", Type: "TIMESTAMP WITH TIME ZONE", Native: "timestamp with time zone"},
	}}
}

func job(m *memory, change func(*drover.Job)) drover.Job {
	j := drover.Job{Name: "j", Frame: drover.Read(m).Set(drover.Pair{Key: "hour", Value: "date_trunc('hour', seen)::TIMESTAMP"}), Sink: m, Timezone: "Asia/Tokyo"}
	if change != nil {
		change(&j)
	}
	return j
}

func TestBindAsksEveryoneAndHoldsThemOpen(t *testing.T) {
	m := fresh()
	b, err := Bind(t.Context(), m.registry(), job(m, nil), connector.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if m.opened != 2 || m.closed != 0 {
		t.Fatalf("%d opened, %d closed", m.opened, m.closed)
	}
	want := drover.Schema{
		{Name: "id", Type: "BIGINT", Native: "bigint", NotNull: true, From: "id"},
		{Name: "seen", Type: "TIMESTAMP WITH TIME ZONE", Native: "timestamp with time zone", From: "seen"},
		{Name: "hour", Type: "TIMESTAMP"},
	}
	if !slices.Equal(b.Output, want) || !slices.Equal(m.checked, want) {
		t.Fatalf("output %+v, the sink saw %+v", b.Output, m.checked)
	}
	if b.SourceIdentity != "here" || b.Check.Identity != "there" || fmt.Sprint(b.Reads) != "[seen]" || !b.Program.RowWise {
		t.Fatalf("%+v", b.Bound)
	}
	first, err := plan.Make(b.Bound)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil || m.closed != 2 {
		t.Fatalf("%d closed, %v", m.closed, err)
	}
	again, err := Bind(t.Context(), m.registry(), job(m, nil), connector.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close() //nolint:errcheck // the connector of this test cannot fail to close
	second, err := plan.Make(again.Bound)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", first) != fmt.Sprintf("%+v", second) {
		t.Fatalf("two bindings differ:\n%+v\n%+v", first, second)
	}
}

func TestBindRefuses(t *testing.T) {
	unreachable := &drover.Error{Kind: drover.Unreachable, Message: "no route", Code: "08006"}
	placed := (&drover.Error{Kind: drover.Refused, Message: "no table"}).WithField("source.memory.table")
	chunk := func(c drover.Chunking) func(*memory, *drover.Job) {
		return func(_ *memory, j *drover.Job) { j.Frame.Chunk = c }
	}
	for name, tc := range map[string]struct {
		change     func(*memory, *drover.Job)
		kind       drover.Kind
		field, msg string
		hint       string
	}{
		"no source":          {func(_ *memory, j *drover.Job) { j.Frame.Source = nil }, drover.Invalid, "source", "source is missing", ""},
		"no sink":            {func(_ *memory, j *drover.Job) { j.Sink = nil }, drover.Invalid, "sink", "sink is missing", ""},
		"unknown connector":  {func(_ *memory, j *drover.Job) { j.Frame.Source = &memory{name: "tape"} }, drover.Invalid, "source.tape", `no connector reads "tape"`, ""},
		"unknown sink":       {func(_ *memory, j *drover.Job) { j.Sink = &memory{name: "tape"} }, drover.Invalid, "sink.tape", `no connector writes "tape"`, ""},
		"source unreachable": {func(m *memory, _ *drover.Job) { m.openErr = fmt.Errorf("connect: %w", unreachable) }, drover.Unreachable, "source.memory", "no route", ""},
		"source places it":   {func(m *memory, _ *drover.Job) { m.schemaErr = placed }, drover.Refused, "source.memory.table", "no table", ""},
		"plain error":        {func(m *memory, _ *drover.Job) { m.identityErr = errors.New("odd") }, "", "", "identify the source.memory: odd", ""},
		"sink unreachable":   {func(m *memory, _ *drover.Job) { m.sinkErr = unreachable }, drover.Unreachable, "sink.memory", "no route", ""},
		"sink refuses":       {func(m *memory, _ *drover.Job) { m.cErr = drover.Errorf(drover.Refused, "there is data") }, drover.Refused, "sink.memory", "there is data", ""},
		"a bad step":         {func(_ *memory, j *drover.Job) { j.Frame = j.Frame.Filter("idd > 1") }, drover.Invalid, "steps[1].filter", `column "idd" does not exist`, `"id"`},
		"rule 25":            {func(_ *memory, j *drover.Job) { j.Frame = j.Frame.SQL("SELECT sum(id) AS n FROM chunk") }, drover.Invalid, "steps[1].sql", "sum() is an aggregate", "chunk: {by: COLUMN}"},
		"inexact in Arrow": {func(m *memory, j *drover.Job) {
			m.schema = append(slices.Clone(m.schema), drover.Column{Name: "at", Type: "TIME WITH TIME ZONE"})
			j.Frame.Chunk, j.Frame.Steps = drover.Chunking{Rows: 10}, append(slices.Clone(j.Frame.Steps), drover.Step{Python: "clean.py:clean"})
		}, drover.Invalid, "steps[1].python", "column at is TIME WITH TIME ZONE, which no function can receive exactly", "cast: {at: VARCHAR}"},
		"time zone":           {func(_ *memory, j *drover.Job) { j.Timezone = "Mars/Olympus" }, drover.Invalid, "timezone", `unknown timezone "Mars/Olympus"`, "UTC"},
		"no columns":          {func(m *memory, _ *drover.Job) { m.schema = nil }, drover.Refused, "source", "no columns", ""},
		"twin columns":        {func(m *memory, _ *drover.Job) { m.schema = append(m.schema, drover.Column{Name: "ID", Type: "BIGINT"}) }, drover.Invalid, "source", `columns "id" and "ID" differ only in case`, ""},
		"chunk cut two ways":  {chunk(drover.Chunking{By: "id", Rows: 1}), drover.Invalid, "chunk.rows", "both set", "keep one"},
		"chunk by nothing":    {chunk(drover.Chunking{By: "zip"}), drover.Invalid, "chunk.by", `column "zip" does not exist in the source`, "its columns are id, seen"},
		"chunk by other case": {chunk(drover.Chunking{By: "ID"}), drover.Invalid, "chunk.by", `column "ID" does not exist`, `Did you mean "id"?`},
	} {
		t.Run(name, func(t *testing.T) {
			m := fresh()
			j := job(m, nil)
			tc.change(m, &j)
			_, err := Bind(t.Context(), m.registry(), j, connector.Env{})
			if err == nil {
				t.Fatal("accepted")
			}
			if drover.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.msg) {
				t.Fatalf("got %s %v", drover.KindOf(err), err)
			}
			var e *drover.Error
			if errors.As(err, &e) && (e.Field != tc.field || !strings.Contains(e.Hint, tc.hint)) {
				t.Fatalf("at %q, hint %q", e.Field, e.Hint)
			}
			if m.opened != m.closed {
				t.Fatalf("%d opened, %d closed", m.opened, m.closed)
			}
		})
	}
}
