package e2e

import (
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/pythontest"
)

// TestSumEqualsSource: the exact sum of a column over the staged rows is that over all rows that were read, or nothing is published and the chunks that
// differ are named; on the fast path and off it, whatever the steps are.
func TestSumEqualsSource(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.setenv("PYTHON", pythontest.Python(t))
	p.write(t, "f.py", "import pandas as pd\n\ndef same(df: pd.DataFrame) -> pd.DataFrame:\n    return df\n\ndef less(df: pd.DataFrame) -> pd.DataFrame:\n    return df[df['id'] != 13]\n")
	// The sum of big passes 64 bits, and that of ratio has no end in binary.
	p.sql(t, `CREATE TABLE raw (id int PRIMARY KEY, zip int, big bigint, amount numeric(14,2), any_amount numeric, ratio float8, small real, name text);
		INSERT INTO raw SELECT g, g % 5, CASE WHEN g % 7 > 0 THEN 9223372036854775807 - g % 3 END, CASE WHEN g % 4 > 0 THEN g * 1.13 END, g / 8.0,
			CASE WHEN g % 9 = 0 THEN 'NaN' WHEN g % 5 > 0 THEN g / 10.0 END, g / 10.0, 'n' || g FROM generate_series(1, 40) g;
		CREATE INDEX ON raw (zip)`)
	p.write(t, "in/a.csv", "id,zip,amount,ratio\n1,1,1.10,0.1\n2,1,,0.2\n13,2,3.30,\n")
	p.write(t, "in/empty.csv", "id,zip,amount,ratio\n")
	const (
		table   = `source: {postgres: {url: "${DB}", table: raw}}` + "\nchunk: {by: zip}\n"
		csv     = `source: {files: {path: in, types: {amount: "DECIMAL(12,2)"}}}` + "\nchunk: {files: 1}\n"
		replace = `sink: {postgres: {url: "${DB}", table: clean, mode: replace}}` + "\n"
		parquet = "sink: {files: {path: out, mode: overwrite}}\n"
		merged  = "sink: {files: {path: out, mode: overwrite_partitions, partition_by: [zip], max_files: 1}}\n"
		numbers = "[big, amount, any_amount, ratio, small]"
	)
	for name, c := range map[string]struct{ job, columns, broken string }{
		"untouched, from table to table":            {table + replace, numbers, ""},
		"from table to files":                       {table + parquet, numbers, ""},
		"spooled and merged":                        {table + merged, numbers, ""},
		"renamed, beside computed columns":          {table + "steps: [{set: {name: upper(name)}}, {rename: {amount: revenue}}]\n" + replace, "[revenue, big]", ""},
		"computed without a change":                 {table + "steps: [{set: {amount: 'amount::DECIMAL(20,4)'}}]\n" + replace, "amount", ""},
		"a filter that the source applies":          {table + "steps: [{filter: id < 100}]\n" + replace, numbers, ""},
		"a filter that loses a row at the source":   {table + "steps: [{filter: id <> 13}]\n" + replace, "amount", "14.69 less; 1 of 5 chunks differ zip=3: 144.64 read, 129.95 written"},
		"a filter that no row passes":               {table + "steps: [{filter: false}]\n" + replace, "id", "the source's sum is 820, that of the rows 0: 820 less; 5 of 5 chunks differ zip=0: 180 read, 0 written; zip=1: 148 read, 0 written; zip=2: 156 read, 0 written"},
		"a step that stops reading":                 {table + "steps: [{sql: SELECT * FROM chunk LIMIT 1}]\n" + parquet, "id", "5 of 5 chunks differ"},
		"a step that changes values":                {table + "steps: [{set: {big: big - (id = 1)::INT}}]\n" + replace, "big", "1 less; 1 of 5 chunks differ"},
		"a function that keeps all":                 {table + "steps: [{python: f.py:same}]\npython_env: {bin: \"${PYTHON}\"}\n" + replace, "[big, amount, ratio]", ""},
		"a function that loses a row":               {table + "steps: [{python: f.py:less}]\npython_env: {bin: \"${PYTHON}\"}\n" + parquet, "amount", "14.69 less; 1 of 5 chunks differ"},
		"NULLs and a chunk without rows":            {csv + parquet, "[amount, ratio]", ""},
		"from files to a table":                     {csv + replace, "[amount, ratio]", ""},
		"a target that rounds":                      {csv + "steps: [{set: {ratio: ratio / 3}}]\n" + parquet, "ratio", "about"},
		"rejected rows have been read":              {csv + "steps: [{set: {n: \"CASE WHEN id = 13 THEN 'x' ELSE '1' END::INT\"}}]\nrejects: {files: {path: rejects}}\n" + parquet, "amount", "3.3 less, with 1 row rejected"},
		"NaNs that are lost, where the rest is 0":   {table + "steps: [{filter: id % 9 > 0 OR id % 5 = 0}, {set: {ratio: 'ratio'}}]\n" + parquet, "ratio", "and 4 NaN"},
		"a partition column":                        {table + "sink: {files: {path: out, mode: overwrite, partition_by: [zip]}}\n", "zip", ""},
		"other rows than those of the chunks' keys": {strings.Replace(table, "by: zip", "by: zip, keys: 'SELECT 1', others: ignore", 1) + replace, "big", ""},
	} {
		t.Run(name, func(t *testing.T) {
			job := strings.ReplaceAll(name, " ", "-")
			job = strings.NewReplacer(",", "", "'", "").Replace(job)
			p.write(t, job+".yaml", "name: "+job+"\n"+c.job+"limits: {workers: 1}\nexpect: [{sum_equals_source: "+c.columns+"}]\n")
			p.sql(t, "DROP TABLE IF EXISTS clean")
			r := p.drover(t, nil, "run", job+".yaml", "--json")
			if c.broken == "" {
				if r.code != 0 {
					t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
				}
				return
			}
			s := r.summary(t)
			if r.code != 1 || len(s.Broken) != 1 || s.State != "failed" {
				t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			if got := s.Broken[0].Message + " " + strings.Join(s.Broken[0].Samples, "; "); !strings.Contains(got, c.broken) {
				t.Errorf("got  %s\nwant %s", got, c.broken)
			}
			if !strings.Contains(name, "source") {
				return
			}
			// A dry run finds the same.
			dry := p.drover(t, nil, "run", job+".yaml", "--dry-run", "--json")
			if b := dry.summary(t).Broken; dry.code != 1 || len(b) != 1 || b[0].Message != s.Broken[0].Message {
				t.Errorf("dry run: exit %d\n%s%s", dry.code, dry.stdout, dry.stderr)
			}
		})
	}
}

// TestSumEqualsSourceCountsEachChunkOnce: whatever was split, retried or killed.
func TestSumEqualsSourceCountsEachChunkOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, `CREATE TABLE raw (id bigint PRIMARY KEY, zip text, body text, amount numeric(12,2));
		INSERT INTO raw SELECT g, CASE WHEN g <= 900 THEN 'fat' ELSE 'thin' END, repeat('x', 200), g * 0.01 FROM generate_series(1, 1000) g;
		CREATE INDEX ON raw (zip); ANALYZE raw; CREATE TABLE clean (id bigint, zip text, amount numeric(12,2), n bigint)`)
	// A step makes 450 MiB of the 900 rows of the chunk fat, and the worker has 336 MiB. Another cannot convert a row of thin.
	job := func(convert, expect string) {
		p.write(t, "job.yaml", `
name: firms
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: zip}
steps: [{set: {n: "length(repeat(body, 2500)) + `+convert+`"}}, {drop: [body]}]
sink: {postgres: {url: "${DB}", table: clean, mode: replace}}
limits: {workers: 1, memory: 400MiB}
expect: [`+expect+"]\n")
	}
	const sum = "{sum_equals_source: amount}"
	job("CASE WHEN id = 950 THEN 'n/a' ELSE '0' END::INT", sum)
	if r := p.drover(t, nil, "run", "job.yaml"); r.code != 1 || !strings.Contains(r.stderr, "n/a") {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	// An expectation that nobody has added anything up for is refused before more is read.
	job("0", "{sum_equals_source: id}")
	if r := p.drover(t, nil, "run", "job.yaml", "--retry-errors"); r.code != 3 || !strings.Contains(r.stderr, "the source's sum of id is not known") || !strings.Contains(r.stderr, "--new") {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	job("0", sum)
	p.must(t, "run", "job.yaml", "--retry-errors")
	if got := p.sql(t, "SELECT count(*) || ' ' || sum(amount) FROM clean"); got != "1000 5005.00" {
		t.Errorf("the target has %s", got)
	}
	if got := p.ledger(t, "SELECT count(*) FROM chunk WHERE state = 'split'"); got != "1" {
		t.Errorf("%s chunks were split", got)
	}
}

// TestSumEqualsSourceAfterKillNine: a run that was killed between its chunks knows the sums of those that were finished before.
func TestSumEqualsSourceAfterKillNine(t *testing.T) {
	t.Parallel()
	s := postgresScenario("replace")
	s.job = strings.Replace(s.job, "  - filter: active\n", "", 1)
	s = expecting(s, "[{sum_equals_source: [id, amount]}]")
	s.killedEverywhere(t, 1, 15)
}
