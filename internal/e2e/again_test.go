package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPartOfARun: --limit-chunks and --only leave the run open and resumable with exit 0; publish happens only when every chunk is finished
// (exactness.md 5).
func TestPartOfARun(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.sql(t, `INSERT INTO clean VALUES (1000, 'x', 'old', 1, true)`)
	p.write(t, "job.yaml", strings.Replace(firmsJob, "mode: append", "mode: replace", 1))
	for _, step := range []struct {
		args                     []string
		finished, pending        int64
		resumed                  bool
		state, keys, rows, clean string
	}{
		{args: []string{"--limit-chunks", "1"}, finished: 1, pending: 3, state: "open", clean: "1"},
		{args: []string{"--only", "(null)", "--only", "00002"}, finished: 3, pending: 1, resumed: true, state: "open", clean: "1"},
		{args: []string{"--only", "00002"}, finished: 3, pending: 1, resumed: true, state: "open", clean: "1"},
		{finished: 4, resumed: true, state: "finished", clean: "40"},
	} {
		s := p.must(t, append([]string{"run", "job.yaml", "--json"}, step.args...)...).summary(t)
		if s.Chunks.Finished != step.finished || s.Chunks.Pending != step.pending || s.Resumed != step.resumed || s.State != step.state {
			t.Errorf("%v: %+v", step.args, s)
		}
		if got := p.sql(t, `SELECT count(*) FROM clean`); got != step.clean {
			t.Errorf("%v: the target has %s rows, want %s", step.args, got, step.clean)
		}
	}
	unknown := p.drover(t, nil, "run", "job.yaml", "--only", "99999")
	if unknown.code != 2 {
		t.Errorf("--only with an unknown key: exit %d, want 2", unknown.code)
	}
	says(t, unknown.stderr, "--only", "99999")
	if got := p.sql(t, `SELECT count(*) FROM clean`); got != "40" {
		t.Errorf("--only with an unknown key changed the target: %s rows", got)
	}
}

// brokenJob fails in chunk 00001 alone.
var brokenJob = strings.Replace(firmsJob, "name: upper(name)", "amount: CASE WHEN zip = '00001' THEN CAST(name AS INTEGER) ELSE id END", 1)

// TestRetryErrors: a run that ended with failed chunks stays as it is: the same command lists them again (1); --retry-errors accepts mended steps,
// and nothing else that changed (exactness.md 4).
func TestRetryErrors(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", brokenJob)
	first := p.drover(t, nil, "run", "job.yaml", "--json")
	id := first.summary(t).Run
	for range 2 {
		again := p.drover(t, nil, "run", "job.yaml", "--json")
		if s := again.summary(t); again.code != 1 || s.Run != id || s.State != "failed" || s.Chunks.Error != 1 || s.Chunks.Finished != 3 {
			t.Fatalf("the same command: exit %d, %+v\n%s", again.code, s, again.stderr)
		}
		says(t, again.stderr, "zip=00001", "Conversion Error", "--retry-errors", "--new")
	}
	listed := p.drover(t, nil, "errors")
	says(t, listed.stdout, "00001", "Conversion Error", "name 1", "drover run job.yaml --retry-errors")
	if one := p.must(t, "errors", id, "--json"); !strings.Contains(one.stdout, `"00001"`) {
		t.Errorf("errors --json: %s", one.stdout)
	}
	if r := p.drover(t, nil, "run", "job.yaml", "--retry-errors"); r.code != 1 {
		t.Errorf("a retry that fails again: exit %d", r.code)
	}

	says(t, p.drover(t, nil, "run", "job.yaml").stderr, "the rows of 3 chunks stay", "drover run job.yaml --new --keep-committed")
	says(t, p.drover(t, nil, "run", "job.yaml", "--new").stderr, "3 committed chunks", "--retry-errors in place of --new", "--keep-committed")
	mended := strings.Replace(brokenJob, "CAST(name AS INTEGER)", "7", 1)
	p.write(t, "job.yaml", mended)
	if r := p.drover(t, nil, "run", "job.yaml"); r.code != 1 || !strings.Contains(r.stderr, "zip=00001") {
		t.Errorf("a mended job beside a failed run: exit %d\n%s", r.code, r.stderr)
	}
	for name, change := range map[string][2]string{
		"source":   {"table: raw", "table: clean"},
		"sink":     {"mode: append", "mode: replace"},
		"chunking": {"by: zip", "by: id"},
		"output":   {"amount: CASE", "active: true\n      amount2: CASE"},
	} {
		p.sql(t, `ALTER TABLE clean ADD COLUMN IF NOT EXISTS amount2 numeric`)
		p.write(t, "job.yaml", strings.Replace(mended, change[0], change[1], 1))
		r := p.drover(t, nil, "run", "job.yaml", "--retry-errors")
		if r.code != 2 && r.code != 3 {
			t.Errorf("--retry-errors with another %s: exit %d\n%s", name, r.code, r.stderr)
		}
		if got := p.sql(t, `SELECT count(*) FROM clean`); got != "30" {
			t.Fatalf("--retry-errors with another %s changed the target: %s rows", name, got)
		}
	}
	p.write(t, "job.yaml", mended)
	s := p.must(t, "run", "job.yaml", "--retry-errors", "--json").summary(t)
	if s.Run != id || s.State != "finished" || s.Chunks.Finished != 4 || s.RowsOut != 40 {
		t.Errorf("the mended run: %+v", s)
	}
	if got := p.sql(t, `SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(amount) FILTER (WHERE zip = '00001') FROM clean`); got != "40 40 70.00" {
		t.Errorf("the target has %s", got)
	}
	// Each attempt records what it ran with: the mended chunk another fingerprint than the others.
	if got := p.ledger(t, `SELECT count(DISTINCT fingerprint) FROM attempt WHERE outcome = 'finished'`); got != "2" {
		t.Errorf("finished attempts have %s fingerprints", got)
	}
}

// TestRule4AMendMayMakeAColumnOrLeaveItAlone: the step at fault is removed, or another one added, and the target gets the same types.
func TestRule4AMendMayMakeAColumnOrLeaveItAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.sql(t, `ALTER TABLE clean ALTER name TYPE varchar(12)`)
	const computed = "name: CASE WHEN id < 0 THEN CAST(CAST(name AS INTEGER) AS VARCHAR) ELSE name END"
	for name, steps := range map[string][2]string{
		"left alone": {strings.Replace(computed, "id < 0", "zip = '00001'", 1), "active: active"},
		"made":       {"active: CASE WHEN zip = '00001' THEN CAST(name AS BOOLEAN) ELSE active END", computed},
	} {
		for table, column := range map[string]string{"clean": "name::varchar(12) name", "fresh": "name"} {
			p.sql(t, `DROP TABLE IF EXISTS fresh; TRUNCATE clean`)
			job := strings.NewReplacer("mode: append", "mode: replace", "table: clean", "table: "+table, "table: raw", "query: select id, zip, "+column+", active from raw").Replace(firmsJob)
			p.write(t, "job.yaml", strings.Replace(job, "name: upper(name)", steps[0], 1))
			if r := p.drover(t, nil, "run", "job.yaml"); r.code != 1 {
				t.Fatalf("%s, %s: exit %d\n%s", name, table, r.code, r.stderr)
			}
			p.write(t, "job.yaml", strings.Replace(job, "name: upper(name)", steps[1], 1))
			p.must(t, "run", "job.yaml", "--retry-errors")
			if got := p.sql(t, `SELECT count(*) FROM `+table+` JOIN raw USING (id, zip, name)`); got != "30" {
				t.Errorf("%s, %s: %s rows", name, table, got)
			}
		}
	}
}

// TestRule4MendedStepsAreForRunsWithFailedChunks: an open run of which nothing failed must not go on with other steps, whatever is asked.
func TestRule4MendedStepsAreForRunsWithFailedChunks(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	job := strings.Replace(brokenJob, "CAST(name AS INTEGER)", "7", 1)
	p.write(t, "job.yaml", job)
	p.must(t, "run", "job.yaml", "--limit-chunks", "1")
	p.write(t, "job.yaml", strings.Replace(brokenJob, "CAST(name AS INTEGER)", "8", 1))
	r := p.drover(t, nil, "run", "job.yaml", "--retry-errors")
	if r.code != 2 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	says(t, r.stderr, "no chunk of run", "1 finished", "--new")
	p.write(t, "job.yaml", job)
	if s := p.must(t, "run", "job.yaml", "--retry-errors", "--json").summary(t); s.State != "finished" || !s.Resumed {
		t.Errorf("%+v", s)
	}
	if got := p.ledger(t, `SELECT count(DISTINCT fingerprint) FROM attempt`); got != "1" {
		t.Errorf("%s fingerprints", got)
	}
}

// TestMeaning: an open run is recognised by what the job means, not by its comments, layout, limits or hosts; another meaning is an error
// that offers --new (surface.md, exactness.md 2).
func TestMeaning(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", firmsJob)
	first := p.must(t, "run", "job.yaml", "--limit-chunks", "1", "--json").summary(t)
	p.write(t, "same.yaml", "# a comment\nlimits: {workers: 1}\n"+strings.Replace(firmsJob, "upper(name)", "'upper(name)'", 1))
	if s := p.must(t, "run", "same.yaml", "--limit-chunks", "1", "--json").summary(t); !s.Resumed || s.Run != first.Run || s.Chunks.Finished != 2 {
		t.Errorf("the same meaning: %+v", s)
	}
	p.write(t, "job.yaml", strings.Replace(firmsJob, "upper(name)", "lower(name)", 1))
	changed := p.drover(t, nil, "run", "job.yaml")
	if changed.code != 2 {
		t.Errorf("another meaning: exit %d", changed.code)
	}
	says(t, changed.stderr, first.Run, "--new")
	// Rule 11: --new is refused while committed rows would be loaded twice, with their count.
	refused := p.drover(t, nil, "run", "job.yaml", "--new")
	if refused.code == 0 {
		t.Error("--new loaded committed chunks a second time")
	}
	says(t, refused.stderr, "2", "--keep-committed")
	if got := p.sql(t, `SELECT count(*) FROM clean`); got != "20" {
		t.Errorf("the target has %s rows", got)
	}
	p.sql(t, `ALTER TABLE clean DROP CONSTRAINT clean_pkey`)
	if s := p.must(t, "run", "job.yaml", "--new", "--keep-committed", "--json").summary(t); s.Run == first.Run || s.State != "finished" || s.RowsOut != 40 {
		t.Errorf("the new run: %+v", s)
	}
	if got := p.ledger(t, `SELECT state FROM run ORDER BY started_at`); got != "abandoned\nfinished" {
		t.Errorf("the runs are %s", got)
	}
	if got := p.sql(t, `SELECT count(*) FROM clean`); got != "60" {
		t.Errorf("the target has %s rows", got)
	}
}

// TestNewOfStagedRows: where nothing of the open run is visible, --new needs no leave, and nothing of the abandoned run is ever published.
func TestNewOfStagedRows(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	tripsFolder(t, p)
	p.write(t, "job.yaml", taxiJob("", "error"))
	p.must(t, "run", "job.yaml", "--limit-chunks", "2")
	if got := gotPartitions(t, p, "out"); len(got) > 0 {
		t.Errorf("unpublished rows are visible: %v", got)
	}
	if s := p.must(t, "run", "job.yaml", "--new", "--json").summary(t); s.Resumed || s.State != "finished" {
		t.Errorf("summary: %+v", s)
	}
	samePartitions(t, gotPartitions(t, p, "out"), wantPartitions(t, p))
}

// TestRunName: --run is an idempotency key: whoever names the same run works on it, and a finished one exits 0 at once.
func TestRunName(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", firmsJob)
	for i, want := range []int64{2, 4, 4} {
		args := []string{"run", "job.yaml", "--run", "nightly", "--json"}
		if i == 0 {
			args = append(args, "--limit-chunks", "2")
		}
		if s := p.must(t, args...).summary(t); s.Run != "nightly" || s.Chunks.Finished != want {
			t.Errorf("call %d: %+v", i+1, s)
		}
	}
	if got := p.sql(t, `SELECT count(*) FROM clean`); got != "40" {
		t.Errorf("the target has %s rows", got)
	}
}

// TestAbandonedRunName: a run that was abandoned keeps its name; a command that names it must not pass for one that loaded something.
func TestAbandonedRunName(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	tripsFolder(t, p)
	p.write(t, "job.yaml", taxiJob("", "overwrite"))
	p.must(t, "run", "job.yaml", "--run", "nightly", "--limit-chunks", "1")
	p.must(t, "run", "job.yaml", "--new")
	for _, more := range [][]string{nil, {"--retry-errors"}} {
		r := p.drover(t, nil, append([]string{"run", "job.yaml", "--run", "nightly"}, more...)...)
		if r.code != 2 {
			t.Errorf("%v: exit %d, want 2", more, r.code)
		}
		says(t, r.stderr, "nightly", "abandoned", "--run")
	}
}

// TestTwoDriversPublishFilesOnce: beside a live driver on the same ledger the same command joins; both report what was published.
func TestTwoDriversPublishFilesOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	tripsFolder(t, p)
	p.write(t, "job.yaml", taxiJob("chunk: {rows: 1000}", "error"))
	drivers := []*process{p.start(t, "run", "job.yaml", "--run", "both", "--json"), p.start(t, "run", "job.yaml", "--run", "both", "--json")}
	var files []int64
	for _, d := range drivers {
		end := d.wait(t)
		if end.code != 0 {
			t.Fatalf("exit %d\n%s", end.code, end.stderr)
		}
		files = append(files, end.summary(t).Files)
	}
	files = append(files, p.must(t, "run", "job.yaml", "--run", "both", "--json").summary(t).Files)
	if files[0] == 0 || files[0] != files[1] || files[0] != files[2] {
		t.Errorf("the drivers, and a late one, report %d files", files)
	}
	samePartitions(t, gotPartitions(t, p, "out"), wantPartitions(t, p))
}

// TestDryRun: real reads, real transform, real row counts; no sink, no publish, no ledger kept.
func TestDryRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, job string
		data      func(t *testing.T, p *place)
		rows      int64
	}{
		{"files", tripsJob, tripsData, 70},
		{"postgres", strings.Replace(firmsJob, "mode: append", "mode: replace", 1), firmsData, 40},
		{"new table", strings.Replace(firmsJob, "table: clean", "table: made", 1), firmsData, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			c.data(t, p)
			p.write(t, "job.yaml", c.job)
			look := func() string {
				if p.admin == "" {
					return p.tree(t)
				}
				return p.tree(t) + p.relations(t)
			}
			before := look()
			s := p.must(t, "run", "job.yaml", "--dry-run", "--json").summary(t)
			if s.RowsOut != c.rows || s.Chunks.Error != 0 || s.Chunks.Finished != s.Chunks.Total {
				t.Errorf("summary: %+v", s)
			}
			if after := look(); after != before {
				t.Errorf("--dry-run changed\n%s\ninto\n%s", before, after)
			}
			if _, err := os.Stat(filepath.Join(p.dir, ".drover", "ledger.db")); !os.IsNotExist(err) {
				t.Errorf("--dry-run left a ledger: %v", err)
			}
		})
	}
	t.Run("errors", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		firmsData(t, p)
		p.write(t, "job.yaml", brokenJob)
		r := p.drover(t, nil, "run", "job.yaml", "--dry-run")
		if r.code != 1 {
			t.Errorf("exit %d", r.code)
		}
		says(t, r.stderr, "zip=00001", "Conversion Error")
		if strings.Contains(r.stderr, "--retry-errors") || regexp.MustCompile(`drover errors`).MatchString(r.stderr) {
			t.Errorf("a dry run cannot be retried, its ledger is gone:\n%s", r.stderr)
		}
	})
}

// TestChangedFile: a file that changed since the run was planned is an error that names it (exactness.md 20).
func TestChangedFile(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"rewritten", "removed", "touched"} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			tripsFolder(t, p)
			p.write(t, "job.yaml", taxiJob("chunk: {files: 1}", "overwrite"))
			p.must(t, "run", "job.yaml", "--only", "2017-01.parquet")
			file := filepath.Join(p.dir, "in/2017-02.parquet")
			var err error
			switch change {
			case "rewritten":
				p.exec(t, "COPY (FROM read_parquet('in/2017-02.parquet') LIMIT 5) TO '{dir}/in/2017-02.parquet'")
			case "removed":
				err = os.Remove(file)
			case "touched":
				err = os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour))
			}
			if err != nil {
				t.Fatal(err)
			}
			r := p.drover(t, nil, "run", "job.yaml")
			if r.code != 1 && r.code != 3 {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
			says(t, r.stderr, "2017-02.parquet")
			if got := gotPartitions(t, p, "out"); len(got) > 0 {
				t.Error("it published") // rule 17
			}
			s := p.must(t, "run", "job.yaml", "--new", "--json").summary(t)
			if s.State != "finished" || s.RowsOut < 1000 {
				t.Errorf("afresh: %+v", s)
			}
		})
	}
}

// TestChangedTarget: a resume or a join that meets another table than the one that was planned is refused (exactness.md 2).
func TestChangedTarget(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"raw", "clean"} {
		p := newPlace(t)
		firmsData(t, p)
		p.write(t, "job.yaml", firmsJob)
		p.must(t, "run", "job.yaml", "--limit-chunks", "1")
		p.sql(t, `ALTER TABLE `+table+` RENAME TO gone; CREATE TABLE `+table+` (LIKE gone INCLUDING ALL); INSERT INTO `+table+` SELECT * FROM gone`)
		r := p.drover(t, nil, "run", "job.yaml")
		if r.code != 3 {
			t.Errorf("another %s: exit %d, want 3\n%s", table, r.code, r.stderr)
		}
		says(t, r.stderr, "--new")
	}
}
