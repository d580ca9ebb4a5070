package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// orders writes seven files of two rows each, one chunk a file.
func orders(t *testing.T) *dir {
	t.Helper()
	d := newDir(t)
	for i := range 7 {
		d.write(t, fmt.Sprintf("data/%d.csv", i), fmt.Sprintf("id,city,paid\n%d,bern,10.5\n%d,rom,\n", i*10, i*10+1))
	}
	return d
}

const ordersJob = `name: orders
source: {files: {path: data/}}
steps:
  - set: {city: upper(city)}
  - rename: {id: nr}
sink: {files: {path: out/}}
test:
  sample: 3 chunks
  truth: {files: {path: truth/}}
  key: [nr]
`

func TestTestComparesASampleWithTheTruth(t *testing.T) {
	d := orders(t)
	d.write(t, "out/theirs.parquet", "not even Parquet") // the sink's target exists, and its mode is error
	d.write(t, "job.yaml", ordersJob)
	before := d.files(t)
	r := d.drover(t, "test", "job.yaml")
	if r.code != exitRefused || !contains(r.stderr, "drover test job.yaml --accept makes it") {
		t.Errorf("without a truth: exit %d\n%s", r.code, r.stderr)
	}
	if after := d.files(t); len(after) != len(before) {
		t.Errorf("it left %v", after)
	}
	if r = d.drover(t, "test", "job.yaml", "--accept"); r.code != exitDone || !contains(r.stdout, "6 rows of 3 of 7 chunks") {
		t.Errorf("accept: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r = d.drover(t, "test", "job.yaml", "--accept"); r.code != exitRefused || !contains(r.stderr, "there is a truth: ") || contains(r.stderr, "mode is") || !contains(r.stderr, "never overwritten") {
		t.Errorf("accept twice: exit %d\n%s", r.code, r.stderr)
	}
	if r = d.drover(t, "test", "job.yaml"); r.code != exitDone || !contains(r.stdout, "equal") || r.stderr != "" {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	d.write(t, "changed.yaml", `name: orders
source: {files: {path: data/}}
steps:
  - filter: paid IS NOT NULL
  - set: {city: lower(city)}
  - rename: {id: nr}
sink: {files: {path: out/}}
test: {sample: 3, truth: {files: {path: truth/}}, key: [nr], ignore: [paid]}
`)
	var found struct {
		Missing, Extra, Changed int
		Chunks                  int
		Total                   int  `json:"chunks_total"`
		Known                   bool `json:"missing_known"`
	}
	r = d.drover(t, "test", "changed.yaml", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &found); err != nil || r.code != exitDifferent {
		t.Fatalf("exit %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	if found.Missing != 3 || found.Extra != 0 || found.Changed != 3 || found.Chunks != 3 || found.Total != 7 || !found.Known {
		t.Errorf("%+v", found)
	}
	if _, err := os.Stat(filepath.Join(d.path, stateDir)); err == nil {
		t.Error("the ledger and the scratch folder are not gone")
	}
	if got, err := os.ReadFile(filepath.Join(d.path, "out/theirs.parquet")); err != nil || string(got) != "not even Parquet" {
		t.Error("the sink was touched")
	}
}

// Rows of the truth outside of the sampled chunks are not missing.
func TestTestOfASampleAgainstTheWholeTruth(t *testing.T) {
	d := orders(t)
	d.write(t, "job.yaml", ordersJob)
	if r := d.drover(t, "run", "job.yaml"); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	whole := `name: orders
source: {files: {path: data/}}
steps:
  - filter: city <> 'rom'
  - set: {city: upper(city), %s}
sink: {files: {path: elsewhere/}}
test: {sample: 2 chunks, truth: {files: {path: out/}}, key: [nr], ignore: [id]}
`
	d.write(t, "computed.yaml", fmt.Sprintf(whole, "nr: id + 0"))
	r := d.drover(t, "test", "computed.yaml")
	if r.code != exitDone || !contains(r.stdout, "missing rows: the steps compute the key") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	d.write(t, "copied.yaml", fmt.Sprintf(whole, "nr: id"))
	r = d.drover(t, "test", "copied.yaml")
	if r.code != exitDifferent || !contains(r.stdout, "2 missing, 0 extra, 0 changed") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r = d.drover(t, "test", "copied.yaml", "--seed", "7"); !contains(r.stdout, "2 missing, 0 extra, 0 changed") {
		t.Errorf("another sample:\n%s%s", r.stdout, r.stderr)
	}
}

// A truth that was accepted from a sample belongs to it as a whole, whoever computes the key.
func TestTestOfTheSampleThatTheTruthWasAcceptedFrom(t *testing.T) {
	d := orders(t)
	job := `name: orders
source: {files: {path: data/}}
steps:
  - filter: %s
  - set: {nr: id + 0}
sink: {files: {path: out/}}
test: {sample: 3 chunks, truth: {files: {path: truth/}}, key: [nr]}
`
	d.write(t, "job.yaml", fmt.Sprintf(job, "true"))
	d.write(t, "fewer.yaml", fmt.Sprintf(job, "city <> 'rom'"))
	if r := d.drover(t, "test", "job.yaml", "--accept"); r.code != exitDone {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := d.drover(t, "test", "job.yaml"); r.code != exitDone || !contains(r.stdout, "every row of left is in right") || contains(r.stdout, "not tested") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := d.drover(t, "test", "fewer.yaml"); r.code != exitDifferent || !contains(r.stdout, "3 missing, 0 extra, 0 changed") || !contains(r.stdout, "truth/: 6 rows") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	unknown := func(args ...string) {
		t.Helper()
		r := d.drover(t, append([]string{"test"}, args...)...)
		if !contains(r.stdout, "not tested        missing rows") || contains(r.stdout, "equal  ") || contains(r.stdout, " 3 missing") {
			t.Errorf("%v: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	d.write(t, "more.yaml", strings.Replace(fmt.Sprintf(job, "city <> 'rom'"), "3 chunks", "4 chunks", 1))
	unknown("more.yaml")
	unknown("fewer.yaml", "--seed", "7")
	files, err := filepath.Glob(filepath.Join(d.path, "truth", "drover-*"))
	if err != nil || len(files) == 0 {
		t.Fatal(d.files(t), err)
	}
	if err := os.Rename(files[0], filepath.Join(d.path, "truth/more.parquet")); err != nil {
		t.Fatal(err)
	}
	unknown("fewer.yaml") // its files are not those that were accepted
}

func TestTestWithAFailedChunk(t *testing.T) {
	d := orders(t)
	d.write(t, "data/3.csv", "id,city,paid\n1,n/a,1\n")
	d.write(t, "job.yaml", `name: orders
source: {files: {path: data/}}
steps: [{set: {city: "CASE WHEN city = 'n/a' THEN CAST(city AS INTEGER) ELSE 1 END"}}]
sink: {files: {path: out/}}
test: {sample: 100 chunks, truth: {files: {path: truth/}}, key: [id]}
`)
	r := d.drover(t, "test", "job.yaml", "--accept")
	if r.code != exitErrors || !contains(r.stderr, "chunk 3.csv") || !contains(r.stderr, "Conversion Error") || contains(r.stderr, "drover errors") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, f := range d.files(t) {
		if contains(f, "truth/") {
			t.Errorf("it left %s", f)
		}
	}
}

func TestTestNeedsATruth(t *testing.T) {
	d := orders(t)
	for _, c := range []struct{ test, says string }{
		{"", "says nothing to test"},
		{"test: {key: [id]}", "test.truth is missing"},
		{"test: {truth: {files: {path: truth/}}}", "test.key is missing"},
		{"test: {truth: {files: {path: truth/}}, key: [number]}", `the key names column "number"`},
		{"test: {truth: {files: {path: 'truth/*'}}, key: [id]}", "one folder, not several paths"},
		{"test: {truth: {files: {path: truth/}}, key: [id], sample: five chunks}", "not a whole number"},
		{"test: {truth: {files: {path: truth/}}, key: [id], tolerance: some}", "not a number"},
	} {
		d.write(t, "job.yaml", "name: orders\nsource: {files: {path: data/}}\nsink: {files: {path: out/}}\n"+c.test+"\n")
		if r := d.drover(t, "test", "job.yaml", "--accept"); r.code != exitUsage || !contains(r.stderr, c.says) {
			t.Errorf("%s: exit %d\n%s", c.test, r.code, r.stderr)
		}
	}
}

func TestTestLeavesTheRejectsSinkAlone(t *testing.T) {
	d := orders(t)
	d.write(t, "data/3.csv", "id,city,paid\n1,n/a,1\n")
	d.write(t, "truth.csv", "id,city,paid\n")
	d.write(t, "job.yaml", `name: orders
source: {files: {path: data/3.csv}}
steps: [{set: {city: "CAST(city AS INTEGER)"}}]
sink: {files: {path: out/}}
rejects: {files: {path: rejects/}}
test: {truth: {files: {path: truth.csv}}, key: [id]}
`)
	r := d.drover(t, "test", "job.yaml")
	if r.code != exitDone || !contains(r.stdout, "1 row that a run would send to") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, f := range d.files(t) {
		if contains(f, "rejects") || contains(f, "out") {
			t.Errorf("it left %s", f)
		}
	}
}

// The result is what the sink's table would hold: with its casts, and with columns that DuckDB cannot read left out.
func TestTestOfAPostgresJob(t *testing.T) {
	url := pgtest.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE raw (id bigint PRIMARY KEY, zip text, amount numeric, people int, code char(3), ip inet, took interval, at timestamptz);
		INSERT INTO raw SELECT i, 'z' || i % 20, i * 1.125, nullif(i % 4, 0), 'a', '10.0.0.1', i * interval '1 month 2 days 0.000001 s', '2026-01-01'::timestamptz + i * interval '1 h' FROM generate_series(1, 200) i;
		CREATE TABLE clean (id bigint PRIMARY KEY, zip text NOT NULL, each numeric(14,2), code char(5), ip inet, took interval, at timestamptz);
		INSERT INTO clean (id, zip) VALUES (1, 'theirs')`)
	d := newDir(t)
	d.env = append(d.env, "DATABASE_URL="+url)
	job := `name: companies
source: {postgres: {url: "${DATABASE_URL}", table: raw}}
chunk: {by: zip}
steps:
  - set: {each: "amount::DOUBLE / nullif(people, 0)", code: "trim(code) || '%s'"}
  - drop: [amount, people]
sink: {postgres: {url: "${DATABASE_URL}", table: clean, mode: error}}
test:
  sample: 4 chunks
  truth: {postgres: {url: "${DATABASE_URL}", table: truth}}
  key: [id]
`
	exec(`CREATE TABLE truth (LIKE clean); INSERT INTO truth
		SELECT id, zip, amount::float8 / nullif(people, 0), 'ab', ip, took, at FROM raw`)
	d.write(t, "job.yaml", fmt.Sprintf(job, "b"))
	r := d.drover(t, "test", "job.yaml")
	if r.code != exitDone || !contains(r.stdout, "40 rows") || !contains(r.stdout, "not tested        ip: ") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	exec(`UPDATE truth SET took = took + interval '1 us'; DELETE FROM truth WHERE zip = 'z3'`)
	r = d.drover(t, "test", "job.yaml", "--samples", "1")
	if r.code != exitDifferent || !contains(r.stdout, "took in") || contains(r.stdout, "each in") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	// And the truth as a table that is made of the result.
	exec("DROP TABLE truth")
	if r = d.drover(t, "test", "job.yaml", "--accept"); r.code != exitDone {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r = d.drover(t, "test", "job.yaml"); r.code != exitDone {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	d.write(t, "job.yaml", fmt.Sprintf(job, "c"))
	if r = d.drover(t, "test", "job.yaml"); r.code != exitDifferent || !contains(r.stdout, "0 missing, 0 extra, 40 changed") || !contains(r.stdout, "code in 40 rows") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	var rows int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM clean WHERE zip = 'theirs'").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("the sink was touched: %d rows, %v", rows, err)
	}
	var tables int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil || tables != 3 {
		t.Errorf("%d tables, %v", tables, err)
	}
}

func TestTestReadsItsOwnSourceWhole(t *testing.T) {
	d := orders(t)
	for i := range 9 {
		d.write(t, fmt.Sprintf("small/%d.csv", i), fmt.Sprintf("id,city,paid\n%d,oslo,1\n", i))
	}
	d.write(t, "job.yaml", `name: orders
source: {files: {path: data/}}
chunk: {files: 2}
steps: [{sql: "SELECT city, count(*) AS n, min(id) AS id FROM chunk GROUP BY city"}]
sink: {files: {path: out/}}
test:
  source: {files: {path: small/}}
  truth: {files: {path: truth.csv}}
  key: [id]
`)
	d.write(t, "truth.csv", "id,city,n\n0,oslo,2\n2,oslo,2\n4,oslo,2\n6,oslo,2\n8,oslo,1\n")
	if r := d.drover(t, "test", "job.yaml"); r.code != exitDone || !contains(r.stdout, "5 rows") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
