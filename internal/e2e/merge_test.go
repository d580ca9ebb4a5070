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
