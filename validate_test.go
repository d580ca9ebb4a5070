package drover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// place is a source and a sink that says what it is told to say about itself.
type place struct{ err, chunking error }

func (place) Connector() string                 { return "place" }
func (place) String() string                    { return "a place" }
func (place) Meaning() any                      { return nil }
func (p place) Validate() error                 { return p.err }
func (p place) ValidateChunking(Chunking) error { return p.chunking }

func validJob() Job {
	return Job{Name: "taxi-2017", Frame: Read(place{}).Drop("a").Filter("b > 1"), Sink: place{}}
}

func TestValidateAcceptsAJob(t *testing.T) {
	j := validJob()
	j.Timezone = "America/New_York"
	j.Limits = Limits{Workers: 1, Memory: 1, Attempts: 1, MaxErrors: 1, SourceConnections: 1}
	j.Frame = j.Frame.Select("a", "b").Rename("a", "b").Set(Pair{"a", "b"}).Cast("a", "INTEGER").SQL("SELECT * FROM chunk")
	j.Frame.Chunk = Chunking{By: "a", Keys: "SELECT 1", Others: "ignore", Spool: true}
	for _, name := range []string{"a", "taxi-2017", "Größe_1.b", "9"} {
		j.Name = name
		if err := j.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	bad := Errorf(Invalid, "no").WithField("x")
	steps := func(s ...Step) func(*Job) { return func(j *Job) { j.Frame.Steps = s } }
	chunk := func(c Chunking) func(*Job) { return func(j *Job) { j.Frame.Chunk = c } }
	limits := func(l Limits) func(*Job) { return func(j *Job) { j.Limits = l } }
	name := func(n string) func(*Job) { return func(j *Job) { j.Name = n } }
	for _, c := range []struct {
		rule   string
		change func(*Job)
		field  string
		part   string // of the message
	}{
		{"a job has a name", name(""), "name", "missing"},
		{"a name is at most 63 characters", name(strings.Repeat("ü", 64)), "name", "63"},
		{"a name has no space", name("a b"), "name", "' '"},
		{"a name has no slash", name("a/b"), "name", "'/'"},
		{"a name starts with a letter or digit", name(".a"), "name", "starts with"},
		{"a job has a source", func(j *Job) { j.Frame.Source = nil }, "source", "missing"},
		{"a job has a sink", func(j *Job) { j.Sink = nil }, "sink", "missing"},
		{"a source checks itself", func(j *Job) { j.Frame.Source = place{err: bad} }, "source.place.x", "no"},
		{"a source's foreign error keeps its place", func(j *Job) { j.Frame.Source = place{err: io.EOF} }, "source.place", "EOF"},
		{"a source checks the chunking", func(j *Job) { j.Frame.Source = place{chunking: bad} }, "chunk.x", "no"},
		{"a sink checks itself", func(j *Job) { j.Sink = place{err: bad} }, "sink.place.x", "no"},
		{"by excludes rows", chunk(Chunking{By: "a", Rows: 1}), "chunk.rows", "both"},
		{"by excludes files", chunk(Chunking{By: "a", Files: 1}), "chunk.files", "both"},
		{"rows excludes files", chunk(Chunking{Rows: 1, Files: 1}), "chunk.files", "both"},
		{"rows are positive", chunk(Chunking{Rows: -1}), "chunk.rows", "negative"},
		{"files are positive", chunk(Chunking{Files: -1}), "chunk.files", "negative"},
		{"keys needs by", chunk(Chunking{Keys: "SELECT 1"}), "chunk.keys", "without by"},
		{"spool needs by", chunk(Chunking{Spool: true}), "chunk.spool", "without by"},
		{"new_keys needs by", chunk(Chunking{NewKeys: true}), "chunk.new_keys", "without by"},
		{"new_keys needs a sink that keeps rows", chunk(Chunking{By: "a", NewKeys: true}), "chunk.new_keys", "earlier runs"},
		{"others needs by", chunk(Chunking{Others: "ignore"}), "chunk.others", "without by"},
		{"others needs keys", chunk(Chunking{By: "a", Others: "ignore"}), "chunk.others", "without keys"},
		{"others is a known word", chunk(Chunking{By: "a", Keys: "x", Others: "keep"}), "chunk.others", "unknown"},
		{"a step does something", steps(Step{}), "steps[0]", "empty"},
		{"a step does one thing", steps(Step{Filter: "a"}, Step{Filter: "a", Drop: []string{"b"}}), "steps[1].filter", "drop and filter"},
		{"select names a column", steps(Step{Select: []string{}}), "steps[0].select", "no column"},
		{"drop names a column", steps(Step{Drop: []string{}}), "steps[0].drop", "no column"},
		{"select names a column once, whatever its case", steps(Step{Select: []string{"a", "A"}}), "steps[0].select[1]", "twice"},
		{"a column has a name", steps(Step{Drop: []string{""}}), "steps[0].drop[0]", "empty"},
		{"rename names a column", steps(Step{Rename: []Pair{}}), "steps[0].rename", "no column"},
		{"rename gives a name once", steps(Step{Rename: []Pair{{"a", "c"}, {"b", "C"}}}), "steps[0].rename.b", "same name"},
		{"set names a column", steps(Step{Set: []Pair{}}), "steps[0].set", "no column"},
		{"set names a column once", steps(Step{Set: []Pair{{"a", "1"}, {"A", "2"}}}), "steps[0].set.A", "twice"},
		{"set has an expression", steps(Step{Set: []Pair{{"a", " "}}}), "steps[0].set.a", "no expression"},
		{"set has a column", steps(Step{Set: []Pair{{" ", "1"}}}), "steps[0].set", "empty"},
		{"cast has a type", steps(Step{Cast: []Pair{{"a", ""}}}), "steps[0].cast.a", "no type"},
		{"filter is not blank", steps(Step{Filter: " "}), "steps[0].filter", "empty"},
		{"sql is not blank", steps(Step{SQL: "\n"}), "steps[0].sql", "empty"},
		{"workers are not negative", limits(Limits{Workers: -1}), "limits.workers", "negative"},
		{"memory is not negative", limits(Limits{Memory: -1}), "limits.memory", "negative"},
		{"attempts are not negative", limits(Limits{Attempts: -1}), "limits.attempts", "negative"},
		{"max_errors is not negative", limits(Limits{MaxErrors: -1}), "limits.max_errors", "negative"},
		{"source_connections are not negative", limits(Limits{SourceConnections: -1}), "limits.source_connections", "negative"},
		{"a timezone exists", func(j *Job) { j.Timezone = "Mars" }, "timezone", "unknown"},
		{"a timezone is no path", func(j *Job) { j.Timezone = "../etc/passwd" }, "timezone", "unknown"},
		{"a timezone is the same on every machine", func(j *Job) { j.Timezone = "Local" }, "timezone", "unknown"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			j := validJob()
			c.change(&j)
			var e *Error
			if err := j.Validate(); !errors.As(err, &e) {
				t.Fatalf("Validate() = %v", err)
			}
			if e.Kind != Invalid || e.Field != c.field || !strings.Contains(e.Message, c.part) {
				t.Errorf("%s at %q: %s; want %q at %q", e.Kind, e.Field, e.Message, c.part, c.field)
			}
		})
	}
	if bad.Field != "x" {
		t.Errorf("Validate changed the source's error: %q", bad.Field)
	}
}

// A frame is a value: what is built on it never changes it, however its steps are stored.
func TestFramesDoNotShareSteps(t *testing.T) {
	base := Read(place{}).Drop("a").Drop("b").Drop("c")
	left, right := base.Filter("left"), base.Filter("right")
	if left.Steps[3].Filter != "left" || right.Steps[3].Filter != "right" || len(base.Steps) != 3 {
		t.Errorf("%v %v %v", base, left, right)
	}
}

func TestFrameMethods(t *testing.T) {
	f := Read(place{}).ChunkBy("zip").Select("a").Drop("b").Rename("c", "d").Filter("e").Set(Pair{"f", "g"}).Cast("h", "INTEGER").SQL("i")
	var kinds []string
	for _, s := range f.Steps {
		kinds = append(kinds, s.Kind())
	}
	if got := strings.Join(kinds, " "); got != "select drop rename filter set cast sql" || f.Chunk.By != "zip" {
		t.Errorf("%s, %+v", got, f.Chunk)
	}
	if f = f.ChunkRows(7); f.Chunk != (Chunking{Rows: 7}) {
		t.Errorf("%+v", f.Chunk)
	}
	if (Step{}).Kind() != "" || !(Chunking{}).IsZero() || f.Chunk.IsZero() {
		t.Error("zero values")
	}
}

func TestStringsReadsAStringOrAList(t *testing.T) {
	for text, want := range map[string]string{`"a"`: "[a]", `["a","b"]`: "[a b]", `[]`: "[]"} {
		var s Strings
		if err := json.Unmarshal([]byte(text), &s); err != nil || fmt.Sprint(s) != want {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	var s Strings
	if err := json.Unmarshal([]byte(`{"a":1}`), &s); err == nil {
		t.Error("a map was taken")
	}
}

func TestErrorTellsColumnAndCode(t *testing.T) {
	for want, e := range map[string]*Error{
		"overflow":                          Errorf(Data, "overflow"),
		"overflow (22003)":                  {Message: "overflow", Code: "22003"},
		"overflow (22003) · column revenue": {Message: "overflow", Code: "22003", Column: "revenue"},
		"22003 in revenue":                  {Message: "22003 in revenue", Code: "22003", Column: "revenue"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestErrorKeepsItsCauseButNotInJSON(t *testing.T) {
	e := Errorf(Unreachable, "connect: %w", io.ErrUnexpectedEOF).WithField("source").WithHint("try %s", "again")
	if !errors.Is(e, io.ErrUnexpectedEOF) || KindOf(fmt.Errorf("outer: %w", e)) != Unreachable || KindOf(io.EOF) != "" {
		t.Error("cause or kind lost")
	}
	text, err := json.Marshal(e)
	if want := `{"kind":"unreachable","field":"source","message":"connect: unexpected EOF","hint":"try again"}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

func TestSchemaIndexIgnoresCase(t *testing.T) {
	s := Schema{{Name: "Id"}, {Name: "name"}}
	if s.Index("ID") != 0 || s.Index("Name") != 1 || s.Index("x") != -1 || strings.Join(s.Names(), ",") != "Id,name" {
		t.Error(s.Names())
	}
}
