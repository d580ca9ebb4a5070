package duck

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"

	"github.com/droverdata/drover"
)

// scanOf makes a record batch of one column a relation.
func scanOf(t *testing.T, s *Session, typ arrow.DataType, json string) string {
	t.Helper()
	values, _, err := array.FromJSON(mallocator.NewMallocator(), typ, strings.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(values.Release)
	schema := arrow.NewSchema([]arrow.Field{{Name: "v", Type: typ, Nullable: true}}, nil)
	rec := array.NewRecordBatch(schema, []arrow.Array{values}, int64(values.Len()))
	t.Cleanup(rec.Release)
	columns, err := ArrowColumns(schema)
	if err != nil {
		t.Fatal(err)
	}
	filler, err := s.NewArrowFiller(schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(filler.Close)
	sql, remove, err := s.AddScan(columns, func() (Filler, error) {
		from := int64(0)
		return func(out Chunk, projection []int) (int, error) {
			to := min(from+VectorSize, rec.NumRows())
			if from == to {
				return 0, nil
			}
			part := rec.NewSlice(from, to)
			defer part.Release()
			from = to
			return int(part.NumRows()), filler.Fill(out, projection, part)
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	return sql
}

// What DuckDB would cut is an error; the same types pass where there is nothing to cut.
func TestArrowValuesThatDuckDBWouldCutAreRefused(t *testing.T) {
	utc := &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}
	for name, c := range map[string]struct {
		typ       arrow.DataType
		whole     string
		want      string
		withDigit string
	}{
		"timestamps with a zone": {utc, `["2026-11-21T10:00:00.000001000Z", null]`, "2026-11-21 10:00:00.000001+00\nNULL", `[null, "2026-11-21T10:00:00.000001001Z"]`},
		"durations":              {arrow.FixedWidthTypes.Duration_ns, `[1500000000, null]`, "00:00:01.5\nNULL", `[1]`},
		"intervals": {
			arrow.FixedWidthTypes.MonthDayNanoInterval, `[{"months": 1, "days": 2, "nanoseconds": 3000}, null]`, "1 month 2 days 00:00:00.000003\nNULL",
			`[{"months": 1, "days": 2, "nanoseconds": 3001}]`,
		},
		"lists": {arrow.ListOf(utc), `[["2026-11-21T10:00:00Z"], [], null]`, "['2026-11-21 10:00:00+00']\n[]\nNULL", `[[null, "2026-11-21T10:00:00.000000999Z"]]`},
		"structs": {
			arrow.StructOf(arrow.Field{Name: "d", Type: arrow.FixedWidthTypes.Duration_ns, Nullable: true}), `[{"d": 1000}, null]`, "{'d': '00:00:00.000001'}\nNULL",
			`[{"d": 1001}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{})
			if got := texts(t, s, "SELECT v FROM "+scanOf(t, s, c.typ, c.whole)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			err := s.Exec(t.Context(), "SELECT v FROM "+scanOf(t, s, c.typ, c.withDigit))
			if drover.KindOf(err) != drover.Data || !strings.Contains(err.Error(), "column v") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A batch of more rows than a vector is read in slices; the fields of structs, at any depth, are those of their own rows.
func TestStructsOfLaterSlicesKeepTheirRows(t *testing.T) {
	inner := arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, arrow.Field{Name: "t", Type: arrow.BinaryTypes.String, Nullable: true})
	typ := arrow.StructOf(
		arrow.Field{Name: "n", Type: inner, Nullable: true},
		arrow.Field{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		arrow.Field{Name: "f", Type: arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int64), Nullable: true},
		arrow.Field{Name: "l", Type: arrow.ListOf(inner), Nullable: true},
	)
	var json, want []string
	for i := range 3*VectorSize - 100 {
		switch i % 7 {
		case 3:
			json, want = append(json, "null"), append(want, "NULL")
		case 5:
			json = append(json, fmt.Sprintf(`{"n": null, "b": null, "f": [%d, null], "l": [{"x": %d, "t": null}]}`, i, i))
			want = append(want, fmt.Sprintf("{'n': NULL, 'b': NULL, 'f': [%d, NULL], 'l': [{'x': %d, 't': NULL}]}", i, i))
		default:
			json = append(json, fmt.Sprintf(`{"n": {"x": %d, "t": "t%d"}, "b": %t, "f": null, "l": []}`, i, i, i%3 == 0))
			want = append(want, fmt.Sprintf("{'n': {'x': %d, 't': t%d}, 'b': %t, 'f': NULL, 'l': []}", i, i, i%3 == 0))
		}
	}
	s := open(t, Options{})
	if got := texts(t, s, "SELECT v FROM "+scanOf(t, s, typ, "["+strings.Join(json, ",")+"]")); got != strings.Join(want, "\n") {
		lines := strings.Split(got, "\n")
		for i := range want {
			if i >= len(lines) || lines[i] != want[i] {
				t.Fatalf("row %d of %d: got %s, want %s", i, len(lines), lines[min(i, len(lines)-1)], want[i])
			}
		}
	}
}

// The canonical 8-bit boolean is a boolean.
func TestBool8IsBoolean(t *testing.T) {
	s := open(t, Options{})
	if got := texts(t, s, "SELECT v FROM "+scanOf(t, s, extensions.NewBool8Type(), `[true, false, null]`)); got != "true\nfalse\nNULL" {
		t.Errorf("got %s", got)
	}
}
