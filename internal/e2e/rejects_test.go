package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// amounts writes CSV files of which a few rows cannot be cast: 3 of in/a.csv, 1 of in/b.csv.
func amounts(t *testing.T, p *place) {
	t.Helper()
	var a, b strings.Builder
	for i := range 5000 {
		amount := fmt.Sprint(i)
		if i == 7 || i == 2500 || i == 4999 {
			amount = "n/a"
		}
		fmt.Fprintf(&a, "%d,%s,c%d\n", i, amount, i%7)
	}
	for i := range 1000 {
		amount := fmt.Sprint(i)
		if i == 500 {
			amount = "x"
		}
		fmt.Fprintf(&b, "%d,%s,c\n", 5000+i, amount)
	}
	p.write(t, "in/a.csv", "id,amount,city\n"+a.String())
	p.write(t, "in/b.csv", "id,amount,city\n"+b.String())
}

const amountsJob = `
name: amounts
source: {files: {path: in, types: {amount: VARCHAR}}}
chunk: {files: 1}
steps:
  - cast: {amount: DOUBLE}
  - filter: amount > 10
sink: {files: {path: out, mode: overwrite}}
rejects: {files: {path: rejects/}, max: 10}
`

// rejects are the place's rejects by chunk, without the run's name.
func (p *place) rejects(t *testing.T) string {
	t.Helper()
	return p.query(t, `SELECT job, chunk, "column", reason, "row" FROM 'rejects/*.parquet' ORDER BY chunk, ("row"->>'id')::BIGINT`)
}

func TestRowsThatCannotBeCastGoToTheRejects(t *testing.T) {
	p := newPlace(t)
	amounts(t, p)
	p.write(t, "job.yaml", amountsJob)
	s := p.must(t, "run", "job.yaml", "--json").summary(t)
	if s.RowsIn != 6000 || s.RowsOut != 5975 || s.RowsRejected != 4 || s.State != "finished" {
		t.Errorf("%+v", s)
	}
	const reason = "step 1 (cast): Conversion Error: Could not convert string '%s' to DOUBLE when casting from source column amount"
	var want []string
	for _, r := range []struct {
		chunk, value string
		id           int
		city         string
	}{{"a.csv", "n/a", 7, "c0"}, {"a.csv", "n/a", 2500, "c1"}, {"a.csv", "n/a", 4999, "c1"}, {"b.csv", "x", 5500, "c"}} {
		want = append(want, fmt.Sprintf(`amounts|%s|amount|%s|{"id":%d,"amount":"%s","city":"%s"}`, r.chunk, fmt.Sprintf(reason, r.value), r.id, r.value, r.city))
	}
	if got := p.rejects(t); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if got := p.query(t, `SELECT count(*), count(DISTINCT id), count(*) FILTER (amount <= 10) FROM 'out/*.parquet'`); got != "5975|5975|0" {
		t.Error(got)
	}
	if got := p.query(t, `SELECT DISTINCT run FROM 'rejects/*.parquet'`); got != s.Run {
		t.Errorf("the rejects name run %s, and it was %s", got, s.Run)
	}
	if got := p.ledger(t, `SELECT rows_rejected FROM chunk ORDER BY id`); got != "3\n1" {
		t.Errorf("the ledger counts %s", got)
	}
	if got := p.must(t, "status", s.Run, "--json").stdout; !strings.Contains(got, `"rows_rejected":4`) && !strings.Contains(got, `"rows_rejected": 4`) {
		t.Error(got)
	}
	p.noStaging(t)
}

// Which row of the source a later step fails on cannot be told, but which row of what the step returned.
func TestRowsThatAStepCannotCastBehindOneThatSeesTheChunkGoToTheRejects(t *testing.T) {
	p := newPlace(t)
	amounts(t, p)
	p.write(t, "job.yaml", `
name: amounts
source: {files: {path: in, types: {amount: VARCHAR}}}
chunk: {files: 1}
steps:
  - set: {id: id + 1}
  - sql: SELECT *, row_number() OVER (ORDER BY id) AS n FROM chunk
  - rename: {city: town}
  - cast: {amount: DOUBLE}
  - filter: amount > 10
sink: {files: {path: out, mode: overwrite}}
rejects: {files: {path: rejects/}, max: 10}
`)
	if got := p.must(t, "plan", "job.yaml").stdout; !strings.Contains(got, "of what the last step that sees whole chunks returns") {
		t.Error(got)
	}
	s := p.must(t, "run", "job.yaml", "--json").summary(t)
	if s.RowsIn != 6000 || s.RowsOut != 5975 || s.RowsRejected != 4 || s.State != "finished" {
		t.Errorf("%+v", s)
	}
	const reason = "step 4 (cast): Conversion Error: Could not convert string '%s' to DOUBLE when casting from source column amount"
	want := fmt.Sprintf(`amounts|b.csv|amount|%s|{"id":5501,"amount":"x","city":"c","n":501}`, fmt.Sprintf(reason, "x"))
	if got := p.rejects(t); !strings.HasSuffix(got, "\n"+want) || strings.Count(got, "n/a") != 6 {
		t.Errorf("got\n%s\nwant at last\n%s", got, want)
	}
	if got := p.query(t, `SELECT count(*), count(DISTINCT id), max(n) FROM 'out/*.parquet'`); got != "5975|5975|4999" {
		t.Error(got)
	}
}

// noStaging checks that nothing staged is left below the place.
func (p *place) noStaging(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(p.tree(t)) {
		if strings.Contains(line, "drover_staging") {
			t.Errorf("left behind: %s", line)
		}
	}
}

func TestARunWithoutRejectsLeavesNoFileOfThem(t *testing.T) {
	p := newPlace(t)
	p.write(t, "in/a.csv", "id,amount\n1,2\n")
	p.write(t, "job.yaml", amountsJob)
	if s := p.must(t, "run", "job.yaml", "--json").summary(t); s.RowsRejected != 0 {
		t.Errorf("%+v", s)
	}
	if found, err := filepath.Glob(filepath.Join(p.dir, "rejects", "*")); err != nil || len(found) > 0 {
		t.Error(found, err)
	}
}

func TestADryRunCountsRejectsAndWritesNone(t *testing.T) {
	p := newPlace(t)
	amounts(t, p)
	p.write(t, "job.yaml", amountsJob)
	s := p.must(t, "run", "job.yaml", "--dry-run", "--json").summary(t)
	if s.RowsRejected != 4 || s.RowsOut != 5975 {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{"rejects", "out"} {
		if _, err := os.Stat(filepath.Join(p.dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
}

func TestMoreRejectsThanMaxFailTheRun(t *testing.T) {
	p := newPlace(t)
	amounts(t, p)
	job := func(most int) {
		p.write(t, "job.yaml", strings.Replace(amountsJob, "max: 10", fmt.Sprintf("max: %d", most), 1))
	}
	for most, what := range map[int]string{2: "more than 2 rows were rejected", 3: "rejects.max"} {
		job(most)
		r := p.drover(t, nil, "run", "job.yaml", "--json", "--new")
		if r.code != 1 || !strings.Contains(r.stderr, what) || !strings.Contains(r.stderr, "nothing is published") || !strings.Contains(r.stderr, "--retry-errors") {
			t.Fatalf("max %d: exit %d\n%s", most, r.code, r.stderr)
		}
		if s := r.summary(t); s.State != "failed" {
			t.Errorf("max %d: %+v", most, s)
		}
		if again := p.drover(t, nil, "run", "job.yaml"); again.code != 1 || !strings.Contains(again.stderr, what) {
			t.Errorf("max %d: the same command again: exit %d\n%s", most, again.code, again.stderr)
		}
		for _, pattern := range []string{"out/*.parquet", "rejects/*.parquet"} {
			if found, err := filepath.Glob(filepath.Join(p.dir, pattern)); err != nil || len(found) > 0 {
				t.Errorf("max %d: published %v %v", most, found, err)
			}
		}
	}
	job(4)
	if s := p.must(t, "run", "job.yaml", "--retry-errors", "--json").summary(t); s.RowsRejected != 4 || s.State != "finished" {
		t.Errorf("%+v", s)
	}
	if got := strings.Count(p.rejects(t), "\n") + 1; got != 4 {
		t.Errorf("%d rejects", got)
	}
	p.noStaging(t)
}

// rejectsScenario is a scenario some of whose rows are rejected.
func rejectsScenario(name, job string, prepare func(t *testing.T, p *place), state func(t *testing.T, p *place) string) scenario {
	return scenario{name: name, job: job, prepare: prepare, state: func(t *testing.T, p *place) string {
		p.noStaging(t)
		return state(t, p) + "\n" + p.query(t, `SELECT chunk, "column", "row", count(*) FROM 'rejects/*.parquet' GROUP BY ALL ORDER BY ALL`) +
			"\n" + p.ledger(t, `SELECT sum(rows_rejected) FROM chunk`)
	}}
}

// TestKillNineLeavesEachRejectOnce is TestKillNine for jobs with rejects (exactness.md 6): an attempt that was not accepted leaves none.
func TestKillNineLeavesEachRejectOnce(t *testing.T) {
	for _, s := range []scenario{
		rejectsScenario("files", amountsJob, func(t *testing.T, p *place) {
			p.write(t, "in/a.csv", "id,amount\n1,20\n2,n/a\n3,30\n")
			p.write(t, "in/b.csv", "id,amount\n4,x\n5,40\n")
		}, func(t *testing.T, p *place) string { return p.query(t, `SELECT * FROM 'out/*.parquet' ORDER BY id`) }),
		rejectsScenario("postgres append", peopleJob("append"), fewPeople, cleanPeople),
		rejectsScenario("postgres replace", peopleJob("replace"), fewPeople, cleanPeople),
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.killedEverywhere(t, 1, 3) // TestKillNine is about each point
		})
	}
}

func fewPeople(t *testing.T, p *place) {
	t.Helper()
	people(t, p)
	p.sql(t, `DELETE FROM raw WHERE id NOT IN (1, 2, 100, 1100, 1101, 1200, 2048, 2999)`)
}

func cleanPeople(t *testing.T, p *place) string {
	t.Helper()
	return p.sql(t, `SELECT string_agg(id || ' ' || made, ', ' ORDER BY id) FROM clean`)
}

// TestRule7RejectsThatAreGoneAreFoundAgain: chunks whose staged rejects were lost are done again, and rows of theirs that are committed stay as they
// are.
func TestRule7RejectsThatAreGoneAreFoundAgain(t *testing.T) {
	for _, s := range []scenario{
		rejectsScenario("files", amountsJob, func(t *testing.T, p *place) {
			p.write(t, "in/a.csv", "id,amount\n1,20\n2,n/a\n3,30\n")
			p.write(t, "in/b.csv", "id,amount\n4,x\n5,40\n")
			p.write(t, "in/c.csv", "id,amount\n6,60\n")
		}, func(t *testing.T, p *place) string { return p.query(t, `SELECT * FROM 'out/*.parquet' ORDER BY id`) }),
		rejectsScenario("merged files", strings.Replace(amountsJob, "mode: overwrite", "mode: overwrite, partition_by: [city], max_files: 1", 1), func(t *testing.T, p *place) {
			p.write(t, "in/a.csv", "id,amount,city\n1,20,x\n2,n/a,x\n3,30,y\n")
			p.write(t, "in/b.csv", "id,amount,city\n4,x,x\n5,40,y\n")
			p.write(t, "in/c.csv", "id,amount,city\n6,60,x\n")
		}, func(t *testing.T, p *place) string {
			return p.query(t, `SELECT * FROM read_parquet('out/*/*.parquet', hive_partitioning=true) ORDER BY id`)
		}),
		rejectsScenario("postgres append", inThrees("append"), fewPeople, cleanPeople),
		rejectsScenario("postgres upsert", inThrees("upsert, key: [id]"), fewPeople, cleanPeople),
		rejectsScenario("postgres replace", inThrees("replace"), fewPeople, cleanPeople),
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			calm := s.place(t)
			calm.must(t, "run", "job.yaml")
			want := s.state(t, calm)
			only := calm.ledger(t, "SELECT key FROM chunk WHERE stage = 0 AND rows_rejected > 0 ORDER BY id LIMIT 1")
			p := s.place(t)
			if r := p.must(t, "run", "job.yaml", "--only", only, "--json"); r.summary(t).Chunks.Pending == 0 {
				t.Fatalf("nothing is left to do\n%s", r.stderr)
			}
			if staged := p.tree(t); !strings.Contains(staged, "rejects/_drover_staging") {
				t.Fatalf("no rejects are staged\n%s", staged)
			}
			if err := os.RemoveAll(filepath.Join(p.dir, "rejects")); err != nil {
				t.Fatal(err)
			}
			r := p.must(t, "run", "job.yaml")
			if got := s.state(t, p); got != want {
				t.Errorf("got\n%s\nwant\n%s\n%s", got, want, r.stderr)
			}
			says(t, r.stderr, "the staged rejects of finished chunks are gone from files rejects/; done again: ")
		})
	}
}

// TestRejectsThatCannotBeFoundAgainAreSaid: the rows beside them are committed, and the source has changed.
func TestRejectsThatCannotBeFoundAgainAreSaid(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	fewPeople(t, p)
	p.write(t, "job.yaml", inThrees("append"))
	p.must(t, "run", "job.yaml", "--limit-chunks", "1")
	if n := p.ledger(t, "SELECT sum(rows_rejected) > 0 FROM chunk"); n != "1" {
		t.Fatalf("the first chunk has rejects: %s", n)
	}
	p.sql(t, "UPDATE raw SET code = 'c0', made = '1', size = 1, name = 'n'")
	if err := os.RemoveAll(filepath.Join(p.dir, "rejects")); err != nil {
		t.Fatal(err)
	}
	r := p.drover(t, nil, "run", "job.yaml")
	if r.code == 0 {
		t.Fatal("the run ended well")
	}
	says(t, r.stderr, "rows were rejected then, and 0 are now", "--new")
}

// inThrees is peopleJob for the rows of fewPeople in several chunks.
func inThrees(mode string) string {
	return strings.Replace(peopleJob(mode), "rows: 1000", "rows: 3", 1) + "limits: {workers: 1}\n"
}

// TestRunsShareAFolderOfRejects: each publishes its own, whatever another has staged there meanwhile; what is given up or pruned takes none of another's
// away. Rejects may be added to a job whose chunks have failed.
func TestRunsShareAFolderOfRejects(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write(t, "in/a.csv", "id,amount\n1,20\n2,n/a\n")
	p.write(t, "in/b.csv", "id,amount\n4,x\n5,40\n")
	job := func(name, rejects string) string {
		p.write(t, name+".yaml", "name: "+name+`
source: {files: {path: in, types: {amount: VARCHAR}}}
chunk: {files: 1}
steps: [{cast: {amount: INT}}]
sink: {files: {path: out-`+name+", mode: overwrite}}\n"+rejects)
		return name + ".yaml"
	}
	const into = "rejects: {files: {path: rejects}}\n"
	there := func(want string) {
		t.Helper()
		if got := p.query(t, "SELECT job, count(*) FROM 'rejects/*.parquet' GROUP BY 1 ORDER BY 1"); got != want {
			t.Errorf("there are rejects %q, want %q", got, want)
		}
	}
	first, second := job("first", into), job("second", "")
	p.must(t, "run", first, "--only", "a.csv")
	if r := p.drover(t, nil, "run", second); r.code != 1 || !strings.Contains(r.stderr, "2 of 2 chunks failed") {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	job("second", into)
	p.must(t, "run", second, "--retry-errors")
	there("second|2")
	p.must(t, "run", first)
	there("first|2\nsecond|2")
	// One that is given up has staged its rejects beside those.
	p.must(t, "run", first, "--only", "b.csv")
	p.must(t, "run", first, "--new")
	there("first|4\nsecond|2")
	p.must(t, "prune", first, "--older-than", "0s")
	there("first|4\nsecond|2")
	p.noStaging(t)
	// max is of one run, whatever others have left in the folder.
	job("second", strings.Replace(into, "}}", "}, max: 1}", 1))
	r := p.drover(t, nil, "run", second)
	if r.code != 1 || !strings.Contains(r.stderr, "2 rows were rejected, and rejects.max is 1") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	says(t, p.must(t, "errors").stdout, "no chunk failed, the run did", "rejects.max is 1", "--retry-errors")
	there("first|4\nsecond|2")
}
