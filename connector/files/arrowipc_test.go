package files

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/droverdata/drover"
)

// Types are compared by their spelling: where two files of one STRUCT spelled it differently, diff called their columns different.
func TestAStructHasOneTypeInEveryFormat(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, filepath.Join(dir, "a.parquet"), `SELECT 1::BIGINT AS id, {'a': 1::BIGINT, 'END': 'x', 'two words': [{'q': 1.5::DOUBLE}]} AS st`)
	inner := arrow.ListOf(arrow.StructOf(arrow.Field{Name: "q", Type: arrow.PrimitiveTypes.Float64, Nullable: true}))
	fields := []arrow.Field{
		{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "END", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "two words", Type: inner, Nullable: true},
	}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "st", Type: arrow.StructOf(fields...), Nullable: true},
	}, nil)
	rows, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{"id": 1, "st": {"a": 1, "END": "x", "two words": [{"q": 1.5}]}}]`))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	file, err := os.Create(filepath.Join(dir, "b.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := ipc.NewFileWriter(file, ipc.WithSchema(schema))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	closed(t, w)
	closed(t, file)
	parquet := mustRead(t, &Source{Path: drover.Strings{filepath.Join(dir, "a.parquet")}}, drover.Chunking{})
	ipcFile := mustRead(t, &Source{Path: drover.Strings{filepath.Join(dir, "b.arrow")}}, drover.Chunking{})
	want(t, "the Arrow file's columns", describe(ipcFile.schema), describe(parquet.schema))
	want(t, "the Arrow file's rows", ipcFile.rows(t), parquet.rows(t))
}
