package files

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	pq "github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/storage"
)

// nanosFile writes a Parquet file of nullable columns of nanoseconds, as pandas and Spark do, one slice of values a row group:
// t TIME, z TIME WITH TIME ZONE, u TIMESTAMP in UTC, n TIMESTAMP without a zone, i INT96 and l, a list of TIMESTAMP in UTC. Every group starts with a NULL.
func nanosFile(tb testing.TB, path string, groups ...map[string][]int64) {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	leaf := func(name string, logical pq.LogicalType) pq.Node {
		n, err := pq.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, logical, parquet.Types.Int64, 0, -1)
		must(err)
		return n
	}
	utc := pq.NewTimestampLogicalType(true, pq.TimeUnitNanos)
	list, err := pq.ListOf(leaf("l", utc), parquet.Repetitions.Optional, -1)
	must(err)
	root, err := pq.NewGroupNode("schema", parquet.Repetitions.Required, pq.FieldList{
		leaf("t", pq.NewTimeLogicalType(false, pq.TimeUnitNanos)), leaf("z", pq.NewTimeLogicalType(true, pq.TimeUnitNanos)), leaf("u", utc),
		leaf("n", pq.NewTimestampLogicalType(false, pq.TimeUnitNanos)),
		pq.NewInt96Node("i", parquet.Repetitions.Optional, -1), list,
	}, -1)
	must(err)
	f, err := os.Create(path)
	must(err)
	w := pqfile.NewParquetWriter(f, root)
	for _, g := range groups {
		length := 0
		for _, values := range g {
			length = max(length, len(values))
		}
		rows, err := w.AppendRowGroupChecked()
		must(err)
		for c := range root.NumFields() {
			column, err := rows.NextColumn()
			must(err)
			values := g[root.Field(c).Name()]
			defs, reps := make([]int16, length+1), make([]int16, length+1)
			for i := range values {
				defs[i+1] = column.Descr().MaxDefinitionLevel()
			}
			switch column := column.(type) {
			case *pqfile.Int64ColumnChunkWriter:
				_, err = column.WriteBatch(values, defs, reps)
			case *pqfile.Int96ColumnChunkWriter:
				days := make([]parquet.Int96, len(values))
				for i, v := range values {
					days[i].SetNanoSeconds(v)
					binary.LittleEndian.PutUint32(days[i][8:], 2440588) // 1970-01-01 as a Julian day
				}
				_, err = column.WriteBatch(days, defs, reps)
			}
			must(err)
			must(column.Close())
		}
		must(rows.Close())
	}
	must(w.Close())
}

// columnsOf has one value in each column, but that of one name.
func columnsOf(value int64, but string, other int64) map[string][]int64 {
	g := map[string][]int64{}
	for _, c := range []string{"t", "z", "u", "n", "i", "l"} {
		g[c] = []int64{value}
	}
	if but != "" {
		g[but] = []int64{other}
	}
	return g
}

// check opens chunks and asks for the values of columns that the program keeps.
func check(t *testing.T, r *reading, chunks []connector.Chunk, columns ...string) error {
	t.Helper()
	rel, err := r.src.Open(t.Context(), newSession(t), r.schema, r.state, chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	return rel.(connector.Checker).Check(t.Context(), columns)
}

// design.md 3.4: never a silent loss.
func TestDigitsBelowAMicrosecondAreNeverCut(t *testing.T) {
	all := []string{"t", "z", "u", "n", "i", "l"}
	for name, sample := range map[string]string{
		"t": "00:00:01.000002003", "z": "00:00:01.000002003", "u": "1970-01-01 00:00:01.000002003",
		"i": "1970-01-01 00:00:01.000002003", "l": "1970-01-01 00:00:01.000002003",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			nanosFile(t, dir+"/1.parquet", columnsOf(1_000_002_000, "", 0))
			nanosFile(t, dir+"/2.parquet", columnsOf(1_000_002_000, name, 1_000_002_003))
			r := mustRead(t, In(dir), drover.Chunking{})
			if err := check(t, r, r.chunks[:1], all...); err != nil {
				t.Fatalf("values that are whole microseconds: %v", err)
			}
			err := check(t, r, r.chunks, all...)
			wantError(t, err, drover.Data, "2.parquet", "column "+name, sample, "cast it to microseconds where the file is written")
			for _, other := range all {
				if other != name {
					if err := check(t, r, r.chunks, other); err != nil {
						t.Errorf("the program keeps %s, and not %s: %v", other, name, err)
					}
				}
			}
		})
	}
}

func TestNanosecondsThatAreWholeMicrosecondsAndThoseWithoutAZoneAreExact(t *testing.T) {
	dir := t.TempDir()
	nanosFile(t, dir+"/1.parquet", columnsOf(1_000_002_000, "n", 1_000_002_003))
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(r.schema), "t TIME, z TIME WITH TIME ZONE, u TIMESTAMP WITH TIME ZONE, n TIMESTAMP_NS, i TIMESTAMP, l TIMESTAMP WITH TIME ZONE[]")
	if err := check(t, r, r.chunks, r.schema.Names()...); err != nil {
		t.Fatal(err)
	}
	want(t, "rows", r.rows(t), "00:00:01.000002|00:00:01.000002+00|1970-01-01 00:00:01.000002+00|1970-01-01 00:00:01.000002003|1970-01-01 00:00:01.000002|['1970-01-01 00:00:01.000002+00']\nNULL|NULL|NULL|NULL|NULL|NULL")
}

func TestOnlyTheRowGroupsOfAChunkAreChecked(t *testing.T) {
	dir := t.TempDir()
	nanosFile(t, dir+"/1.parquet", columnsOf(1000, "", 0), columnsOf(1000, "u", 1001), columnsOf(1000, "", 0))
	r := mustRead(t, In(dir), drover.Chunking{Rows: 2})
	want(t, "keys", r.keys(), "1.parquet#0-0 1.parquet#1-1 1.parquet#2-2")
	for i := range r.chunks {
		err := check(t, r, r.chunks[i:i+1], "u")
		if i == 1 {
			wantError(t, err, drover.Data, "1.parquet")
		} else if err != nil {
			t.Errorf("chunk %d: %v", i, err)
		}
	}
	r = mustRead(t, In(dir), drover.Chunking{By: "t"})
	wantError(t, check(t, r, r.chunks, "u"), drover.Data, "1.parquet")
}

func BenchmarkCheckOfNanoseconds(b *testing.B) {
	values := make([]int64, 1<<20)
	for i := range values {
		values[i] = int64(i) * 1_000_000
	}
	path := b.TempDir() + "/1.parquet"
	nanosFile(b, path, map[string][]int64{"u": values, "i": values})
	for _, column := range []string{"u", "i"} {
		b.Run(column, func(b *testing.B) {
			s := &source{store: storage.Local{}}
			for b.Loop() {
				if err := s.wholeMicroseconds(b.Context(), path, piece{}, func(c string) bool { return c == column }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(values)), "ns/value")
		})
	}
}
