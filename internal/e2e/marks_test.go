package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRule19AMachineThatSeesOtherFoldersIsRefused stands for another machine by taking the mark away: it looks the same from there.
func TestRule19AMachineThatSeesOtherFoldersIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.write(t, "job.yaml", `
name: shared
source: {files: {path: in}}
sink: {files: {path: out, mode: append}}
ledger: ${DB}
`)
	p.write(t, "in/a.csv", "x\n1\n")
	p.write(t, "in/b.csv", "x\n2\n")
	p.must(t, "run", "job.yaml", "--limit-chunks", "1", "--quiet")
	for _, dir := range []string{"in", "out"} {
		marks, err := filepath.Glob(filepath.Join(p.dir, dir, ".drover-mark-*"))
		if err != nil || len(marks) != 1 {
			t.Fatalf("%s has the marks %v, %v", dir, marks, err)
		}
		away := filepath.Join(p.dir, "away")
		if err := os.Rename(marks[0], away); err != nil {
			t.Fatal(err)
		}
		r := p.drover(t, nil, "run", "job.yaml")
		if r.code != 3 || !strings.Contains(r.stderr, filepath.Join(p.dir, dir)) || !strings.Contains(r.stderr, "mount the same folder") {
			t.Fatalf("without the mark in %s: exit %d\n%s", dir, r.code, r.stderr)
		}
		if err := os.Rename(away, marks[0]); err != nil {
			t.Fatal(err)
		}
	}
	p.must(t, "run", "job.yaml", "--quiet")
	if left, err := filepath.Glob(filepath.Join(p.dir, "*", ".drover-mark-*")); err != nil || len(left) > 0 {
		t.Fatalf("marks left behind: %v, %v", left, err)
	}
	if got := p.query(t, "SELECT count(*), sum(x) FROM read_parquet('out/*.parquet')"); got != "2|3" {
		t.Fatalf("got %s", got)
	}
}
