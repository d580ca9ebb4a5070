package files

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/droverdata/drover"
)

func TestOverwritePartitionsFindsFoldersOfOtherWriters(t *testing.T) {
	dir := t.TempDir()
	for folder, id := range map[string]string{"p=a%20b": "1", "p=%C3%BC": "2", "p=x%2fy": "3", "p=kept": "4"} {
		parquetFile(t, filepath.Join(dir, folder, "part-0.parquet"), "SELECT "+id+" AS id")
	}
	run(t, Out(dir).PartitionBy("p").OverwritePartitions(), "SELECT 10 AS id, 'a b' AS p UNION ALL SELECT 20, 'ü' UNION ALL SELECT 30, 'x/y'")
	s := newSession(t)
	got, err := s.Texts(t.Context(), "SELECT string_agg(id, ' ' ORDER BY id) FROM read_parquet('"+dir+"/**/*.parquet')")
	if err != nil || *got[0][0] != "4 10 20 30" {
		t.Fatalf("got %s, %v", *got[0][0], err)
	}
}

func TestModeErrorLooksAgainBeforeItPublishes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	j, err := newJob(t, openTarget(t, Out(dir), false), "SELECT 1 AS id")
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(j.chunks...); err != nil {
		t.Fatal(err)
	}
	parquetFile(t, filepath.Join(dir, "other.parquet"), "SELECT 2 AS id")
	if _, err := j.publish(); drover.KindOf(err) != drover.Refused {
		t.Fatalf("published beside data that came meanwhile: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "other.parquet")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := j.publish(); err != nil {
			t.Fatal(err)
		}
	}
}
