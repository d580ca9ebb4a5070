package python

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
	"pgregory.net/rapid"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/step/function"
)

var (
	text      = arrow.BinaryTypes.String
	int32s    = arrow.PrimitiveTypes.Int32
	intervals = arrow.FixedWidthTypes.MonthDayNanoInterval
	zoned     = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	structs   = arrow.StructOf(arrow.Field{Name: "a", Type: int32s, Nullable: true}, arrow.Field{Name: "b", Type: text, Nullable: true})
)

// types are those that DuckDB makes Arrow columns of.
var types = map[string]arrow.DataType{
	"boolean": arrow.FixedWidthTypes.Boolean,
	"tinyint": arrow.PrimitiveTypes.Int8, "smallint": arrow.PrimitiveTypes.Int16, "integer": int32s, "bigint": arrow.PrimitiveTypes.Int64,
	"utinyint": arrow.PrimitiveTypes.Uint8, "usmallint": arrow.PrimitiveTypes.Uint16, "uinteger": arrow.PrimitiveTypes.Uint32, "ubigint": arrow.PrimitiveTypes.Uint64,
	"float": arrow.PrimitiveTypes.Float32, "double": arrow.PrimitiveTypes.Float64,
	"decimal_4_2": &arrow.Decimal128Type{Precision: 4, Scale: 2}, "decimal_38_10": &arrow.Decimal128Type{Precision: 38, Scale: 10}, "hugeint": &arrow.Decimal128Type{Precision: 38},
	"varchar": text, "blob": arrow.BinaryTypes.Binary, "date": arrow.FixedWidthTypes.Date32, "time": arrow.FixedWidthTypes.Time64us, "time_ns": arrow.FixedWidthTypes.Time64ns,
	"timestamp": &arrow.TimestampType{Unit: arrow.Microsecond}, "timestamp_s": &arrow.TimestampType{Unit: arrow.Second},
	"timestamp_ms": &arrow.TimestampType{Unit: arrow.Millisecond}, "timestamp_ns": &arrow.TimestampType{Unit: arrow.Nanosecond}, "timestamptz": zoned,
	"interval": intervals,
	"enum":     &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint8, ValueType: text},
	"list":     arrow.ListOf(int32s), "list_of_text": arrow.ListOf(text), "list_of_lists": arrow.ListOf(arrow.ListOf(arrow.PrimitiveTypes.Float64)), "list_of_structs": arrow.ListOf(structs),
	"array": arrow.FixedSizeListOf(3, int32s), "struct": structs, "struct_of_times": arrow.StructOf(
		arrow.Field{Name: "t", Type: zoned, Nullable: true}, arrow.Field{Name: "d", Type: arrow.FixedWidthTypes.Date32, Nullable: true}, arrow.Field{Name: "l", Type: arrow.ListOf(int32s), Nullable: true},
	),
	"map": arrow.MapOf(text, int32s),
}

// everything has a column of each type that may hold NULLs and one that may not.
func everything(leaveOut func(name string, nullable bool) bool) *arrow.Schema {
	var fields []arrow.Field
	for _, name := range slices.Sorted(maps.Keys(types)) {
		typ := types[name]
		for _, nullable := range []bool{true, false} {
			if !leaveOut(name, nullable) {
				fields = append(fields, arrow.Field{Name: columnName(name, nullable), Type: typ, Nullable: nullable})
			}
		}
	}
	return arrow.NewSchema(fields, nil)
}

func columnName(name string, nullable bool) string {
	if nullable {
		return name + "_null"
	}
	return name
}

// ranges bounds what is drawn where a frame cannot hold all that the type can, which is an error of its own.
type ranges struct {
	noNaN bool // floats
	human bool // dates of the years 1 to 9999, times of less than a day, seconds that are milliseconds, too
}

// draw appends a random value.
func draw(t *rapid.T, b array.Builder, nullable bool, r ranges) {
	if nullable && rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		b.AppendNull()
		return
	}
	drawInt := func(lo, hi int64) int64 {
		return rapid.OneOf(rapid.Int64Range(lo, hi), rapid.SampledFrom([]int64{lo, hi, max(lo, -1), 0, 1})).Draw(t, "int")
	}
	drawText := func() string {
		return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "NULL", "nan", "None", "\x00", "a\nb", "é", "🙂", strings.Repeat("x", 300)})).Draw(t, "text")
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(rapid.Bool().Draw(t, "bool"))
	case *array.Int8Builder:
		b.Append(int8(drawInt(math.MinInt8, math.MaxInt8)))
	case *array.Int16Builder:
		b.Append(int16(drawInt(math.MinInt16, math.MaxInt16)))
	case *array.Int32Builder:
		b.Append(int32(drawInt(math.MinInt32, math.MaxInt32)))
	case *array.Int64Builder:
		b.Append(drawInt(math.MinInt64, math.MaxInt64))
	case *array.Uint8Builder:
		b.Append(uint8(drawInt(0, math.MaxUint8)))
	case *array.Uint16Builder:
		b.Append(uint16(drawInt(0, math.MaxUint16)))
	case *array.Uint32Builder:
		b.Append(uint32(drawInt(0, math.MaxUint32)))
	case *array.Uint64Builder:
		b.Append(rapid.OneOf(rapid.Uint64(), rapid.Just(uint64(math.MaxUint64))).Draw(t, "uint"))
	case *array.Float32Builder:
		b.Append(float32(drawFloat(t, r, math.MaxFloat32, math.SmallestNonzeroFloat32)))
	case *array.Float64Builder:
		b.Append(drawFloat(t, r, math.MaxFloat64, math.SmallestNonzeroFloat64))
	case *array.Decimal128Builder:
		d := b.Type().(*arrow.Decimal128Type)
		limit := new(big.Int).Sub(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Precision)), nil), big.NewInt(1))
		v := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "decimal"))
		v.Mod(v, new(big.Int).Add(limit, big.NewInt(1)))
		if rapid.IntRange(0, 4).Draw(t, "extreme") == 0 {
			v = limit
		}
		if rapid.Bool().Draw(t, "negative") {
			v.Neg(v)
		}
		b.Append(decimal128.FromBigInt(v))
	case *array.StringBuilder:
		b.Append(drawText())
	case *array.BinaryBuilder:
		b.Append(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case *array.Date32Builder:
		lo, hi := int64(-math.MaxInt32), int64(math.MaxInt32) // both infinities, too
		if r.human {
			lo, hi = -719162, 2932896
		}
		b.Append(arrow.Date32(drawInt(lo, hi)))
	case *array.Time64Builder:
		day := int64(86400000000) // 24:00 is a time, too
		if b.Type().(*arrow.Time64Type).Unit == arrow.Nanosecond {
			day *= 1000
		}
		if r.human {
			day--
		}
		b.Append(arrow.Time64(drawInt(0, day)))
	case *array.TimestampBuilder:
		limit := int64(math.MaxInt64) // both infinities, too
		if r.human && b.Type().(*arrow.TimestampType).Unit == arrow.Second {
			limit /= 1000
		}
		b.Append(arrow.Timestamp(drawInt(-limit, limit)))
	case *array.MonthDayNanoIntervalBuilder:
		b.Append(arrow.MonthDayNanoInterval{
			Months: int32(drawInt(math.MinInt32, math.MaxInt32)), Days: int32(drawInt(math.MinInt32, math.MaxInt32)), Nanoseconds: drawInt(-1<<53, 1<<53) * 1000,
		})
	case *array.BinaryDictionaryBuilder:
		if err := b.AppendString(rapid.SampledFrom([]string{"red", "green", "", "blue"}).Draw(t, "enum")); err != nil {
			t.Fatal(err)
		}
	case *array.FixedSizeListBuilder:
		b.Append(true)
		for range b.Type().(*arrow.FixedSizeListType).Len() {
			draw(t, b.ValueBuilder(), true, r)
		}
	case *array.MapBuilder:
		b.Append(true)
		for i := range rapid.IntRange(0, 3).Draw(t, "entries") {
			b.KeyBuilder().(*array.StringBuilder).Append(fmt.Sprint(i, drawText()))
			draw(t, b.ItemBuilder(), true, r)
		}
	case *array.ListBuilder:
		b.Append(true)
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			draw(t, b.ValueBuilder(), true, r)
		}
	case *array.StructBuilder:
		b.Append(true)
		for i := range b.NumField() {
			draw(t, b.FieldBuilder(i), true, r)
		}
	default:
		t.Fatalf("no values for %T", b)
	}
}

func drawFloat(t *rapid.T, r ranges, largest, smallest float64) float64 {
	special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), largest, -largest, smallest, 1 << 53, 0.1}
	if !r.noNaN {
		special = append(special, math.NaN())
	}
	return rapid.OneOf(rapid.Float64(), rapid.SampledFrom(special)).Draw(t, "float")
}

// cells are the values of a column as text, which tells every value from every other together with array.ApproxEqual.
func cells(a arrow.Array) []string {
	var out []string
	for i := range a.Len() {
		if a.IsNull(i) {
			out = append(out, "NULL")
		} else {
			out = append(out, "'"+a.ValueStr(i))
		}
	}
	return out
}

// sameColumn reports how the rows of got from at on differ from want.
func sameColumn(want, got arrow.Array) error {
	if !arrow.TypeEqual(want.DataType(), got.DataType()) {
		return fmt.Errorf("type %s became %s", want.DataType(), got.DataType())
	}
	a, b := cells(want), cells(got)
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return fmt.Errorf("row %d: %s became %s", i, a[i], b[min(i, len(b)-1)])
		}
	}
	if want.DataType().ID() == arrow.DICTIONARY { // by value, above
		return nil
	}
	if !array.ApproxEqual(want, got, array.WithAbsTolerance(0), array.WithNaNsEqual(true)) || len(a) != len(b) {
		return fmt.Errorf("%v became %v", want, got)
	}
	return nil
}

func TestEveryValueOfEveryTypeComesBackAsItWas(t *testing.T) {
	isInt := func(name string) bool {
		return strings.HasSuffix(name, "int") && name != "hugeint" || name == "integer" || name == "uinteger"
	}
	isNested := func(name string) bool {
		return strings.HasPrefix(name, "list") || strings.HasPrefix(name, "struct") || name == "array" || name == "map"
	}
	for name, c := range map[string]struct {
		spec   Spec
		ranges ranges
		// refused are the columns that are refused when the job is planned.
		refused func(name string, nullable bool) bool
	}{
		"pandas":          {spec: Spec{Frame: "pandas"}},
		"pandas pyarrow":  {spec: Spec{Frame: "pandas", DTypes: "pyarrow"}},
		"pandas nullable": {spec: Spec{Frame: "pandas", DTypes: "nullable"}, ranges: ranges{noNaN: true}},
		"pandas numpy": {
			spec: Spec{Frame: "pandas", DTypes: "numpy"}, ranges: ranges{noNaN: true, human: true},
			refused: func(name string, nullable bool) bool {
				return nullable && (isInt(name) || name == "boolean") || isNested(name) || name == "interval" || name == "time_ns"
			},
		},
		"polars":  {spec: Spec{Frame: "polars"}, ranges: ranges{human: true}, refused: func(name string, _ bool) bool { return name == "interval" }},
		"pyarrow": {spec: Spec{Frame: "pyarrow"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.refused == nil {
				c.refused = func(string, bool) bool { return false }
			}
			schema := everything(c.refused)
			c.spec.Function = "clean.py:clean"
			child, l := start(t, "def clean(df): return df\n", func(o *Options) { o.Spec, o.Input, o.Output = c.spec, schema, schema })
			rapid.Check(t, func(t *rapid.T) {
				var batches []arrow.RecordBatch
				for range rapid.IntRange(1, 3).Draw(t, "batches") {
					b := array.NewRecordBuilder(mallocator.NewMallocator(), schema)
					defer b.Release()
					for range rapid.IntRange(1, 4).Draw(t, "rows") {
						for i, f := range schema.Fields() {
							draw(t, b.Field(i), f.Nullable, c.ranges)
						}
					}
					rec := b.NewRecordBatch()
					defer rec.Release()
					batches = append(batches, rec)
				}
				rows, err := array.NewRecordReader(schema, batches)
				if err != nil {
					t.Fatal(err)
				}
				defer rows.Release()
				answer, err := child.Call(t.Context(), function.Chunk{}, rows)
				if err != nil {
					t.Fatal(kindAndText(err), l.text())
				}
				got := columnsOf(t, answer)
				for i, f := range schema.Fields() {
					var parts []arrow.Array
					for _, b := range batches {
						parts = append(parts, b.Column(i))
					}
					want, err := array.Concatenate(parts, mallocator.NewMallocator())
					if err != nil {
						t.Fatal(err)
					}
					if err := sameColumn(want, got[i]); err != nil {
						t.Errorf("column %s: %v", f.Name, err)
					}
					want.Release()
					got[i].Release()
				}
			})
			// What is refused is refused when the job is planned, and no other column is.
			if all := everything(func(string, bool) bool { return false }); len(all.Fields()) > len(schema.Fields()) {
				o := child.options
				o.Input = everything(func(name string, nullable bool) bool { return !c.refused(name, nullable) })
				_, err := Inspect(t.Context(), o, nil)
				if drover.KindOf(err) != drover.Invalid {
					t.Fatal(err)
				}
				for _, f := range o.Input.Fields()[:min(20, o.Input.NumFields())] {
					if !strings.Contains(err.Error(), "column "+f.Name+" is ") {
						t.Errorf("column %s is not refused: %v", f.Name, err)
					}
				}
			}
		})
	}
}

// columnsOf reads and releases an answer.
func columnsOf(t *rapid.T, answer array.RecordReader) []arrow.Array {
	defer answer.Release()
	parts := make([][]arrow.Array, answer.Schema().NumFields())
	for answer.Next() {
		rec := answer.RecordBatch()
		rec.Retain()
		defer rec.Release()
		for i, c := range rec.Columns() {
			parts[i] = append(parts[i], c)
		}
	}
	if err := answer.Err(); err != nil {
		t.Fatal(err)
	}
	var columns []arrow.Array
	for _, p := range parts {
		c, err := array.Concatenate(p, mallocator.NewMallocator())
		if err != nil {
			t.Fatal(err)
		}
		columns = append(columns, c)
	}
	return columns
}
