package parquet

import (
	"bytes"
	"fmt"
	"testing"
	"unsafe"

	"github.com/droverdata/drover/internal/duck"
)

// readBack writes rows of texts from data by gather and page, and reads the file by DuckDB.
func readBack(t *testing.T, data []byte, stride, rows int) {
	words := bytes.Split(data, []byte{0})
	column, _ := NewColumn("b", "BLOB")
	w, err := New(Options{Dir: t.TempDir(), Suffix: ".parquet", Columns: []Column{column}, Keys: []Key{NewKey("BOOLEAN")}, Tags: 1, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w.partitions = []partition{{values: []Value{{Text: "true"}}}}
	word := func(i int) []byte { return words[i*stride%len(words)] }
	null := func(i int) bool { return (i/stride)%5 == 4 }
	for from := 0; from < rows; from += duck.VectorSize {
		n := min(duck.VectorSize, rows-from)
		values, mask := make([]duck.String, duck.VectorSize), make([]uint64, duck.VectorSize/64)
		selected := make([]uint16, n)
		for i := range n {
			selected[i] = uint16(i)
			if !null(from + i) {
				mask[i>>6] |= 1 << (i & 63)
				values[i].Point(word(from + i))
			}
		}
		w.rows[0] = vector{unsafe.Pointer(unsafe.SliceData(values)), mask}
		if err := w.add(0, selected); err != nil {
			t.Fatal(err)
		}
		w.counts[0] += int64(n)
	}
	files, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if rows == 0 {
		if len(files) > 0 {
			t.Fatal("a file without rows")
		}
		return
	}
	got := lines(t, "SELECT b FROM read_parquet("+duck.Literal(files[0].Path)+", file_row_number = true) ORDER BY file_row_number")
	if len(got) != rows {
		t.Fatalf("%d rows of %d", len(got), rows)
	}
	for i := range rows {
		want := string(word(i))
		if null(i) {
			want = "NULL"
		}
		if got[i] != want {
			t.Fatalf("row %d is %q, and %q was written", i, got[i], want)
		}
	}
}

// Many partitions share the memory of few: pages become smaller, and row groups go to disk early.
func TestMemoryIsBoundedWhateverThePartitions(t *testing.T) {
	for _, partitions := range []int{3, 300, 2000} {
		dir := t.TempDir()
		column, _ := NewColumn("v", "BIGINT")
		text, _ := NewColumn("s", "VARCHAR")
		const budget = 8 << 20
		w, err := New(Options{Dir: dir, Suffix: ".parquet", Columns: []Column{column, column, text}, Keys: []Key{NewKey("BIGINT")}, Tags: 1, Memory: budget})
		if err != nil {
			t.Fatal(err)
		}
		w.columns[1].Name = "v2"
		most := 0
		const query = "SELECT * FROM range(100000) t(i)"
		sql, remove := open(t).AddConsumer(query, []string{"i", "(hash(i) // 2)::BIGINT", "md5(i::VARCHAR)", fmt.Sprintf("(hash(i) %% %d)::BIGINT", partitions), "0::BIGINT"}, func(c duck.Chunk) error {
			err := w.Consume(c)
			most = max(most, w.held())
			return err
		})
		must(t, sql)
		remove()
		files, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != partitions {
			t.Errorf("%d files for %d partitions", len(files), partitions)
		}
		if most > budget {
			t.Errorf("%d partitions hold %d KiB between chunks, of %d", partitions, most>>10, budget>>10)
		}
		got := lines(t, "SELECT count(*)::VARCHAR, sum(v)::VARCHAR, count(DISTINCT s)::VARCHAR FROM read_parquet("+duck.Literal(dir+"/*.parquet")+")")
		if got[0] != "100000|4999950000|100000" {
			t.Errorf("%d partitions hold %s", partitions, got[0])
		}
	}
}
