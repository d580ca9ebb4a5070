package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// merged is a place with a job of so many files, each with rows in all of so many partitions, that merges.
func merged(t *testing.T, files, partitions int, sink string) *place {
	t.Helper()
	p := newPlace(t)
	p.write(t, "in/.keep", "")
	for i := range files {
		p.exec(t, fmt.Sprintf(`COPY (SELECT range + %[1]d AS id, CASE WHEN range %% %[3]d = 1 THEN NULL WHEN range %% %[3]d = 2 THEN '' ELSE 'p' || range %% %[3]d END AS k
			FROM range(%[2]d)) TO '{dir}/in/f%[1]d.parquet'`, i*1_000_000, 4*partitions, partitions))
	}
	p.write(t, "job.yaml", `
name: merged
source: {files: {path: in}}
chunk: {files: 1}
sink:
  files: {path: out, partition_by: [k], `+sink+`}
limits: {workers: 2}
`)
	return p
}

// outFiles are the data files below out.
func (p *place) outFiles(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(p.dir, "out"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestAPartitionedWriteBeyondTheFileBudgetIsSpooledAndMerged is exactness.md 18.
func TestAPartitionedWriteBeyondTheFileBudgetIsSpooledAndMerged(t *testing.T) {
	t.Parallel()
	p := merged(t, 40, 500, "mode: error, max_files: 900")
	plan := p.must(t, "plan", "job.yaml")
	says(t, plan.stdout, "2 stages", "spooled, then merged: about 500 partitions x")
	r := p.must(t, "run", "job.yaml", "--json")
	says(t, r.stderr, "spooled, then merged", "merging")
	s := r.summary(t)
	if s.Chunks.Total != 40 || s.Chunks.Finished != 40 || s.Merge == nil || s.Merge.Finished != s.Merge.Total || s.Merge.Total == 0 {
		t.Errorf("%+v %+v", s.Chunks, s.Merge)
	}
	if s.RowsIn != 80000 || s.RowsOut != 80000 {
		t.Errorf("%d rows in, %d out", s.RowsIn, s.RowsOut)
	}
	if n := len(p.outFiles(t)); n < 500 || n > 600 || int64(n) != s.Files {
		t.Errorf("%d files, and the run says %d", n, s.Files)
	}
	want := p.query(t, "SELECT k, count(*), sum(id) FROM read_parquet('in/*.parquet') GROUP BY ALL ORDER BY ALL")
	got := p.query(t, `SELECT CASE k WHEN '__HIVE_DEFAULT_PARTITION__' THEN NULL ELSE k END AS k, count(*), sum(id)
		FROM read_parquet('out/**/*.parquet', hive_partitioning=true, hive_types_autocast=false) GROUP BY ALL ORDER BY ALL`)
	if got != want {
		t.Errorf("got %s", strings.Join(strings.Split(got, "\n")[:5], "\n"))
	}
	says(t, p.ledger(t, "SELECT stage, state, count(*) FROM chunk GROUP BY 1, 2 ORDER BY 1"), "0|finished|40\n1|finished|")
	direct := merged(t, 40, 500, "mode: error, max_files: 100000")
	says(t, direct.must(t, "plan", "job.yaml").stdout, "1 stage", "direct: about 500 partitions x")
}

// spools are the spools of the runs into out that are not over.
func (p *place) spools(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(p.dir, "out", "_drover_staging_*", "*", "spool.staged"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Rule 7: a spool that is gone is written again. A spool that no receipt names, as a zombie of the first stage leaves it, changes nothing.
func TestALostSpoolIsWrittenAgainAndAZombiesIsIgnored(t *testing.T) {
	t.Parallel()
	p := merged(t, 8, 20, "mode: append, max_files: 1")
	first := p.must(t, "run", "job.yaml", "--limit-chunks", "5", "--json").summary(t)
	if first.State != "open" || first.Chunks.Finished != 5 || first.Chunks.Pending != 3 || first.Merge == nil || first.Merge.Total != 0 {
		t.Fatalf("%+v %+v", first, first.Merge)
	}
	spools := p.spools(t)
	if len(spools) == 0 {
		t.Fatal("no spools")
	}
	data, err := os.ReadFile(spools[0])
	if err != nil {
		t.Fatal(err)
	}
	zombie := filepath.Join(filepath.Dir(filepath.Dir(spools[0])), "s0-c0-t99999")
	if err := os.Mkdir(zombie, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(zombie, "spool.staged"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(spools[len(spools)-1]); err != nil {
		t.Fatal(err)
	}
	r := p.must(t, "run", "job.yaml", "--json")
	says(t, r.stderr, "finished chunks are gone, and they are done again")
	s := r.summary(t)
	if s.State != "finished" || !s.Resumed || s.RowsIn != 640 || s.RowsOut != 640 || s.Files != 20 {
		t.Errorf("%+v", s)
	}
	if got := p.query(t, "SELECT count(*), count(DISTINCT id) FROM read_parquet('out/**/*.parquet')"); got != "640|640" {
		t.Errorf("rows %s", got)
	}
	if left := p.spools(t); len(left) > 0 {
		t.Errorf("spools stay: %v", left)
	}
	says(t, p.must(t, "status", s.Run).stdout, "8 chunks: 8 finished", "merge")
}

func TestNewAbandonsASpooledRunWithItsSpools(t *testing.T) {
	t.Parallel()
	p := merged(t, 8, 20, "mode: overwrite, max_files: 1")
	p.must(t, "run", "job.yaml", "--limit-chunks", "5")
	if len(p.spools(t)) == 0 {
		t.Fatal("no spools")
	}
	dry := p.must(t, "run", "job.yaml", "--dry-run", "--json").summary(t)
	if dry.RowsOut != 640 || dry.Merge != nil {
		t.Errorf("dry run: %+v", dry)
	}
	s := p.must(t, "run", "job.yaml", "--new", "--json").summary(t)
	if s.Resumed || s.RowsOut != 640 || s.Files != 20 || len(p.spools(t)) > 0 {
		t.Errorf("%+v, spools %v", s, p.spools(t))
	}
}

// The estimate reads a sample of whatever the source is, Postgres too, and steps that see one chunk at a time.
func TestAPostgresSourceIsSampledForItsPartitions(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, `CREATE TABLE raw (id bigint PRIMARY KEY, zip text, state text); INSERT INTO raw SELECT g, (g % 40)::text, CASE WHEN g % 10 > 0 THEN 's' || g % 10 END FROM generate_series(1, 4000) g;
		CREATE INDEX ON raw (zip)`)
	for name, steps := range map[string]string{"rows": "[{filter: id > 0}]", "chunks": "[{sql: \"SELECT state, zip, count(*) AS n FROM chunk GROUP BY ALL\"}]"} {
		p.write(t, "job.yaml", `
name: `+name+`
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: zip}
steps: `+steps+`
sink: {files: {path: `+name+`, partition_by: [state], max_files: 1}}
limits: {workers: 2}
`)
		r := p.must(t, "run", "job.yaml", "--json")
		s := r.summary(t)
		if s.Merge == nil || s.RowsIn != 4000 || s.Files != 10 {
			t.Errorf("%s: %+v\n%s", name, s, r.stderr)
		}
	}
}
