package duck

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
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
		done := false
		return func(out Chunk, projection []int) (int, error) {
			if done {
				return 0, nil
			}
			done = true
			return int(rec.NumRows()), filler.Fill(out, projection, rec)
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
