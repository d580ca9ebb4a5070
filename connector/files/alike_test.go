package files

import (
	"os"
	"testing"

	"github.com/droverdata/drover"
)

// Where all Parquet files have the same columns, who opens a chunk need not ask the files for them again: the survey says it.
func TestTheColumnsOfAlikeParquetFilesAreAskedForOnce(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT 1 AS id, 'a' AS name, NULL AS none")
	parquetFile(t, dir+"/2.parquet", "SELECT 2 AS id, 'b' AS name, NULL AS none")
	r := mustRead(t, In(dir), drover.Chunking{})
	sv, err := decodeState(r.state)
	if err != nil {
		t.Fatal(err)
	}
	if len(sv.Shape) != 3 {
		t.Errorf("the survey keeps the columns %v", sv.Shape)
	}
	want(t, "rows", r.rows(t), "1|a|NULL\n2|b|NULL")

	// What a file holds besides is not looked at before a query runs.
	info, err := os.Stat(dir + "/1.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/1.parquet", make([]byte, info.Size()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(dir+"/1.parquet", info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	rel, err := r.src.Open(t.Context(), newSession(t), r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, rel)
}

func TestTheColumnsOfParquetFilesThatDifferAreAskedForFileByFile(t *testing.T) {
	for name, other := range map[string]string{
		"a type":         "SELECT 2::BIGINT AS id, 'b' AS name",
		"the order":      "SELECT 'b' AS name, 2 AS id",
		"one column":     "SELECT 2 AS id",
		"another column": "SELECT 2 AS id, 'b' AS name, true AS more",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			parquetFile(t, dir+"/1.parquet", "SELECT 1 AS id, 'a' AS name")
			parquetFile(t, dir+"/2.parquet", other)
			r := mustRead(t, In(dir), drover.Chunking{Files: 2})
			sv, err := decodeState(r.state)
			if err != nil {
				t.Fatal(err)
			}
			if sv.Shape != nil {
				t.Errorf("the survey keeps the columns %v of one of them", sv.Shape)
			}
			if got := r.rows(t); got == "" {
				t.Error("no rows")
			}
		})
	}
}
