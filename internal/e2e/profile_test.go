package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/profile"
)

func profiled(t *testing.T, r result) profile.Report {
	t.Helper()
	var report profile.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("profile --json: %v\n%s%s", err, r.stdout, r.stderr)
	}
	return report
}

const profileFiles = `name: trips
source: {files: {path: in}}
steps:
  - filter: id >= 0   # all of them
  - downcast: all
sink: {files: {path: out, partition_by: [payment_type], mode: error}}
`

func TestProfileOfFilesWritesNothingAndNarrowsForGood(t *testing.T) {
	p := newPlace(t)
	tripsFolder(t, p)
	p.write(t, "job.yaml", profileFiles)
	p.exec(t, "COPY (SELECT 7 AS payment_type) TO '{dir}/there.parquet'")
	before := p.tree(t)
	report := profiled(t, p.must(t, "profile", "job.yaml", "--json", "--chunks", "100"))
	if after := p.tree(t); after != before {
		t.Errorf("profile left something:\n%s\nbefore:\n%s", after, before)
	}
	if report.PeakMemoryBytes <= 0 || report.RecommendedWorkers < 1 || report.Bound == "" || len(report.Chunks) == 0 || int64(len(report.Chunks)) != report.TotalChunks {
		t.Errorf("%+v", report)
	}
	var rows int64
	for _, c := range report.Chunks {
		rows += c.RowsIn
	}
	if rows != 16500 {
		t.Errorf("%d rows", rows)
	}
	types := map[string]string{}
	for _, c := range report.Columns {
		types[c.Name] = c.Type + " " + c.DowncastType
		if c.DowncastBytes > c.Bytes {
			t.Errorf("%+v", c)
		}
	}
	for column, want := range map[string]string{
		"id": "BIGINT SMALLINT", "payment_type": "INTEGER TINYINT", "fare amount": "DECIMAL(12,2) DECIMAL(9,2)",
		"vendor_id": "VARCHAR DICTIONARY(VARCHAR)", "pickup_at": "TIMESTAMP TIMESTAMP_S",
	} {
		if types[column] != want {
			t.Errorf("%s: %s, want %s", column, types[column], want)
		}
	}
	p.must(t, "profile", "job.yaml", "--chunks", "100", "--write", "--chart", "chart.svg")
	job, err := os.ReadFile(filepath.Join(p.dir, "job.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(job), "# all of them\n") || !strings.Contains(string(job), "\n  - cast: {id: SMALLINT") {
		t.Errorf("the job file:\n%s", job)
	}
	if s := p.must(t, "run", "job.yaml", "--json").summary(t); s.RowsOut != 16500 {
		t.Errorf("%+v", s)
	}
	if got := p.query(t, "SELECT count(*), any_value(typeof(id)), sum(id) FROM 'out/**/*.parquet'"); got != "16500|SMALLINT|"+p.query(t, "SELECT sum(id) FROM "+tripsSource) {
		t.Errorf("the dataset: %s", got)
	}
}

func TestProfileOfPostgresLeavesNothingBehind(t *testing.T) {
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, `CREATE TABLE raw AS SELECT i::bigint AS id, i % 3 AS grp, 'text ' || i AS note, 'NaN'::numeric AS odd, '1.2.3.4'::inet AS host FROM generate_series(1, 5000) i;
		CREATE INDEX ON raw (grp); CREATE TABLE clean (id bigint, grp int, note text, odd numeric, host inet); INSERT INTO clean VALUES (1)`)
	p.write(t, "job.yaml", `name: pg
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: grp}
steps:
  - set: {note: upper(note)}
sink: {postgres: {url: "${DB}", table: clean, mode: replace}}
`)
	before := p.relations(t)
	r := p.must(t, "profile", "job.yaml", "--json", "--only", "1", "--only", "grp=2")
	if after := p.relations(t); after != before {
		t.Errorf("profile left something:\n%s\nbefore:\n%s", after, before)
	}
	report := profiled(t, r)
	if len(report.Chunks) != 2 || report.Chunks[0].Key != "1" || report.Chunks[0].RowsIn != 1667 || report.Chunks[0].BytesOut == 0 {
		t.Errorf("%+v", report.Chunks)
	}
	if r := p.drover(t, nil, "profile", "job.yaml", "--only", "nine"); r.code != 2 || !strings.Contains(r.stderr, "--only nine") {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
	if r := p.drover(t, nil, "profile", "job.yaml", "--chart", "chart.png"); r.code != 2 {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
}

func TestDowncastChangesNoTypeOfTheSink(t *testing.T) {
	p := newPlace(t)
	p.exec(t, "COPY (SELECT range AS id, 'a' AS code FROM range(10)) TO '{dir}/in.parquet'")
	for _, columns := range []string{"all", "[id, code]"} {
		p.write(t, "job.yaml", "name: j\nsource: {files: {path: in.parquet}}\nsteps:\n  - downcast: "+columns+"\nsink: {files: {path: out, mode: overwrite}}\n")
		if plan := p.must(t, "plan", "job.yaml").stdout; !strings.Contains(plan, "downcast") || !strings.Contains(plan, "no function follows") {
			t.Errorf("the plan does not say that it has no effect:\n%s", plan)
		}
		p.must(t, "run", "job.yaml")
		if got := p.query(t, "SELECT any_value(typeof(id)), any_value(typeof(code)), sum(id) FROM 'out/*.parquet'"); got != "BIGINT|VARCHAR|45" {
			t.Errorf("%s: %s", columns, got)
		}
	}
	p.write(t, "job.yaml", "name: j\nsource: {files: {path: in.parquet}}\nsteps:\n  - downcast: [id, cod]\nsink: {files: {path: out, mode: overwrite}}\n")
	if r := p.drover(t, nil, "plan", "job.yaml"); r.code != 2 || !strings.Contains(r.stderr, "job.yaml:4:20") || !strings.Contains(r.stderr, `"code"`) {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
}
