package parquet

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	arrowfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/droverdata/drover/internal/duck"
)

// ends are the values at the ends of each type.
var ends = map[string][]string{
	"BOOLEAN": {"true", "false"}, "TINYINT": {"-128", "127"}, "SMALLINT": {"-32768", "32767"}, "INTEGER": {"-2147483648", "2147483647"},
	"BIGINT": {"-9223372036854775808", "9223372036854775807", "0"}, "UTINYINT": {"255", "0"}, "USMALLINT": {"65535", "0"}, "UINTEGER": {"4294967295", "2147483648"},
	"UBIGINT": {"18446744073709551615", "9223372036854775808", "0"},
	"FLOAT":   {"nan", "inf", "-inf", "-0.0", "1.4e-45", "3.4028235e38"}, "DOUBLE": {"nan", "inf", "-inf", "-0.0", "0", "5e-324", "1.7976931348623157e308"},
	"DATE": {"infinity", "-infinity", "5877642-06-25 (BC)", "5881580-07-10"}, "TIME": {"00:00:00", "23:59:59.999999", "24:00:00"},
	"TIMESTAMP":                {"290309-12-22 (BC) 00:00:00", "294247-01-10 04:00:54.775806", "infinity", "-infinity"},
	"TIMESTAMP_S":              {"1677-01-01 00:00:01", "9999-12-31 23:59:59"},
	"TIMESTAMP_MS":             {"1677-01-01 00:00:00.001", "9999-12-31 23:59:59.999"},
	"TIMESTAMP_NS":             {"1677-09-22 00:00:00", "2262-04-11 23:47:16.854775806"},
	"TIMESTAMP WITH TIME ZONE": {"290309-12-22 (BC) 00:00:00+00", "294247-01-10 04:00:54.775806+00", "infinity"},
	"DECIMAL(4,4)":             {"-0.9999", "0.9999"}, "DECIMAL(9,0)": {"-999999999", "999999999"}, "DECIMAL(18,18)": {"-0.999999999999999999", "0.999999999999999999"},
	"DECIMAL(38,0)": {"-" + strings.Repeat("9", 38), strings.Repeat("9", 38), "0", "-1"}, "DECIMAL(19,2)": {"-99999999999999999.99", "0.01"},
	"VARCHAR": {"", "seven77", "eight888", "twelve_bytes", "thirteen_byte", strings.Repeat("long ", 1000), "a\nb", "\U0001F986"},
	"JSON":    {`{"a":[1,2]}`, "null"}, "BLOB": {"", `\x00`, `\xFF\x00\x80`, `\x00\x00\x00\x00\x00\x00\x00\x00`},
	"UUID":             {"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "80000000-0000-0000-0000-000000000001"},
	"ENUM('x', 'y z')": {"x", "y z"},
}

func sortedEnds() []string { return slices.Sorted(maps.Keys(ends)) }

// everyEnd is a SELECT with a column of each type, behind a key.
func everyEnd() string {
	var rows []string
	for i := range 9 {
		row := fmt.Sprintf("%d::TINYINT AS k", i%2)
		n := 0
		for _, typ := range sortedEnds() {
			value := "NULL"
			if v := ends[typ]; i < len(v) {
				value = duck.Literal(v[i])
			}
			row += fmt.Sprintf(", %s::%s AS c%d", value, typ, n)
			n++
		}
		rows = append(rows, "SELECT "+row)
	}
	return strings.Join(rows, " UNION ALL ")
}

func TestTheEndsOfEveryType(t *testing.T) {
	for _, compression := range []string{"", "zstd", "gzip", "uncompressed"} {
		dir := t.TempDir()
		files := write(t, everyEnd(), 1, Options{Dir: dir, Compression: compression})
		whole := filepath.Join(dir, "duckdb.all")
		must(t, "COPY ("+everyEnd()+") TO "+duck.Literal(whole)+" (FORMAT parquet)")
		theirs := "SELECT * FROM read_parquet(" + duck.Literal(whole) + ")"
		schema, err := open(t).Describe(context.Background(), theirs)
		if err != nil {
			t.Fatal(err)
		}
		same(t, compression, "("+union(files, schema[:1])+")", "("+theirs+")")
		form := "SELECT name, type, type_length::VARCHAR, repetition_type, scale::VARCHAR, precision::VARCHAR, duckdb_type FROM parquet_schema("
		mine, copies := lines(t, form+duck.Literal(files[0].Path)+")"), lines(t, form+duck.Literal(whole)+")")
		if got, want := fmt.Sprint(mine[1:]), fmt.Sprint(copies[2:]); got != want {
			t.Errorf("the files' types are\n%s\nand with DuckDB's COPY\n%s", got, want)
		}
	}
}

// arrow-go has a reader of its own: what DuckDB forgives, it may not.
func TestArrowReadsTheFiles(t *testing.T) {
	dir := t.TempDir()
	query := "SELECT i % 3 AS k, i, CASE WHEN i % 7 > 0 THEN i::DOUBLE / 3 END AS d, CASE WHEN i % 1000 > 0 THEN (i % 50)::VARCHAR END AS few, md5(i::VARCHAR) AS many, i % 2 = 0 AS b, NULL::INTEGER AS n, i::DECIMAL(38,2) AS m FROM range(50000) t(i)"
	var rows int64
	for _, f := range write(t, query, 1, Options{Dir: dir, GroupRows: 7000}) {
		r, err := arrowfile.OpenParquetFile(f.Path, false)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		a, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		table, err := a.ReadTable(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer table.Release()
		rows += table.NumRows()
		reader := array.NewTableReader(table, 0)
		defer reader.Release()
		for reader.Next() {
			rec := reader.RecordBatch()
			id, few, many := rec.Column(0).(*array.Int64), rec.Column(2).(*array.String), rec.Column(3).(*array.String)
			d, b, n := rec.Column(1).(*array.Float64), rec.Column(4).(*array.Boolean), rec.Column(5)
			for i := range int(rec.NumRows()) {
				v := id.Value(i)
				if d.IsNull(i) != (v%7 == 0) || d.IsValid(i) && d.Value(i) != float64(v)/3 || few.IsNull(i) != (v%1000 == 0) ||
					few.IsValid(i) && few.Value(i) != fmt.Sprint(v%50) || len(many.Value(i)) != 32 || b.Value(i) != (v%2 == 0) || n.IsValid(i) {
					t.Fatalf("row %d is %v %v %v %v %v", v, d.ValueStr(i), few.ValueStr(i), many.Value(i), b.Value(i), n.ValueStr(i))
				}
			}
		}
		if got := r.MetaData().RowGroup(0).NumRows(); got > 7000 {
			t.Errorf("a row group has %d rows", got)
		}
		chunk, err := r.MetaData().RowGroup(0).ColumnChunk(0)
		if err != nil {
			t.Fatal(err)
		}
		if set, err := chunk.StatsSet(); err != nil || !set || chunk.Compression().String() != "SNAPPY" {
			t.Errorf("statistics %v (%v), compression %v", set, err, chunk.Compression())
		}
	}
	if rows != 50000 {
		t.Errorf("arrow reads %d rows of 50000", rows)
	}
}

// A reader leaves out row groups by their statistics: a comparison with any value of the column must find what it finds without them.
func TestStatisticsHideNoRow(t *testing.T) {
	dir := t.TempDir()
	must(t, "CREATE OR REPLACE TEMP TABLE ends AS "+everyEnd())
	for n, typ := range sortedEnds() {
		column := fmt.Sprintf("c%d", n)
		if err := os.Mkdir(filepath.Join(dir, column), 0o755); err != nil {
			t.Fatal(err)
		}
		files := write(t, fmt.Sprintf("SELECT k, %s FROM ends ORDER BY %[1]s", column), 1, Options{Dir: filepath.Join(dir, column), GroupRows: 2})
		schema, err := open(t).Describe(context.Background(), "SELECT k FROM ends")
		if err != nil {
			t.Fatal(err)
		}
		mine := union(files, schema)
		for _, value := range ends[typ] {
			for _, op := range []string{"=", "<", ">", "<=", ">="} {
				is := typ
				if strings.HasPrefix(typ, "ENUM") {
					is = "VARCHAR"
				}
				where := fmt.Sprintf(" WHERE %s %s %s::%s", column, op, duck.Literal(value), is)
				if strings.HasPrefix(typ, "ENUM") {
					where = strings.Replace(where, column, column+"::VARCHAR", 1)
				}
				got, want := lines(t, "SELECT count(*)::VARCHAR FROM ("+mine+")"+where), lines(t, "SELECT count(*)::VARCHAR FROM ends"+where)
				if got[0] != want[0] {
					t.Errorf("%s%s: %s rows of %s", typ, where, got[0], want[0])
				}
			}
		}
	}
}

func TestDatesAreNamedAsDuckDBPrintsThem(t *testing.T) {
	days := []int32{0, -1, -719162, -719163, -719528, -719529, 2932896, 2932897, math.MaxInt32 - 1, -math.MaxInt32 + 1}
	for range 2000 {
		days = append(days, rand.Int32N(12_000_000)-6_000_000)
	}
	var values []string
	for _, d := range days {
		values = append(values, fmt.Sprintf("(%d)", d))
	}
	got := lines(t, "SELECT (DATE '1970-01-01' + d::INTEGER)::VARCHAR FROM (VALUES "+strings.Join(values, ", ")+") t(d)")
	for i, want := range got {
		if text := dateText(days[i]); text != want {
			t.Errorf("day %d is %q, and DuckDB prints %q", days[i], text, want)
		}
	}
	if dateText(math.MaxInt32) != "infinity" || dateText(-math.MaxInt32) != "-infinity" {
		t.Error("infinite dates are not named so")
	}
}

func TestNestedTypesAreLeftToDuckDB(t *testing.T) {
	for _, typ := range []string{"INTEGER[]", "INTEGER[3]", "STRUCT(a INTEGER)", "MAP(VARCHAR, INTEGER)", "DECIMAL(4,1)[]", "ENUM('a')[]", "UNION(a INTEGER)", "BIT", "INTERVAL", "HUGEINT", "TIME WITH TIME ZONE", "", `"NULL"`} {
		if _, ok := NewColumn("c", typ); ok {
			t.Errorf("there is a column for %s", typ)
		}
	}
}
