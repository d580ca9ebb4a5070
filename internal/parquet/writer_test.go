package parquet

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"pgregory.net/rapid"
)

// session is one for all tests of the package: opening DuckDB takes longer than most of them.
var session = sync.OnceValues(func() (*duck.Session, error) { return duck.Open(context.Background(), duck.Options{}) })

type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func open(t fataler) *duck.Session {
	t.Helper()
	s, err := session()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t fataler, sql string) {
	t.Helper()
	if err := open(t).Exec(context.Background(), sql); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

// lines returns a query's rows, of texts.
func lines(t fataler, sql string) []string {
	t.Helper()
	rows, err := open(t).Query(context.Background(), sql)
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	defer rows.Close()
	var out []string
	for {
		c, err := rows.Next()
		if err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
		if c.Rows() == 0 {
			return out
		}
		for i := range c.Rows() {
			var row []string
			for k := range c.Columns() {
				text := "NULL"
				if v := c.Vector(k); duck.Valid(v.Mask(), i) {
					text = string(duck.Data[duck.String](v)[i].Bytes())
				}
				row = append(row, text)
			}
			out = append(out, strings.Join(row, "|"))
		}
	}
}

// write writes the rows of query, whose first keys columns are the partition's, and returns the files.
func write(t fataler, query string, keys int, o Options) []File {
	t.Helper()
	ctx := context.Background()
	schema, err := open(t).Describe(ctx, query)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	var expressions []string
	for _, c := range schema[keys:] {
		column, ok := NewColumn(c.Name, c.Type)
		if !ok {
			t.Fatalf("no column for %s", c.Type)
		}
		o.Columns = append(o.Columns, column)
		expressions = append(expressions, duck.Ident(c.Name)+"::"+column.Cast)
	}
	for _, c := range schema[:keys] {
		key := NewKey(c.Type)
		o.Keys = append(o.Keys, key)
		expressions = append(expressions, duck.Ident(c.Name)+"::"+key.Cast)
	}
	o.Tags, o.Suffix = 1, ".parquet"
	if o.Memory == 0 {
		o.Memory = 64 << 20
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	sql, remove := open(t).AddConsumer(query, append(expressions, "0::BIGINT"), w.Consume)
	defer remove()
	if err := open(t).Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
	files, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// union is a SELECT of the files' rows with the values of their keys in front.
func union(files []File, keys drover.Schema) string {
	var all []string
	for _, f := range files {
		sql := "SELECT "
		for i, v := range f.Values {
			value := duck.Literal(v.Text)
			if v.Null {
				value = "NULL"
			}
			sql += fmt.Sprintf("%s::%s AS %s, ", value, keys[i].Type, duck.Ident(keys[i].Name))
		}
		all = append(all, sql+"* FROM read_parquet("+duck.Literal(f.Path)+")")
	}
	return strings.Join(all, " UNION ALL ")
}

// same fails unless two queries yield the same rows, each as often.
func same(t fataler, what, a, b string) {
	t.Helper()
	for _, q := range []string{a + " EXCEPT ALL " + b, b + " EXCEPT ALL " + a} {
		if got := lines(t, "SELECT r::VARCHAR FROM ("+q+") r LIMIT 3"); len(got) > 0 {
			t.Fatalf("%s: rows that the other has not: %q", what, got)
		}
	}
}

// types are expressions over h, a UBIGINT.
var types = map[string]string{
	"BOOLEAN": "h % 2 = 0", "TINYINT": "(h % 256)::INT - 128", "SMALLINT": "(h % 65536)::INT - 32768", "INTEGER": "(h % 4294967296)::BIGINT - 2147483648",
	"BIGINT": "(h // 2)::HUGEINT * (CASE WHEN h % 2 = 0 THEN 1 ELSE -1 END)", "UTINYINT": "h % 256", "USMALLINT": "h % 65536", "UINTEGER": "h % 4294967296", "UBIGINT": "h",
	"FLOAT":  "CASE h % 7 WHEN 0 THEN 'nan'::FLOAT WHEN 1 THEN '-inf'::FLOAT WHEN 2 THEN -0.0::FLOAT ELSE (h % 100000)::FLOAT / 7 - 500 END",
	"DOUBLE": "CASE h % 11 WHEN 0 THEN 0.0 WHEN 1 THEN 'inf'::DOUBLE WHEN 2 THEN -0.0 ELSE h::DOUBLE / 7 - 1e18 END",
	"DATE":   "DATE '1970-01-01' + ((h % 6000000)::INT - 3000000)", "TIME": "TIME '00:00:00' + to_microseconds((h % 86400000000)::BIGINT)",
	"TIMESTAMP": "make_timestamp((h % 400000000000000000)::BIGINT - 200000000000000000)", "TIMESTAMP_S": "make_timestamp((h % 4000000000)::BIGINT * 1000000)",
	"TIMESTAMP_MS": "make_timestamp((h % 4000000000000)::BIGINT * 1000)", "TIMESTAMP_NS": "make_timestamp_ns((h // 4)::BIGINT)",
	"TIMESTAMP WITH TIME ZONE": "make_timestamp((h % 4000000000000000)::BIGINT)", "DECIMAL(4,1)": "((h % 19999)::INT - 9999)::DECIMAL(9,0) / 10",
	"DECIMAL(9,2)": "((h % 1999999999)::BIGINT - 999999999)::DECIMAL(18,0) * 0.01", "DECIMAL(18,3)": "((h % 1999999999999999999)::HUGEINT - 999999999999999999)::DECIMAL(20,0) * 0.001",
	"DECIMAL(38,5)": "(h::HUGEINT * (h // 1000000)::HUGEINT // (CASE WHEN h % 2 = 0 THEN 1000000 ELSE -1000000 END))::DECIMAL(33,0)",
	"VARCHAR":       "CASE h % 5 WHEN 0 THEN '' WHEN 1 THEN repeat('x', (h % 9)::INT) WHEN 2 THEN h::VARCHAR WHEN 3 THEN repeat('é', (h % 90)::INT) ELSE substr(md5(h::VARCHAR), 1, (h % 13)::INT) END",
	"JSON":          "json_object('a', h)", "BLOB": "encode(repeat(chr((h % 3)::INT + 97), (h % 20)::INT)) || '\\x00\\xFF'::BLOB",
	"UUID": "md5(h::VARCHAR)::UUID", "ENUM('a', 'b', 'long enough')": "['a', 'b', 'long enough'][(h % 3 + 1)::INT]",
}

var hash = regexp.MustCompile(`\bh\b`)

// column is an expression of a type over i, the row: about distinct values, and one in nulls of them NULL.
func column(name, typ string, distinct, nulls, seed int) string {
	value := "(" + hash.ReplaceAllString(types[typ], fmt.Sprintf("hash(hash(%d, i) %% %d, %d)", seed, distinct, seed)) + ")::" + typ
	if nulls > 0 {
		value = fmt.Sprintf("CASE WHEN hash(i, %d) %% %d = 0 THEN NULL ELSE %s END", seed+1, nulls, value)
	}
	return value + " AS " + name
}

// Property: whatever the table, its partitions, and the bounds of memory, rows and files, the files hold what DuckDB's COPY would, in the same types.
func TestFilesHoldWhatDuckDBsCopyWrites(t *testing.T) {
	rapid.Check(t, holdsWhatCopyWrites(t.TempDir()))
}

// FuzzFiles is the same, led by what code it reaches. It takes bytes that rapid draws from: few of them draw nothing.
func FuzzFiles(f *testing.F) {
	for seed := range 8 {
		from := rand.New(rand.NewPCG(uint64(seed), 0))
		data := make([]byte, 1024)
		for i := range data {
			data[i] = byte(from.Uint32())
		}
		f.Add(data)
	}
	target := rapid.MakeFuzz(holdsWhatCopyWrites(f.TempDir()))
	f.Fuzz(target)
}

func holdsWhatCopyWrites(dir string) func(*rapid.T) {
	all := slices.Sorted(maps.Keys(types))
	round := 0
	return func(t *rapid.T) {
		round++
		columns := rapid.SliceOfN(rapid.SampledFrom(all), 1, 6).Draw(t, "columns")
		keys := rapid.SliceOfN(rapid.SampledFrom([]string{"BOOLEAN", "TINYINT", "VARCHAR", "DATE", "BIGINT", "DECIMAL(4,1)", "UTINYINT", "UUID"}), 0, 3).Draw(t, "keys")
		rows := rapid.SampledFrom([]int{0, 1, 7, 8, 2049, 20000}).Draw(t, "rows")
		distinct := rapid.SampledFrom([]int{1, 2, 300, 9000, 1 << 30}).Draw(t, "distinct")
		nulls := rapid.SampledFrom([]int{0, 1, 2, 50}).Draw(t, "nulls")
		o := Options{
			Compression: rapid.SampledFrom([]string{"", "zstd", "gzip", "uncompressed"}).Draw(t, "compression"),
			GroupRows:   rapid.SampledFrom([]int64{0, 1000, 3333}).Draw(t, "row_group_rows"),
			FileRows:    rapid.SampledFrom([]int64{0, 5000}).Draw(t, "max_rows_per_file"),
			Memory:      rapid.SampledFrom([]int64{0, 1 << 16, 1 << 20}).Draw(t, "memory"),
			Dir:         filepath.Join(dir, fmt.Sprint(round)),
		}
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(o.Dir)
		seed := rapid.IntRange(0, 1000).Draw(t, "seed")
		var list []string
		for i, typ := range keys {
			list = append(list, column(fmt.Sprintf("k%d", i), typ, 5, nulls, seed+i))
		}
		for i, typ := range columns {
			list = append(list, column(fmt.Sprintf("c%d", i), typ, distinct, nulls, seed+100+i))
		}
		query := fmt.Sprintf("SELECT %s FROM range(%d) t(i)", strings.Join(list, ", "), rows)
		must(t, "CREATE OR REPLACE TEMP TABLE input AS "+query)
		files := write(t, "SELECT * FROM input", len(keys), o)
		whole := filepath.Join(o.Dir, "duckdb.all")
		must(t, "COPY (SELECT * FROM input) TO "+duck.Literal(whole)+" (FORMAT parquet)")
		theirs := "SELECT * FROM read_parquet(" + duck.Literal(whole) + ")"
		schema, err := open(t).Describe(context.Background(), theirs)
		if err != nil {
			t.Fatal(err)
		}
		var written int64
		for _, f := range files {
			written += f.Rows
			if o.FileRows > 0 && f.Rows > o.FileRows {
				t.Fatalf("a file of %d rows", f.Rows)
			}
		}
		if written != int64(rows) {
			t.Fatalf("%d rows of %d", written, rows)
		}
		if rows == 0 {
			return
		}
		mine := union(files, schema[:len(keys)])
		got, err := open(t).Describe(context.Background(), mine)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(schema) {
			t.Fatalf("columns are %v, with DuckDB's COPY %v", got, schema)
		}
		same(t, "against COPY", "("+mine+")", "("+theirs+")")
	}
}

func fileSize(t fataler, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Keys of one byte, and pairs of small numbers, are looked up in tables of their own; others are hashed.
func TestPartitionsOfManyKeysHoldTheirRows(t *testing.T) {
	const query = "SELECT CASE WHEN i % 103 > 0 THEN (i % 103 - 51)::TINYINT END AS a, CASE i % 3 WHEN 0 THEN 'x' WHEN 1 THEN 'a longer text' END AS b, " +
		"(i % 2)::SMALLINT AS c, i FROM range(5000) t(i)"
	files := write(t, query, 3, Options{Dir: t.TempDir()})
	if len(files) != 103*3*2 {
		t.Errorf("%d files", len(files))
	}
	schema, err := open(t).Describe(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "partitions", "("+union(files, schema[:3])+")", "("+query+")")
}
