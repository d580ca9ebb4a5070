package files

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	pq "github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/droverdata/drover"
)

// design.md 3.4: never a silent loss. Without the unit 90 minutes and 90 nanoseconds are one number.
func TestArrowDurationsInParquetAreRefusedWhereTheyAreKept(t *testing.T) {
	duration := arrow.FixedWidthTypes.Duration_us
	var message bytes.Buffer
	schema := ipc.NewWriter(&message, ipc.WithSchema(arrow.NewSchema([]arrow.Field{
		{Name: "t", Type: duration, Nullable: true}, {Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "l", Type: arrow.ListOf(duration), Nullable: true},
	}, nil)))
	if err := schema.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "a.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := pq.NewGroupNode("schema", parquet.Repetitions.Required, pq.FieldList{
		pq.NewInt64Node("t", parquet.Repetitions.Optional, -1), pq.NewInt64Node("n", parquet.Repetitions.Optional, -1), pq.NewInt64Node("l", parquet.Repetitions.Optional, -1),
	}, -1)
	if err != nil {
		t.Fatal(err)
	}
	w := pqfile.NewParquetWriter(f, root)
	if err := w.AppendKeyValueMetadata(arrowSchemaKey, base64.StdEncoding.EncodeToString(message.Bytes())); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := mustRead(t, In(dir), drover.Chunking{})
	for _, column := range []string{"t", "l"} {
		wantError(t, check(t, r, r.chunks, "n", column), drover.Data, "a.parquet", "column "+column, "drop the column")
	}
	if err := check(t, r, r.chunks, "n"); err != nil {
		t.Errorf("neither is kept: %v", err)
	}
}

// DuckDB reads its own NULLs of such lists back; Arrow's readers do not.
func TestListsOfFixedSizeAreReadByOthers(t *testing.T) {
	spec := Out(filepath.Join(t.TempDir(), "out"))
	j, err := newJob(t, openTarget(t, spec, false), `SELECT i AS id, (CASE WHEN i % 3 > 0 THEN [i, NULL] END)::BIGINT[2] AS v,
		{'a': (CASE WHEN i % 2 = 0 THEN [[i], NULL] END)::BIGINT[1][2]} AS s FROM range(3000) t(i)`)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(j.chunks...); err != nil {
		t.Fatal(err)
	}
	if _, err := j.publish(); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(spec.Path + "/*.parquet")
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	f, err := pqfile.OpenParquetFile(paths[0], false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := in.ReadTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	if table.NumRows() != 3000 {
		t.Fatalf("%d rows", table.NumRows())
	}
	lists := table.Column(1).Data().Chunk(0).(*array.List)
	if n, end := lists.ListValues().Len(), lists.Offsets()[lists.Len()]; n != 4000 || end != 4000 {
		t.Errorf("2000 lists of 2 have %d elements, and the last ends at %d", n, end)
	}
}
