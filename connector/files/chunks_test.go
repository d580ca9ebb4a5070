package files

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

func TestTextsThatReadLikeOtherKeysHaveKeysOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT * FROM (VALUES ('(null)'), (NULL), ('(other)')) t(zip)")
	r := mustRead(t, In(dir), drover.Chunking{By: "zip"})
	want(t, "keys", r.keys(), `"(null)" "(other)" (null)`)
	want(t, "rows", r.rows(t), "(null)\n(other)\nNULL")
}

func TestLargeParquetFilesAreCutByRowGroups(t *testing.T) {
	dir := t.TempDir()
	exec(t, fmt.Sprintf("COPY (SELECT range AS id FROM range(20000)) TO %s (FORMAT parquet, ROW_GROUP_SIZE 2048)", duck.Literal(dir+"/big.parquet")))
	parquetFile(t, dir+"/small.parquet", "SELECT -1 AS id")
	r := mustRead(t, In(dir), drover.Chunking{Rows: 5000})
	want(t, "keys", r.keys(), "big.parquet#0-1 big.parquet#2-3 big.parquet#4-5 big.parquet#6-7 big.parquet#8-9 small.parquet")
	if rows := strings.Split(r.rows(t), "\n"); len(rows) != 20001 {
		t.Errorf("%d rows", len(rows))
	}
	s := newSession(t)
	rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks[1:2])
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	want(t, "range", rowsOf(t, s, "SELECT min(id), max(id), count(*) FROM "+rel.Chunk(0)), "4096|8191|4096")

	// Only the row groups of a chunk are read: what a broken one holds does not matter to the others.
	info, err := os.Stat(dir + "/big.parquet")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(dir+"/big.parquet", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 1000), 4); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), os.Chtimes(dir+"/big.parquet", info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	want(t, "range of a file with a broken row group", rowsOf(t, s, "SELECT min(id), max(id), count(*) FROM "+rel.Chunk(0)), "4096|8191|4096")
	first, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks[:1])
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, first)
	if err := s.Exec(t.Context(), "SELECT sum(id) FROM "+first.Chunk(0)); err == nil {
		t.Error("the row group is not broken")
	}
}

func TestChunksOfSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		parquetFile(t, fmt.Sprintf("%s/%d.parquet", dir, i), fmt.Sprintf("SELECT %d AS id", i))
	}
	r := mustRead(t, In(dir), drover.Chunking{Files: 2})
	want(t, "keys", r.keys(), "0.parquet..1.parquet 2.parquet..3.parquet 4.parquet")
	want(t, "rows", r.rows(t), "0\n1\n2\n3\n4")
}

func TestChunksByValue(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT * FROM (VALUES (1, '00501'), (2, 'b'), (3, NULL), (4, 'B')) t(id, zip)")
	parquetFile(t, dir+"/2.parquet", "SELECT * FROM (VALUES ('b', 5), ('', 6)) t(zip, id)")
	r := mustRead(t, In(dir), drover.Chunking{By: "zip"})
	want(t, "keys", r.keys(), " 00501 B b (null)")
	want(t, "rows", r.rows(t), "1|00501\n2|b\n3|NULL\n4|B\n5|b\n6|")
	s := newSession(t)
	rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks[3:])
	if err != nil {
		t.Fatal(err)
	}
	want(t, "b and NULL", rowsOf(t, s, "SELECT * FROM "+rel.All()+" ORDER BY ALL"), "2|b|0\n3|NULL|1\n5|b|0")
	if err := rel.Close(); err != nil {
		t.Error(err)
	}

	r = mustRead(t, In(dir), drover.Chunking{By: "zip", Keys: "SELECT 'b' UNION ALL SELECT 'nope' UNION ALL SELECT 'b'"})
	want(t, "keys", r.keys(), "b nope (other)")
	want(t, "rows", r.rows(t), "1|00501\n2|b\n3|NULL\n4|B\n5|b\n6|")
	r = mustRead(t, In(dir), drover.Chunking{By: "zip", Keys: "SELECT zip FROM source WHERE id < 3 -- a comment", Others: "ignore"})
	want(t, "keys", r.keys(), "00501 b")
	want(t, "rows", r.rows(t), "1|00501\n2|b\n5|b")
	_, err = read(t, In(dir), drover.Chunking{By: "nope"})
	wantError(t, err, drover.Invalid, "no column", "zip")
	_, err = read(t, In(dir), drover.Chunking{By: "zip", Keys: "SELECT nope"})
	wantError(t, err, drover.Invalid, "nope")
}
