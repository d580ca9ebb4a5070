package python

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"
)

// Whatever the types, sizes, slices and NULLs of the batches: what is gathered are their rows, chunk after chunk in the same memory.
func TestRowsAreGatheredAsTheyAre(t *testing.T) {
	kinds := []arrow.DataType{
		arrow.FixedWidthTypes.Boolean, arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String, arrow.BinaryTypes.LargeBinary,
		&arrow.Decimal128Type{Precision: 38, Scale: 3}, arrow.FixedWidthTypes.MonthDayNanoInterval, &arrow.FixedSizeBinaryType{ByteWidth: 5},
		arrow.ListOf(arrow.BinaryTypes.String), arrow.LargeListOf(arrow.FixedWidthTypes.Boolean), arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int16),
		arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Int32), arrow.Null, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String},
		arrow.StructOf(arrow.Field{Name: "a", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64), Nullable: true}, arrow.Field{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}),
	}
	rapid.Check(t, func(t *rapid.T) {
		var fields []arrow.Field
		for i := range rapid.IntRange(1, 5).Draw(t, "columns") {
			fields = append(fields, arrow.Field{Name: fmt.Sprint("c", i), Type: rapid.SampledFrom(kinds).Draw(t, "type"), Nullable: true})
		}
		schema := arrow.NewSchema(fields, nil)
		s, err := newSegment()
		if err != nil {
			t.Fatal(err)
		}
		g := &gatherer{}
		defer func() {
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}()
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range rapid.IntRange(1, 3).Draw(t, "chunks") {
			var batches []arrow.RecordBatch
			for range rapid.IntRange(0, 6).Draw(t, "batches") {
				batches = append(batches, randomBatch(random, schema, rapid.SampledFrom([]int{1, 7, 64, 2048, 7000}).Draw(t, "rows"), rapid.IntRange(0, 2).Draw(t, "nulls")))
			}
			in, err := array.NewRecordReader(schema, batches)
			if err != nil {
				t.Fatal(err)
			}
			size, err := g.write(s, in)
			if err != nil {
				t.Fatal(err)
			}
			out, err := ipc.NewReaderFromMessageReader(&messages{mapped: memory.NewBufferBytes(s.data[:size])})
			if err != nil {
				t.Fatal(err)
			}
			var got []arrow.RecordBatch
			for out.Next() {
				b := out.RecordBatch()
				b.Retain()
				got = append(got, b)
			}
			if out.Err() != nil {
				t.Fatal(out.Err())
			}
			a, b := array.NewTableFromRecords(schema, batches), array.NewTableFromRecords(schema, got)
			if !array.TableEqual(a, b) {
				t.Fatalf("%d rows of %s came back as %d others", a.NumRows(), schema, b.NumRows())
			}
		}
	})
}

// randomBatch has rows that are a slice of more. nulls is how many of them are NULL: none, some, all.
func randomBatch(random *rand.Rand, schema *arrow.Schema, rows, nulls int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.NewGoAllocator(), schema)
	defer b.Release()
	before, after := random.IntN(3), random.IntN(20)
	for range before + rows + after {
		for _, c := range b.Fields() {
			appendRandom(random, c, nulls)
		}
	}
	all := b.NewRecordBatch()
	defer all.Release()
	return all.NewSlice(int64(before), int64(before+rows))
}

func appendRandom(random *rand.Rand, to array.Builder, nulls int) {
	if nulls == 2 || nulls == 1 && random.IntN(9) == 0 {
		to.AppendNull()
		return
	}
	text := fmt.Sprint("value ", random.Uint32())[:random.IntN(7)]
	switch to := to.(type) {
	case *array.BooleanBuilder:
		to.Append(random.IntN(2) == 0)
	case *array.Int8Builder:
		to.Append(int8(random.Int()))
	case *array.StringBuilder:
		to.Append(text)
	case *array.BinaryBuilder:
		to.AppendString(text)
	case *array.BinaryDictionaryBuilder:
		if err := to.AppendString(fmt.Sprint(random.IntN(5))); err != nil {
			panic(err)
		}
	case *array.FixedSizeBinaryBuilder:
		to.Append([]byte("12345"))
	case *array.ListBuilder:
		to.Append(true)
		appendSome(random, to.ValueBuilder(), random.IntN(4), nulls)
	case *array.LargeListBuilder:
		to.Append(true)
		appendSome(random, to.ValueBuilder(), random.IntN(4), nulls)
	case *array.MapBuilder:
		to.Append(true)
		n := random.IntN(4)
		appendSome(random, to.KeyBuilder(), n, 0)
		appendSome(random, to.ItemBuilder(), n, nulls)
	case *array.FixedSizeListBuilder:
		to.Append(true)
		appendSome(random, to.ValueBuilder(), 3, nulls)
	case *array.StructBuilder:
		to.Append(true)
		for i := range to.NumField() {
			appendRandom(random, to.FieldBuilder(i), nulls)
		}
	case *array.NullBuilder:
		to.AppendNull()
	default:
		if err := to.AppendValueFromString(fmt.Sprint(random.IntN(1000))); err != nil {
			to.AppendEmptyValue()
		}
	}
}

func appendSome(random *rand.Rand, to array.Builder, n, nulls int) {
	for range n {
		appendRandom(random, to, nulls)
	}
}
