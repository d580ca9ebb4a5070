package files

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// shared is the session of all tests of the package, which run one after another: opening one costs more than most of them.
var shared = sync.OnceValues(func() (*duck.Session, error) {
	return duck.Open(context.Background(), duck.Options{})
})

func newSession(t *testing.T) *duck.Session {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// exec runs statements in a session of its own.
func exec(t *testing.T, statements ...string) {
	t.Helper()
	s := newSession(t)
	for _, sql := range statements {
		if err := s.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// rowsOf returns the rows of a query as lines of values.
func rowsOf(t *testing.T, s *duck.Session, sql string) string {
	t.Helper()
	var lines []string
	err := texts(t.Context(), s, sql, func(row []cell) error {
		var line []string
		for _, c := range row {
			if c.Null {
				c.Text = "NULL"
			}
			line = append(line, c.Text)
		}
		lines = append(lines, strings.Join(line, "|"))
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(lines, "\n")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// parquetFile writes the answer to a query as a Parquet file.
func parquetFile(t *testing.T, path, query string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	exec(t, fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet)", query, duck.Literal(path)))
}

// reading is a source opened as a run would.
type reading struct {
	src      connector.Source
	schema   drover.Schema
	state    gojson.RawMessage
	chunks   []connector.Chunk
	warnings []string
}

func read(t *testing.T, spec *Source, chunking drover.Chunking) (*reading, error) {
	t.Helper()
	r := &reading{}
	env := connector.Env{TempDir: t.TempDir(), Warn: func(f string, a ...any) { r.warnings = append(r.warnings, fmt.Sprintf(f, a...)) }}
	src, err := Definition().OpenSource(t.Context(), spec, env)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	r.src = src
	if r.schema, err = src.Schema(t.Context()); err != nil {
		return nil, err
	}
	if r.state, err = src.Begin(t.Context(), chunking, nil); err != nil {
		return nil, err
	}
	for c, err := range src.Chunks(t.Context(), chunking, r.state) {
		if err != nil {
			return nil, err
		}
		c.ID = int64(len(r.chunks))
		r.chunks = append(r.chunks, c)
	}
	return r, nil
}

func mustRead(t *testing.T, spec *Source, chunking drover.Chunking) *reading {
	t.Helper()
	r, err := read(t, spec, chunking)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rows reads everything through All and through each Chunk, which must agree, and returns it sorted.
func (r *reading) rows(t *testing.T) string {
	t.Helper()
	s := newSession(t)
	rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	all := rowsOf(t, s, fmt.Sprintf("SELECT * EXCLUDE (%s) FROM %s ORDER BY ALL", step.Tag, rel.All()))
	tags := rowsOf(t, s, fmt.Sprintf("SELECT %s, count(*) FROM %s GROUP BY 1 ORDER BY 1", step.Tag, func() string {
		again, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closed(t, again) })
		return again.All()
	}()))
	var counted []string
	for i := range r.chunks {
		if n := rel.Count(i).Rows; n > 0 {
			counted = append(counted, fmt.Sprintf("%d|%d", i, n))
		}
	}
	if got := strings.Join(counted, "\n"); got != tags {
		t.Errorf("Count says\n%s\nthe tags say\n%s", got, tags)
	}
	if err := rel.Close(); err != nil {
		t.Error(err)
	}
	rel, err = r.src.Open(t.Context(), s, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	var each []string
	for i := range r.chunks {
		each = append(each, "SELECT * FROM "+rel.Chunk(i))
	}
	if len(each) > 0 {
		if got := rowsOf(t, s, fmt.Sprintf("SELECT * EXCLUDE (%s) FROM (%s) ORDER BY ALL", step.Tag, strings.Join(each, " UNION ALL "))); got != all {
			t.Errorf("chunk by chunk:\n%s\nall at once:\n%s", got, all)
		}
	}
	if err := rel.Close(); err != nil {
		t.Error(err)
	}
	return all
}

func (r *reading) keys() string {
	var keys []string
	for _, c := range r.chunks {
		keys = append(keys, c.Key)
	}
	return strings.Join(keys, " ")
}

func describe(schema drover.Schema) string {
	var cols []string
	for _, c := range schema {
		cols = append(cols, c.Name+" "+c.Type)
	}
	return strings.Join(cols, ", ")
}

func wantError(t *testing.T, err error, kind drover.Kind, parts ...string) {
	t.Helper()
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v (kind %s), want kind %s", err, drover.KindOf(err), kind)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error()+" "+e.Hint, p) {
			t.Errorf("%q does not say %q", err.Error()+" "+e.Hint, p)
		}
	}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

func TestColumnsAreReadByNameAndNullFilled(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT 1::BIGINT AS id, 'x' AS name")
	parquetFile(t, dir+"/2.parquet", "SELECT 'y' AS name, 2::INTEGER AS id, DATE '2020-01-01' AS day")
	parquetFile(t, dir+"/3.parquet", "SELECT 3::BIGINT AS ID")
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(r.schema), "id BIGINT, name VARCHAR, day DATE")
	want(t, "rows", r.rows(t), "1|x|NULL\n2|y|2020-01-01\n3|NULL|NULL")
	want(t, "keys", r.keys(), "1.parquet 2.parquet 3.parquet")
}

func TestTypeConflictsAreRefused(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT 1 AS id")
	parquetFile(t, dir+"/2.parquet", "SELECT 'a' AS id")
	_, err := read(t, In(dir), drover.Chunking{})
	wantError(t, err, drover.Refused, "column id is INTEGER", "1.parquet", "VARCHAR", "2.parquet")
}

func TestSourceFormats(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/c/1.csv", "zip,v,note\n00501,1,\n10016,2,\"a, \"\"b\"\"\"\n")
	write(t, dir+"/c/2.csv", "v,zip,extra\n2.5,99501,7\n")
	r := mustRead(t, In(dir+"/c"), drover.Chunking{})
	want(t, "csv schema", describe(r.schema), "zip VARCHAR, v DOUBLE, note VARCHAR, extra BIGINT")
	want(t, "csv", r.rows(t), "00501|1.0|NULL|NULL\n10016|2.0|a, \"b\"|NULL\n99501|2.5|NULL|7")

	write(t, dir+"/j/1.jsonl", "{\"id\":1,\"n\":{\"a\":[1,2]}}\n{\"id\":2}\n")
	write(t, dir+"/j/2.ndjson", "{\"x\":\"u\",\"id\":3}\n")
	write(t, dir+"/j/3.json", "[{\"id\":4},\n {\"id\":5}]\n")
	r = mustRead(t, In(dir+"/j"), drover.Chunking{})
	want(t, "json schema", describe(r.schema), "id BIGINT, n STRUCT(a BIGINT[]), x VARCHAR")
	want(t, "json", r.rows(t), "1|{'a': [1, 2]}|NULL\n2|NULL|NULL\n3|NULL|u\n4|NULL|NULL\n5|NULL|NULL")
}
