package jobfile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/connector/postgres"
)

func registry() connector.Registry {
	return connector.Registry{
		files.Name: {
			Name:      files.Name,
			NewSource: func() drover.Source { return new(files.Source) },
			NewSink:   func() drover.Sink { return new(files.Sink) },
		},
		postgres.Name: {
			Name:      postgres.Name,
			NewSource: func() drover.Source { return new(postgres.Source) },
			NewSink:   func() drover.Sink { return new(postgres.Sink) },
		},
	}
}

func env(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// options are those of most tests: the connectors, and an environment with two database URLs.
func options() Options {
	return Options{Connectors: registry(), Env: env(map[string]string{
		"RAW_URL":   "postgres://loader:hunter2@raw.example/db",
		"CLEAN_URL": "postgres://loader:hunter3@clean.example/db",
		"EMPTY":     "",
	})}
}

func parse(t *testing.T, text string, opts Options) *File {
	t.Helper()
	f, err := Parse("job.yaml", []byte(text), opts)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return f
}

// taxi and companies are surface.md's two job files with what this version builds.
const taxi = `# yaml-language-server: $schema=drover.schema.json
name: taxi-2017
source:
  files:
    path: data/2017/     # a folder, a file, a glob, or a list of them
    format: parquet
steps:
  - drop: [vendor_id]
  - filter: trip_distance > 1
sink:
  files:
    path: out/taxi/
    format: parquet
    partition_by: [passenger_count, payment_type]
    mode: overwrite
    compression: zstd
`

const companies = `name: clean-companies
vars: {state: NY}
source:
  postgres:
    url: ${RAW_URL}
    table: raw_companies
chunk:
  by: zip_code
  keys: SELECT zip_code FROM zip_codes
  others: ignore
steps:
  - filter: is_active and state = '${state}'
  - set:
      state: upper(state)
      city: trim(city)
      revenue_per_employee: revenue / nullif(employees, 0)
      fax: null
      rank: 00501
  - drop: [fax, notes]
  - rename: {zip: zip_code, "a.b": c}
  - cast: {revenue: "DECIMAL(12,2)"}
  - sql: |
      SELECT * REPLACE (lower(email) AS email)
      FROM chunk
sink:
  postgres:
    url: ${CLEAN_URL}
    table: clean_companies
    mode: upsert
    key: [id]
    on_conflict: update
limits: {workers: 8, memory: 8GiB, attempts: 3, max_errors: 0, source_connections: "${N:-8}"}
ledger: ${LEDGER_URL:-.drover/ledger.db}
timezone: Europe/Paris
`

func TestParseTaxi(t *testing.T) {
	want := drover.Job{
		Name:  "taxi-2017",
		Frame: drover.Read(&files.Source{Path: drover.Strings{"data/2017/"}, Format: "parquet"}).Drop("vendor_id").Filter("trip_distance > 1"),
		Sink: &files.Sink{
			Path: "out/taxi/", Format: "parquet", Partition: []string{"passenger_count", "payment_type"},
			Mode: files.Overwrite, Compression: "zstd",
		},
	}
	if diff := cmp.Diff(want, parse(t, taxi, options()).Job); diff != "" {
		t.Error(diff)
	}
}

func TestParseCompanies(t *testing.T) {
	want := drover.Job{
		Name: "clean-companies",
		Frame: drover.Frame{
			Source: postgres.Table("postgres://loader:hunter2@raw.example/db", "raw_companies"),
			Chunk:  drover.Chunking{By: "zip_code", Keys: "SELECT zip_code FROM zip_codes", Others: "ignore"},
			Steps: []drover.Step{
				{Filter: "is_active and state = 'NY'"},
				{Set: []drover.Pair{
					{Key: "state", Value: "upper(state)"},
					{Key: "city", Value: "trim(city)"},
					{Key: "revenue_per_employee", Value: "revenue / nullif(employees, 0)"},
					{Key: "fax", Value: "null"},
					{Key: "rank", Value: "00501"},
				}},
				{Drop: []string{"fax", "notes"}},
				{Rename: []drover.Pair{{Key: "zip", Value: "zip_code"}, {Key: "a.b", Value: "c"}}},
				{Cast: []drover.Pair{{Key: "revenue", Value: "DECIMAL(12,2)"}}},
				{SQL: "SELECT * REPLACE (lower(email) AS email)\nFROM chunk\n"},
			},
		},
		Sink: &postgres.Sink{
			URL: "postgres://loader:hunter3@clean.example/db", Table: "clean_companies", Mode: postgres.Upsert,
			Key: []string{"id"}, OnConflict: "update",
		},
		Timezone: "Europe/Paris",
		Limits:   drover.Limits{Workers: 8, Memory: 8 << 30, Attempts: 3, SourceConnections: 8},
		Ledger:   ".drover/ledger.db",
	}
	if diff := cmp.Diff(want, parse(t, companies, options()).Job, cmp.AllowUnexported(postgres.Source{})); diff != "" {
		t.Error(diff)
	}
}

// with returns a job file whose source, steps and sink are sound but for what extra adds or replaces: a section of extra takes the place
// of the one of the same name.
func with(extra string) string {
	sections := []struct{ key, text string }{
		{"name", "name: job\n"},
		{"source", "source:\n  files:\n    path: in/\n"},
		{"sink", "sink:\n  files:\n    path: out/\n"},
	}
	var b strings.Builder
	for _, s := range sections {
		if !strings.HasPrefix(extra, s.key+":") && !strings.Contains(extra, "\n"+s.key+":") {
			b.WriteString(s.text)
		}
	}
	return b.String() + extra
}

func TestScalarsKeepTheirText(t *testing.T) {
	f := parse(t, with("vars: {zip: 00501, yes: no, v: 1.10, d: 2026-01-01}\n"+
		"steps:\n  - filter: true\n  - select: [1, 0x10, '${zip}', '${yes}', '${v}', \"${d}\", 1_000, .inf]\n"), options())
	want := []drover.Step{{Filter: "true"}, {Select: []string{"1", "0x10", "00501", "no", "1.10", "2026-01-01", "1_000", ".inf"}}}
	if diff := cmp.Diff(want, f.Job.Frame.Steps); diff != "" {
		t.Error(diff)
	}
}

func TestSectionsWithoutValueAreLeftOut(t *testing.T) {
	f := parse(t, with("vars:\nchunk:\n# by: a\nsteps:\n  # - drop: [a]\nlimits:\n"), options())
	if len(f.Job.Frame.Steps) != 0 || !f.Job.Frame.Chunk.IsZero() {
		t.Errorf("job %+v", f.Job)
	}
}

func TestAnchorsAliasesAndMergeKeys(t *testing.T) {
	f := parse(t, `name: a
source:
  postgres: &db
    url: ${RAW_URL}
    table: &t raw
sink:
  postgres:
    <<: *db
    mode: append
    table: clean
steps:
  - select: &cols [a, b]
  - drop: *cols
  - filter: *t
`, options())
	if diff := cmp.Diff(postgres.Into("postgres://loader:hunter2@raw.example/db", "clean").Append(), f.Job.Sink); diff != "" {
		t.Error(diff)
	}
	want := []drover.Step{{Select: []string{"a", "b"}}, {Drop: []string{"a", "b"}}, {Filter: "raw"}}
	if diff := cmp.Diff(want, f.Job.Frame.Steps); diff != "" {
		t.Error(diff)
	}
}

func TestStringOrList(t *testing.T) {
	for text, want := range map[string]drover.Strings{"in/": {"in/"}, "[a, b]": {"a", "b"}} {
		f := parse(t, with("source: {files: {path: "+text+"}}\n"), options())
		if diff := cmp.Diff(want, f.Job.Frame.Source.(*files.Source).Path); diff != "" {
			t.Error(diff)
		}
	}
}

func TestInterpolation(t *testing.T) {
	opts := options()
	opts.Set = map[string]string{"a": "set", "over": "CA"}
	opts.Env = env(map[string]string{"a": "env", "b": "env", "c": "env", "empty": "", "tricky": "x: [y]\n- ${c} # \"'"})
	for _, c := range []struct{ rule, text, want string }{
		{"--set wins over vars and the environment", "${a}", "set"},
		{"vars win over the environment", "${b}", "var"},
		{"the environment comes last", "${c}", "env"},
		{"--set overrides a var", "${over}", "CA"},
		{"a var may use the others, the environment and --set", "${mix}", "var env set"},
		{"a default is used when the name is unset", "${none:-x y}", "x y"},
		{"a default is used when the name is empty", "${empty:-x}", "x"},
		{"without a default an empty value is empty", "<${empty}>", "<>"},
		{"a default may be empty", "<${none:-}>", "<>"},
		{"a default may hold references", "${none:-${c}/${nope:-y}}", "env/y"},
		{"a default is not evaluated when the name is set", "${c:-${nope}}", "env"},
		{"$${ is a literal ${", "$${a} $$ $1 $", "${a} $$ $1 $"},
		{"a value is never read again, nor as YAML", "${tricky}", "x: [y]\n- ${c} # \"'"},
		{"several in one scalar", "${c}-${b}", "env-var"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			text := with("vars: {b: var, over: NY, mix: '${b} ${c} ${a}'}\nledger: x\nsteps:\n  - filter: 'x${a}${over}'\n  - sql: |-\n      " + c.text + "\n")
			if got := parse(t, text, opts).Job.Frame.Steps[1].SQL; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNumbersSizesAndEnumsAreInterpolated(t *testing.T) {
	opts := options()
	opts.Set = map[string]string{"N": "3", "M": "512MiB", "MODE": "append", "S": "true"}
	f := parse(t, with("sink: {files: {path: o, mode: '${MODE}'}}\nchunk: {by: a, spool: '${S}'}\nlimits: {workers: '${N}', memory: '${M}', attempts: '${K:-4}'}\n"), opts)
	want := drover.Limits{Workers: 3, Memory: 512 << 20, Attempts: 4}
	if f.Job.Limits != want || !f.Job.Frame.Chunk.Spool || f.Job.Sink.(*files.Sink).Mode != files.Append {
		t.Errorf("job %+v", f.Job)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"8GiB": 8 << 30, "512MiB": 512 << 20, "300MB": 300e6, "1.5 GiB": 3 << 29, "4096B": 4096, "1kb": 1000} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "8", "8G", "-1GiB", "GiB", "1e3MB", "0GB", "99999999999999TB"} {
		if got, err := ParseSize(text); drover.KindOf(err) != drover.Invalid {
			t.Errorf("ParseSize(%q) = %d, %v", text, got, err)
		}
	}
}
