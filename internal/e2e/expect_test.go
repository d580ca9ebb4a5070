package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// expecting is a scenario with expectations, which must hold.
func expecting(s scenario, expectations string) scenario {
	s.job += "expect: " + expectations + "\n"
	return s
}

// TestExpectationsOnFiles: what breaks one is not published, says which rows, and stays staged until the expectation is mended.
func TestExpectationsOnFiles(t *testing.T) {
	for _, format := range []string{"parquet", "csv", "json", "arrow"} {
		for _, layout := range []string{"", ", partition_by: [state]", ", partition_by: [state], max_files: 1"} {
			t.Run(format+layout, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				p.write(t, "in/a.csv", "id,state,amount,day\n1,NY,1.10,2020-01-01\n2,CA,2.20,2020-01-02\n")
				p.write(t, "in/b.csv", "id,state,amount,day\n2,XX,3.30,\n,,4.40,2020-01-04\n")
				p.write(t, "in/c.csv", "id,state,amount,day\n5,New York,5.50,2020-01-05\n")
				job := func(expectations string) {
					p.write(t, "job.yaml", `
name: states
source: {files: {path: in, types: {amount: "DECIMAL(12,2)"}}}
chunk: {files: 1}
sink: {files: {path: out, format: `+format+layout+`}}
limits: {workers: 2}
expect: `+expectations+"\n")
				}
				job(`[{rows: "> 5"}, {not_null: [id, amount]}, {unique: [id]}, {accepted_values: {state: [NY, CA, XX]}},
  {check: "length(state) = 2"}, {check: "day >= DATE '2020-01-02'"}, {unique: [state]}, {rows: 5}]`)
				r := p.drover(t, nil, "run", "job.yaml", "--json")
				if r.code != 1 {
					t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
				}
				s := r.summary(t)
				var got []string
				for _, b := range s.Broken {
					got = append(got, b.Expectation+": "+b.Message+" "+strings.Join(b.Samples, "; "))
				}
				want := []string{
					"rows: > 5: there are 5 rows ",
					"not_null: [id, amount]: 1 row with NULL id=NULL, amount=4.40, state=NULL",
					"unique: [id]: 2 rows share 1 value id=2 (2 rows)",
					"accepted_values: {state: [NY, CA, XX]}: 1 row with another value state=New York, id=5",
					"check: length(state) = 2: 1 row for which it is false state=New York, id=5",
					"check: day >= DATE '2020-01-02': 1 row for which it is false day=2020-01-01, id=1, state=NY",
				}
				if strings.Join(got, "\n") != strings.Join(want, "\n") || s.State != "failed" {
					t.Errorf("%s\n%s\nwant\n%s", s.State, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				if found, err := filepath.Glob(filepath.Join(p.dir, "out", "[^_]*")); err != nil || len(found) > 0 {
					t.Errorf("published: %v, %v", found, err)
				}
				// The same command says it again; the ledger has it too.
				if again := p.drover(t, nil, "run", "job.yaml"); again.code != 1 || !strings.Contains(again.stderr, "id=2 (2 rows)") {
					t.Errorf("again: exit %d\n%s", again.code, again.stderr)
				}
				if e := p.must(t, "errors"); !strings.Contains(e.stdout, "id=2 (2 rows)") || !strings.Contains(e.stdout, "--retry-errors") {
					t.Errorf("errors: %s", e.stdout)
				}
				// A mended expectation publishes what is staged, without reading anything again.
				job(`[{rows: 5}, {not_null: [amount]}, {unique: [id, state]}]`)
				mended := p.must(t, "run", "job.yaml", "--retry-errors", "--json").summary(t)
				if mended.State != "finished" || mended.RowsOut != 5 || mended.Run != s.Run || len(mended.Broken) > 0 {
					t.Errorf("%+v", mended)
				}
				if n := p.ledger(t, "SELECT count(DISTINCT token) FROM attempt WHERE stage = 0"); n != "3" {
					t.Errorf("%s tasks, want 3: nothing is done again", n)
				}
			})
		}
	}
}

// TestExpectationsOnPostgresReplace: for a target that is new, one that is swapped and one that is refilled.
func TestExpectationsOnPostgresReplace(t *testing.T) {
	for name, ddl := range map[string]string{
		"new":    "",
		"swap":   "CREATE TABLE clean (id bigint, state text, amount numeric(14,4), address inet); INSERT INTO clean VALUES (-1, 'old', 1, NULL)",
		"refill": "CREATE TABLE clean (id bigint, state text, amount numeric(14,4), address inet); INSERT INTO clean VALUES (-1, 'old', 1, NULL); CREATE VIEW v AS SELECT * FROM clean",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.postgres(t)
			p.sql(t, `CREATE TABLE raw (id bigint, state text, amount numeric(12,2), address inet);
				INSERT INTO raw SELECT g, CASE WHEN g % 10 = 0 THEN NULL ELSE 'NY' END, g * 1.5, CASE WHEN g % 7 = 0 THEN NULL ELSE '10.0.0.1'::inet END FROM generate_series(1, 99) g;
				INSERT INTO raw VALUES (42, 'Ohio', -1, '10.0.0.2'); `+ddl)
			const steps = "steps: [{set: {amount: 'amount::DECIMAL(14,4)'}}]\n"
			job := func(expectations string) {
				p.write(t, "job.yaml", `
name: raw
source: {postgres: {url: "${DB}", table: raw}}
chunk: {rows: 10}
`+steps+`
sink: {postgres: {url: "${DB}", table: clean, mode: replace}}
expect: `+expectations+"\n")
			}
			job(`[{rows: "= 100"}, {not_null: [state]}, {not_null: [address]}, {unique: [id]}, {accepted_values: {state: [NY]}}, {check: amount > 0}]`)
			r := p.drover(t, nil, "run", "job.yaml", "--json")
			if r.code != 1 {
				t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			want := map[string]string{
				"not_null: [state]":              "9 rows with NULL state=NULL, id=10; state=NULL, id=20; state=NULL, id=30",
				"not_null: [address]":            "14 rows with NULL id=7, state=NY, amount=10.5000; id=14, state=NY, amount=21.0000; id=21, state=NY, amount=31.5000",
				"unique: [id]":                   "2 rows share 1 value id=42 (2 rows)",
				"accepted_values: {state: [NY]}": "1 row with another value state=Ohio, id=42",
				"check: amount > 0":              "1 row for which it is false amount=-1.0000, id=42",
			}
			broken := r.summary(t).Broken
			for _, b := range broken {
				if got := b.Message + " " + strings.Join(b.Samples, "; "); got != want[b.Expectation] {
					t.Errorf("%s: %s\nwant %s", b.Expectation, got, want[b.Expectation])
				}
			}
			if len(broken) != len(want) {
				t.Errorf("%+v", broken)
			}
			if ddl != "" {
				if rows := p.sql(t, "SELECT state FROM clean"); rows != "old" {
					t.Errorf("published: %s", rows)
				}
			} else if there := p.sql(t, "SELECT coalesce(to_regclass('clean')::text, 'none')"); there != "none" {
				t.Errorf("published: %s", there)
			}
			job(`[{rows: ">= 100"}, {not_null: [id]}]`)
			p.must(t, "run", "job.yaml", "--retry-errors")
			if rows := p.sql(t, "SELECT count(*) || ' ' || sum(amount) FROM clean"); rows != "100 7424.0000" {
				t.Errorf("after --retry-errors: %s", rows)
			}
			// The next run breaks one, and --new gives it up.
			job(`[{rows: 7}]`)
			if r := p.drover(t, nil, "run", "job.yaml"); r.code != 1 {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
			job(`[{rows: 100}]`)
			p.must(t, "run", "job.yaml", "--new")
			if left := p.sql(t, "SELECT count(*) FROM pg_class WHERE relname LIKE 'drover_%' AND relkind = 'r'"); left != "0" {
				t.Errorf("%s staging tables are left", left)
			}
		})
	}
}

// TestADryRunChecksWhatItCan: each task looks at its own rows, and what nobody can know of them is named.
func TestADryRunChecksWhatItCan(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write(t, "in/a.csv", "id,state\n1,NY\n2,CA\n,CA\n")
	p.write(t, "in/b.csv", "id,state\n3,NY\n2,CA\n,NY\n,XX\n")
	p.write(t, "job.yaml", `
name: dry
source: {files: {path: in}}
chunk: {files: 1}
steps: [{set: {twice: id * 2}}, {rename: {state: place}}]
sink: {files: {path: out}}
rejects: {files: {path: rejects}}
expect: [{not_null: [twice]}, {unique: [id]}, {accepted_values: {place: [NY]}}, {check: place::INT > 0}, {check: id > 0}, {rows: 6}, {sum_equals_source: id}]
`)
	for _, c := range []struct {
		flags              []string
		broken, notChecked string
	}{
		{nil, "not_null: [twice]: 3 rows with NULL twice=NULL, id=NULL; twice=NULL, id=NULL; twice=NULL, id=NULL\n" +
			"accepted_values: {place: [NY]}: 4 rows with another value place=CA, id=2; place=CA, id=2; place=CA, id=NULL\n" +
			"check: place::INT > 0: it cannot be evaluated: Could not convert string 'NY' to INT32 when casting from source column place (Conversion Error) \n" +
			"rows: 6: there are 7 rows ", "all rows together: unique: [id]\n"},
		{
			[]string{"--only", "a.csv"},
			"not_null: [twice]: 1 row with NULL twice=NULL, id=NULL\n" +
				"accepted_values: {place: [NY]}: 2 rows with another value place=CA, id=2; place=CA, id=NULL\n" +
				"check: place::INT > 0: it cannot be evaluated: Could not convert string 'NY' to INT32 when casting from source column place (Conversion Error) ",
			"chunks were left out: unique: [id]; rows: 6\n",
		},
	} {
		r := p.drover(t, nil, append([]string{"run", "job.yaml", "--dry-run", "--json"}, c.flags...)...)
		var got []string
		for _, b := range r.summary(t).Broken {
			got = append(got, b.Expectation+": "+b.Message+" "+strings.Join(b.Samples, "; "))
		}
		if r.code != 1 || strings.Join(got, "\n") != c.broken || !strings.Contains(r.stderr, c.notChecked) {
			t.Errorf("%v: exit %d\n%s\nwant\n%s\n%s", c.flags, r.code, strings.Join(got, "\n"), c.broken, r.stderr)
		}
	}
}

// nearTheCheck returns a point of the driver shortly before its check, found in long strides: TestKillNine is about those before.
func nearTheCheck(t *testing.T, s scenario) int {
	t.Helper()
	const stride = 8
	for n := stride; ; n += stride {
		p := s.place(t)
		marker := filepath.Join(p.dir, "killed")
		r := p.drover(t, []string{fmt.Sprintf("DROVER_FAULT=driver:%d:%s", n, marker)}, "run", "job.yaml", "--run", "once")
		if _, err := os.Stat(marker); err != nil || strings.Contains(r.stderr, "checking") {
			return n - stride + 1
		}
	}
}

// TestKillNineAroundTheExpectations kills the driver at every point from where all chunks are finished on. The same command ends the run, and
// its data is judged before it is published, once more or not.
func TestKillNineAroundTheExpectations(t *testing.T) {
	const holds = "[{rows: '> 10'}, {not_null: [id]}, {unique: [id]}, {sum_equals_source: id}]"
	whole := func(s scenario) scenario {
		s.job = strings.NewReplacer("  - filter: active\n", "", "  - filter: trip_distance > 1\n", "").Replace(s.job)
		return s
	}
	for _, s := range []scenario{
		whole(expecting(filesScenario("overwrite"), holds)), whole(expecting(mergedScenario("overwrite"), holds)), whole(expecting(postgresScenario("replace"), holds)),
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			calm := s.place(t)
			calm.must(t, "run", "job.yaml", "--run", "once", "--json")
			want := s.state(t, calm)
			points := 0
			for n := nearTheCheck(t, s); ; n++ {
				p := s.place(t)
				marker := filepath.Join(p.dir, "killed")
				first := p.drover(t, []string{fmt.Sprintf("DROVER_FAULT=driver:%d:%s", n, marker)}, "run", "job.yaml", "--run", "once")
				if _, err := os.Stat(marker); err != nil {
					if first.code != 0 {
						t.Fatalf("nothing was killed, and the run ended with %d\n%s", first.code, first.stderr)
					}
					break
				}
				if _, err := os.Stat(filepath.Join(p.dir, ".drover", "ledger.db")); err != nil || !strings.Contains(first.stderr, "checking") {
					continue // TestKillNine is about that
				}
				points++
				r := p.drover(t, nil, "run", "job.yaml", "--run", "once", "--json")
				if r.code != 0 {
					t.Fatalf("point %d: the rerun ended with %d\n%s", n, r.code, r.stderr)
				}
				if got := s.state(t, p); got != want {
					t.Fatalf("point %d: after the rerun the target is\n%s\nwant\n%s", n, got, want)
				}
			}
			if points < 5 {
				t.Errorf("the driver was killed at %d points only", points)
			}
		})
	}
}

// TestAWorkerThatIsLostWhileItChecks: another one checks, and the run ends as if nothing had been.
func TestAWorkerThatIsLostWhileItChecks(t *testing.T) {
	t.Parallel()
	s := expecting(filesScenario("overwrite"), "[{rows: '> 10'}, {unique: [id]}]")
	s.job = strings.Replace(s.job, "workers: 2", "workers: 1", 1)
	calm := s.place(t)
	calm.must(t, "run", "job.yaml")
	want := s.state(t, calm)
	checking := 0
	for n := 1; ; n++ {
		p := s.place(t)
		marker := filepath.Join(p.dir, "killed")
		r := p.drover(t, []string{fmt.Sprintf("DROVER_FAULT=worker:%d:%s", n, marker)}, "run", "job.yaml")
		if r.code != 0 {
			t.Fatalf("point %d: exit %d\n%s", n, r.code, r.stderr)
		}
		if got := s.state(t, p); got != want {
			t.Fatalf("point %d: the target is\n%s\nwant\n%s", n, got, want)
		}
		if _, err := os.Stat(marker); err != nil {
			break
		}
		if p.ledger(t, "SELECT count(*) FROM attempt WHERE outcome <> 'finished'") == "0" {
			checking++ // every task had its worker to the end
		}
	}
	if checking != 2 {
		t.Errorf("a worker was lost %d times while it checked, want before and after the look at the rows", checking)
	}
}

// TestWhatBreaksAnExpectationIsNeverPublishedWhateverIsKilled is the same for an expectation that does not hold.
func TestWhatBreaksAnExpectationIsNeverPublishedWhateverIsKilled(t *testing.T) {
	s := expecting(filesScenario("overwrite"), "[{rows: '> 10'}, {check: id < 3000}]")
	before := s.place(t)
	rows := func(p *place) string {
		return p.query(t, "SELECT count(*), sum(id) FROM read_parquet('out/**/*.parquet', hive_partitioning=true)")
	}
	want := rows(before)
	for n := nearTheCheck(t, s); ; n++ {
		p := s.place(t)
		marker := filepath.Join(p.dir, "killed")
		first := p.drover(t, []string{fmt.Sprintf("DROVER_FAULT=driver:%d:%s", n, marker)}, "run", "job.yaml", "--run", "once")
		if _, err := os.Stat(marker); err != nil {
			if first.code != 1 {
				t.Fatalf("exit %d\n%s", first.code, first.stderr)
			}
			break
		}
		if !strings.Contains(first.stderr, "checking") {
			continue
		}
		if r := p.drover(t, nil, "run", "job.yaml", "--run", "once"); r.code != 1 || !strings.Contains(r.stderr, "check: id < 3000") {
			t.Fatalf("point %d: exit %d\n%s", n, r.code, r.stderr)
		}
		if got := rows(p); got != want {
			t.Fatalf("point %d: published %s", n, got)
		}
	}
}
