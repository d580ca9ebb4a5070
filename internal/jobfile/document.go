package jobfile

import (
	"time"

	"github.com/droverdata/drover"
)

// Document is a job file's top level. Its tags, and those of the types that it refers to, are the only list of keys that there is.
type Document struct {
	// Name names the job: letters, digits, '-', '_' and '.'.
	Name string `json:"name" jsonschema:"required"`
	// Vars gives values to ${NAME}. --set NAME=VALUE overrides one; the environment gives the others.
	Vars variables `json:"vars,omitempty"`
	// Source says what to read: one connector with its keys.
	Source sourcePart `json:"source" jsonschema:"required"`
	// Chunk says how the source is cut. Without it the source chooses by size.
	Chunk drover.Chunking `json:"chunk,omitempty"`
	// Steps are applied to each row in this order.
	Steps []drover.Step `json:"steps,omitempty"`
	// Sink says where the rows go: one connector with its keys.
	Sink sinkPart `json:"sink" jsonschema:"required"`
	// Rejects takes rows that cannot be converted or stored: one connector with its keys, and max. Without it such a row fails its chunk.
	Rejects rejectsPart `json:"rejects,omitempty"`
	// Expect lists what must hold of the rows before they are published: a run publishes nothing while one fails. It may change while a
	// run is open.
	Expect []drover.Expectation `json:"expect,omitempty"`
	// Limits bound what a run may use.
	Limits drover.Limits `json:"limits,omitempty"`
	// Ledger is where runs are recorded: a path (SQLite), or a postgres:// URL to share runs between machines. By
	// default .drover/ledger.db.
	Ledger string `json:"ledger,omitempty"`
	// Keep is how long runs that are over stay in the ledger, such as 90d: a run that finishes removes the job's older ones, as drover
	// prune does. By default they stay.
	Keep time.Duration `json:"keep,omitempty" unit:"age"`
	// PythonEnv is the Python that python steps run in.
	PythonEnv drover.PythonEnv `json:"python_env,omitempty"`
	// Timezone is the zone of every session that computes on timestamps, such as Europe/Paris. By default UTC.
	Timezone string `json:"timezone,omitempty"`
	// Test is what drover test compares with the truth; drover run leaves it alone.
	Test testPart `json:"test,omitempty"`
}

// testPart is the test section.
type testPart struct {
	// Source is read in the place of the job's source, with the same chunking and steps. Without it a sample of the job's own chunks is read.
	Source sourcePart `json:"source,omitempty"`
	// Sample is how many chunks are read, such as 5 chunks: the same ones each time. By default all of test.source, or 5 of the job's own.
	Sample int `json:"sample,omitempty" unit:"chunks" jsonschema:"minimum=1"`
	// Truth is the table or the dataset that the result must equal. drover test --accept makes it of the result.
	Truth sourcePart `json:"truth" jsonschema:"required"`
	// Key is the columns of the result that say which rows belong together.
	Key []string `json:"key" jsonschema:"required"`
	// Ignore is columns that are not compared.
	Ignore []string `json:"ignore,omitempty"`
	// Tolerance is how far two floats may be apart: by that many times the larger of 1 and their size. By default they must be equal.
	Tolerance float64 `json:"tolerance,omitempty"`
}

func (t testPart) test() *drover.Test {
	if t.Truth.Source == nil {
		return nil
	}
	return &drover.Test{Source: t.Source.Source, Sample: t.Sample, Truth: t.Truth.Source, Key: t.Key, Ignore: t.Ignore, Tolerance: t.Tolerance}
}

type (
	variables  map[string]string
	sourcePart struct{ drover.Source }
	sinkPart   struct{ drover.Sink }
	// rejectsPart is empty where there are none.
	rejectsPart struct{ *drover.Rejects }
)

func (d *Document) job() drover.Job {
	return drover.Job{
		Name:      d.Name,
		Frame:     drover.Frame{Source: d.Source.Source, Chunk: d.Chunk, Steps: d.Steps},
		Sink:      d.Sink.Sink,
		Timezone:  d.Timezone,
		Expect:    d.Expect,
		Limits:    d.Limits,
		PythonEnv: d.PythonEnv,
		Rejects:   d.Rejects.Rejects,
		Ledger:    d.Ledger,
		Keep:      d.Keep,
		Test:      d.Test.test(),
	}
}

// later lists the keys that drover's job files are to have and this version does not know, by the part of the job they belong in. The nearest key that
// it does know would be the wrong advice for them.
var later = map[string][]string{
	"":             {"catalog"},
	"source":       {"redshift", "timestream"},
	"source.files": {"anonymous"},
	"steps":        {"group", "join", "sort", "distinct", "limit"},
	"sink":         {"table", "redshift", "timestream"},
	"sink.files":   {"schema_evolution", "bucket_by", "anonymous", "atomic"},
}

// examples show what is expected where a value has the wrong form.
var examples = map[string]string{
	"name":              "name: taxi-2017",
	"vars":              "vars: {state: NY}",
	"source":            "source: {files: {path: data/}}",
	"sink":              "sink: {files: {path: out/}}",
	"chunk":             "chunk: {by: zip_code}",
	"by":                "by: zip_code",
	"steps":             "steps: [{drop: [fax]}, {filter: fare > 0}]",
	"select":            "select: [id, name]",
	"drop":              "drop: [fax, notes]",
	"rename":            "rename: {old_name: new_name}",
	"filter":            "filter: fare > 0",
	"set":               "set: {state: upper(state)}",
	"cast":              "cast: {fare: 'DECIMAL(12,2)'}",
	"downcast":          "downcast: all",
	"sql":               "sql: SELECT * FROM chunk",
	"python":            "python: clean.py:clean",
	"schema":            "schema: {id: BIGINT, name: VARCHAR}",
	"python_env":        "python_env: {bin: .venv/bin/python}",
	"requirements":      "requirements: ['pandas>=2']",
	"chunk_timeout":     "chunk_timeout: 10m",
	"rejects":           "rejects: {files: {path: rejects/}, max: 1000}",
	"max":               "max: 1000",
	"limits":            "limits: {workers: 8, memory: 8GiB}",
	"path":              "path: data/",
	"partition_by":      "partition_by: [country, year]",
	"key":               "key: [id]",
	"spool":             "spool: true",
	"new_keys":          "new_keys: true",
	"workers":           "workers: 8",
	"rows":              "rows: 100000",
	"files":             "files: 1",
	"memory":            "memory: 8GiB",
	"table":             "table: companies",
	"url":               "url: ${DATABASE_URL}",
	"ledger":            "ledger: .drover/ledger.db",
	"keep":              "keep: 90d",
	"timezone":          "timezone: UTC",
	"test":              "test: {truth: {files: {path: truth/}}, key: [id]}",
	"truth":             "truth: {files: {path: truth/}}",
	"sample":            "sample: 5 chunks",
	"ignore":            "ignore: [loaded_at]",
	"tolerance":         "tolerance: 1e-9",
	"expect":            "expect: [{rows: \">= 1000\"}, {not_null: [id]}, {unique: [id]}]",
	"not_null":          "not_null: [id]",
	"unique":            "unique: [id]",
	"accepted_values":   "accepted_values: {state: [NY, CA]}",
	"check":             "check: length(state) = 2",
	"sum_equals_source": "sum_equals_source: revenue",
}
