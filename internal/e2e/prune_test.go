package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/run"
)

// sharedFirms is firmsJob on a ledger in the target's database.
const sharedFirms = firmsJob + "ledger: ${DB}\n"

// aged makes all runs that are over, and their gates, 100 days old.
func (p *place) aged(t *testing.T) {
	t.Helper()
	p.sql(t, `UPDATE drover.run SET finished_at = finished_at - interval '100 days'; UPDATE drover.gate SET closed_at = closed_at - interval '100 days'`)
}

func (p *place) prune(t *testing.T, args ...string) run.PruneResult {
	t.Helper()
	var r run.PruneResult
	if err := json.Unmarshal([]byte(p.must(t, append([]string{"prune", "--json"}, args...)...).stdout), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// names lists runs in a few words.
func names(runs []run.PrunedRun) string {
	var out []string
	for _, r := range runs {
		out = append(out, r.Run)
	}
	return strings.Join(out, " ")
}

// TestRule3PruneKeepsWhatRefusesASecondAppend: the newest finished run stays, and what it refuses is refused as before.
func TestRule3PruneKeepsWhatRefusesASecondAppend(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.sql(t, `ALTER TABLE clean DROP CONSTRAINT clean_pkey`)
	p.write(t, "job.yaml", sharedFirms)
	for _, name := range []string{"a", "b", "c"} {
		p.must(t, "run", "job.yaml", "--run", name)
	}
	if r := p.prune(t, "job.yaml"); len(r.Removed)+len(r.Kept) != 0 || r.Receipts != 0 {
		t.Errorf("young runs: %+v", r)
	}
	p.aged(t)
	p.must(t, "run", "job.yaml", "--run", "open", "--limit-chunks", "1")
	p.sql(t, `UPDATE drover.run SET started_at = started_at - interval '100 days'`)
	before := p.relations(t)
	dry := p.prune(t, "job.yaml", "--dry-run")
	if names(dry.Removed) != "b a" || names(dry.Kept) != "c" || dry.Receipts != 12 || p.relations(t) != before {
		t.Errorf("a dry run: %+v", dry)
	}
	r := p.prune(t, "job.yaml")
	if names(r.Removed) != "b a" || names(r.Kept) != "c" || r.Receipts != 12 || r.Tables != 0 || len(r.Unreached) != 0 {
		t.Errorf("pruned %+v", r)
	}
	if got := p.sql(t, `SELECT (SELECT string_agg(id, ' ' ORDER BY number) FROM drover.run) || ' ' || (SELECT count(DISTINCT run_id) FROM drover.chunk) || ' ' ||
		(SELECT count(DISTINCT run_id) FROM drover.attempt) || ' ' || (SELECT count(*) FROM drover.gate WHERE state = 'closed') || ' ' || (SELECT count(*) FROM drover.receipt)`); got != "c open 2 2 3 1" {
		t.Errorf("left are %s", got)
	}
	p.must(t, "run", "job.yaml", "--run", "open")
	if got := p.sql(t, `SELECT count(*) FROM clean`); got != "160" {
		t.Errorf("the target has %s rows", got)
	}
	again := p.drover(t, nil, "run", "job.yaml")
	if again.code != 2 {
		t.Errorf("a second append: exit %d", again.code)
	}
	says(t, again.stderr, "load everything twice")
}

// TestRule21PruneKeepsLoadedKeys: new_keys still knows what runs that were old have loaded.
func TestRule21PruneKeepsLoadedKeys(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, cities)
	p.write(t, "job.yaml", newKeysJob("", "mode: append"))
	p.loads(t, 5, 42)
	p.sql(t, `INSERT INTO raw SELECT g, 'kyiv' FROM generate_series(51, 57) g`)
	p.loads(t, 1, 7)
	p.loads(t, 0, 0)
	p.aged(t)
	if r := p.prune(t, "job.yaml"); len(r.Removed) != 0 || len(r.Kept) != 3 || r.Receipts != 6 {
		t.Errorf("pruned %+v", r)
	}
	p.loads(t, 0, 0)
	if got := p.sql(t, `SELECT count(*) || ' ' || count(DISTINCT id) FROM clean`); got != "49 49" {
		t.Errorf("the target has %s rows", got)
	}
}

// TestPruneWithoutTheTarget: without a job file there are no credentials: what stays is named, and a later prune with them removes it.
func TestPruneWithoutTheTarget(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", strings.Replace(brokenJob, "mode: append", "mode: replace", 1)+"ledger: ${DB}\n")
	if r := p.drover(t, nil, "run", "job.yaml", "--run", "broken"); r.code != 1 {
		t.Fatalf("exit %d", r.code)
	}
	p.write(t, "job.yaml", sharedFirms)
	p.sql(t, `ALTER TABLE clean DROP CONSTRAINT clean_pkey; UPDATE drover.run SET job = 'other'`)
	for _, name := range []string{"a", "b"} {
		p.must(t, "run", "job.yaml", "--run", name)
	}
	p.aged(t)
	db := p.envValue("DB")
	for _, failed := range []bool{false, true} {
		args := []string{"prune", "--ledger", db, "--dry-run"}
		if failed {
			args = append(args, "--failed")
		}
		said := p.must(t, args...).stdout
		says(t, said, "would remove 1 run\n", "clean", "drover prune JOB.yaml", "kept b of firms")
		if strings.Contains(said, "kept broken of other: it did not finish") != failed {
			t.Errorf("--failed %v: %s", failed, said)
		}
	}
	r := p.prune(t, "--ledger", db, "--job", "firms")
	if names(r.Removed) != "a" || names(r.Kept) != "b" || r.Receipts != 0 || len(r.Unreached) != 1 {
		t.Errorf("pruned %+v", r)
	}
	if got := p.sql(t, `SELECT count(*) FROM drover.receipt`); got != "11" {
		t.Errorf("%s receipts", got)
	}
	if r := p.prune(t, "job.yaml"); r.Receipts != 8 || len(r.Removed) != 0 {
		t.Errorf("with the target: %+v", r)
	}
	// The failed run of another job was spared throughout.
	if got := p.sql(t, `SELECT (SELECT count(*) FROM drover.receipt) || ' ' || (SELECT state FROM drover.run WHERE id = 'broken') || ' ' ||
		(SELECT count(*) FROM pg_class WHERE relname LIKE 'drover\_%\_0' AND relkind = 'r')`); got != "3 failed 1" {
		t.Errorf("left are %s", got)
	}
}

// TestPruneOfFailedRuns: only --failed takes them, with their staging tables.
func TestPruneOfFailedRuns(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", strings.Replace(brokenJob, "mode: append", "mode: replace", 1))
	first := p.drover(t, nil, "run", "job.yaml", "--json").summary(t)
	if r := p.prune(t, "job.yaml", "--older-than", "0d"); len(r.Removed)+len(r.Kept) != 0 || r.Tables != 0 {
		t.Errorf("without --failed: %+v", r)
	}
	if r := p.drover(t, nil, "run", "job.yaml", "--retry-errors"); r.code != 1 {
		t.Errorf("a retry: exit %d\n%s", r.code, r.stderr)
	}
	for _, args := range [][]string{{"--dry-run"}, nil} {
		r := p.prune(t, append([]string{"job.yaml", "--older-than", "0d", "--failed"}, args...)...)
		if names(r.Removed) != first.Run || r.Tables != 1 || r.Receipts != 3 {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if got := p.sql(t, `SELECT count(*) FROM pg_class WHERE relname LIKE 'drover\_%\_0' AND relkind = 'r'`); got != "0" {
		t.Errorf("%s staging tables", got)
	}
	if got := p.ledger(t, `SELECT (SELECT count(*) FROM run) + (SELECT count(*) FROM chunk) + (SELECT count(*) FROM attempt)`); got != "0" {
		t.Errorf("%s rows in the ledger", got)
	}
}

// TestPruneKeepsAFailedRunWhoseRowsAreInTheTarget: without it the plain command would load them again, so that wants the same leave as run --new
// (exactness.md 11).
func TestPruneKeepsAFailedRunWhoseRowsAreInTheTarget(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", brokenJob)
	first := p.drover(t, nil, "run", "job.yaml", "--json").summary(t)
	failed := []string{"job.yaml", "--older-than", "0d", "--failed"}
	for _, more := range []string{"--dry-run", "--json"} {
		r := p.prune(t, append(failed, more)...)
		if len(r.Removed) != 0 || names(r.Kept) != first.Run || r.Receipts != 0 {
			t.Errorf("%s: %+v", more, r)
		}
	}
	says(t, p.must(t, append([]string{"prune"}, failed...)...).stdout, "the rows of 3 chunks are in postgres clean", "--retry-errors", "--keep-committed")
	if again := p.drover(t, nil, "run", "job.yaml", "--json"); again.code != 1 || again.summary(t).Run != first.Run {
		t.Errorf("the run is forgotten: exit %d\n%s", again.code, again.stderr)
	}
	if r := p.prune(t, append(failed, "--keep-committed")...); names(r.Removed) != first.Run || r.Receipts != 3 {
		t.Errorf("with leave: %+v", r)
	}
}

// TestKeep: each run that finishes removes the job's old ones.
func TestKeep(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.sql(t, `ALTER TABLE clean DROP CONSTRAINT clean_pkey`)
	p.write(t, "job.yaml", sharedFirms+"keep: 90d\n")
	for _, name := range []string{"a", "b"} {
		p.must(t, "run", "job.yaml", "--run", name)
	}
	p.aged(t)
	p.must(t, "run", "job.yaml", "--run", "c")
	if got := p.sql(t, `SELECT (SELECT string_agg(id, ' ' ORDER BY number) FROM drover.run) || ' ' || (SELECT count(*) FROM drover.receipt)`); got != "c 4" {
		t.Errorf("left are %s", got)
	}
	// A machine that comes as late as this with the name of a run must not load it again.
	soon := p.must(t, "run", "job.yaml", "--run", "c")
	says(t, soon.stderr, "run c finished on", "40 rows", "Nothing is left to do")
	late := p.must(t, "run", "job.yaml", "--run", "a", "--json")
	says(t, late.stderr, "run a finished on", "was pruned on", "nothing is left to do")
	if s := late.summary(t); s.Run != "a" || s.State != "finished" || s.PrunedAt == nil {
		t.Errorf("a late machine: %+v", s)
	}
	if got := p.sql(t, `SELECT count(*) FROM clean`); got != "120" {
		t.Errorf("the target has %s rows", got)
	}
	says(t, p.must(t, "status", "a", "--ledger", p.admin).stdout, "finished", "pruned")
	if r := p.drover(t, nil, "errors", "a", "--ledger", p.admin); r.code != 2 || !strings.Contains(r.stderr, "was pruned") {
		t.Errorf("errors of a pruned run: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestPruneOfStagedFiles: what a run has staged in a dataset that its job no longer writes goes with the run, and nothing else does.
func TestPruneOfStagedFiles(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for i := range 2 {
		p.write(t, fmt.Sprintf("in/%d.csv", i), "id\n"+strings.Repeat("1\n", 500))
	}
	job := func(out string) {
		p.write(t, "job.yaml", fmt.Sprintf("name: files\nsource: {files: {path: in/}}\nchunk: {files: 1}\nsink: {files: {path: %s, mode: append}}\n", out))
	}
	job("first")
	p.must(t, "run", "job.yaml", "--limit-chunks", "1")
	if err := os.WriteFile(filepath.Join(p.dir, "first", "mine.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	area := func() int {
		found, err := filepath.Glob(filepath.Join(p.dir, "first", "_drover_staging_*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	job("second")
	p.must(t, "run", "job.yaml", "--new")
	if area() != 1 {
		t.Fatal("the first run left no area")
	}
	if r := p.prune(t, "job.yaml", "--older-than", "0d"); len(r.Removed) != 0 || r.Files != 0 || len(r.Kept) != 2 || area() != 1 {
		t.Errorf("with another target: %+v", r)
	}
	job("first")
	if r := p.prune(t, "job.yaml", "--older-than", "0d"); len(r.Removed) != 1 || r.Files == 0 || area() != 0 {
		t.Errorf("with its target: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "first", "mine.txt")); err != nil {
		t.Error(err)
	}
	if got := p.query(t, `SELECT count(*) FROM 'second/*.parquet'`); got != "1000" {
		t.Errorf("the second dataset has %s rows", got)
	}
}

func TestPruneRefusals(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write(t, "job.yaml", "name: files\nsource: {files: {path: in.csv}}\nsink: {files: {path: out}}\n")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"prune"}, 3, "there is no ledger"},
		{[]string{"prune", "--older-than", "90"}, 2, "is not a time"},
		{[]string{"prune", "job.yaml", "--job", "files"}, 2, "exclude each other"},
		{[]string{"prune", "--set", "a=b"}, 2, "--set needs a job file"},
		{[]string{"prune", "a.yaml", "b.yaml"}, 2, "one job file"},
	} {
		r := p.drover(t, nil, c.args...)
		if r.code != c.code {
			t.Errorf("%v: exit %d", c.args, r.code)
		}
		says(t, r.stderr, c.says)
	}
}
