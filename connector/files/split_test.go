package files

import (
	"fmt"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
)

// splitAll cuts chunks until nothing is left to cut.
func splitAll(t *testing.T, r *reading) []connector.Chunk {
	t.Helper()
	todo, done := r.chunks, []connector.Chunk(nil)
	for len(todo) > 0 {
		chunk := todo[0]
		parts, err := r.src.(connector.Splitter).Split(t.Context(), r.state, chunk)
		if err != nil {
			t.Fatal(err)
		}
		todo = todo[1:]
		if len(parts) < 2 {
			done = append(done, chunk)
			continue
		}
		todo = append(parts, todo...)
	}
	return done
}

func TestParquetIsSplitBetweenFilesAndRowGroups(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		exec(t, fmt.Sprintf("COPY (SELECT range AS id FROM range(%d, %d)) TO %s (FORMAT parquet, ROW_GROUP_SIZE 2048)", i*6000, i*6000+6000, duck.Literal(fmt.Sprintf("%s/%d.parquet", dir, i))))
	}
	r := mustRead(t, In(dir), drover.Chunking{Files: 2})
	if len(r.chunks) != 1 {
		t.Fatalf("%d chunks", len(r.chunks))
	}
	whole := r.chunks[0].Key
	r.chunks = splitAll(t, r)
	// 6,000 rows are row groups of 2,048, 2,048 and 1,904.
	if len(r.chunks) != 6 {
		t.Fatalf("parts %s", r.keys())
	}
	for _, c := range r.chunks {
		if !strings.HasPrefix(c.Key, whole+"/") || c.Rows < 1904 || c.Rows > 2048 || c.Bytes <= 0 {
			t.Errorf("part %+v", c)
		}
	}
	session := newSession(t)
	rel, err := r.src.Open(t.Context(), session, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	if got := rowsOf(t, session, "SELECT count(*), count(DISTINCT id), sum(id) FROM "+rel.All()); got != "12000|12000|71994000" {
		t.Error(got)
	}
}

// TestWhatCannotBeReadInPartsIsNotSplit: a row in the middle of a text file can only be found from its beginning, and a value's rows are
// everywhere.
func TestWhatCannotBeReadInPartsIsNotSplit(t *testing.T) {
	const query = "SELECT range AS id, 'n' || range % 2 AS name FROM range(6000)"
	for name, c := range map[string]struct {
		options  string
		chunking drover.Chunking
	}{
		"csv":             {"FORMAT csv, HEADER", drover.Chunking{}},
		"jsonl":           {"FORMAT json", drover.Chunking{}},
		"parquet":         {"FORMAT parquet", drover.Chunking{}}, // one row group
		"by name.parquet": {"FORMAT parquet, ROW_GROUP_SIZE 2048", drover.Chunking{By: "name"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			exec(t, fmt.Sprintf("COPY (%s) TO %s (%s)", query, duck.Literal(dir+"/in."+name[strings.LastIndexByte(name, '.')+1:]), c.options))
			r := mustRead(t, In(dir), c.chunking)
			if parts := splitAll(t, r); len(parts) != len(r.chunks) {
				t.Errorf("%d chunks became %d", len(r.chunks), len(parts))
			}
		})
	}
}
