package golang

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/droverdata/drover/internal/downcast"
)

// narrowed is a chunk with columns in smaller types, as far as they hold every value (exactness.md 33). It releases the chunk.
func (f *Function) narrowed(chunk arrow.RecordBatch) arrow.RecordBatch {
	if len(f.narrow) == 0 {
		return chunk
	}
	defer chunk.Release()
	fields, columns := chunk.Schema().Fields(), make([]arrow.Array, chunk.NumCols())
	for i, c := range chunk.Columns() {
		columns[i] = c
		k := f.narrow.Index(fields[i].Name)
		if k < 0 {
			c.Retain()
			continue
		}
		smaller, beyond := narrow(c, f.narrow[k].Type, f.memory)
		if smaller == nil {
			c.Retain()
			f.log(fmt.Sprintf("column %s is %s for a chunk, not %s: %s", fields[i].Name, c.DataType(), f.narrow[k].Type, beyond))
			continue
		}
		columns[i], fields[i].Type = smaller, smaller.DataType()
	}
	defer release(columns)
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, chunk.NumRows())
}

// widened is an answer whose narrowed columns have the types of the output, as far as those hold every value. It releases the answer.
func (f *Function) widened(answer arrow.RecordBatch) arrow.RecordBatch {
	if len(f.narrow) == 0 || f.output == nil {
		return answer
	}
	defer answer.Release()
	fields, columns := answer.Schema().Fields(), make([]arrow.Array, answer.NumCols())
	for i, c := range answer.Columns() {
		columns[i] = c
		if k := f.output.Index(fields[i].Name); k >= 0 && f.narrow.Index(fields[i].Name) >= 0 {
			if wide, _ := narrow(c, f.output[k].Type, f.memory); wide != nil {
				columns[i], fields[i].Type = wide, wide.DataType()
				continue
			}
		}
		c.Retain()
	}
	defer release(columns)
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, answer.NumRows())
}

// mostCategories is the most texts of a dictionary.
const mostCategories = 1 << 16

// narrow returns a column in another type, or nil and what that does not hold.
func narrow(c arrow.Array, typ string, mem memory.Allocator) (_ arrow.Array, beyond string) {
	switch c := c.(type) {
	case *array.String:
		if typ == downcast.Dictionary {
			return dictionary(c, mem)
		}
	case *array.Float32:
		if typ == "DOUBLE" {
			return numbers(c, c.Float32Values(), array.NewFloat64Builder(mem), func(v float32) (float64, bool) { return float64(v), true })
		}
	case *array.Float64:
		if typ != "FLOAT" {
			break
		}
		return numbers(c, c.Float64Values(), array.NewFloat32Builder(mem), func(v float64) (float32, bool) { n := float32(v); return n, float64(n) == v || v != v })
	case *array.Int8:
		return integers(c, c.Int8Values(), typ, mem)
	case *array.Uint8:
		return integers(c, c.Uint8Values(), typ, mem)
	case *array.Int64:
		return integers(c, c.Int64Values(), typ, mem)
	case *array.Int32:
		return integers(c, c.Int32Values(), typ, mem)
	case *array.Int16:
		return integers(c, c.Int16Values(), typ, mem)
	case *array.Uint64:
		return integers(c, c.Uint64Values(), typ, mem)
	case *array.Uint32:
		return integers(c, c.Uint32Values(), typ, mem)
	case *array.Uint16:
		return integers(c, c.Uint16Values(), typ, mem)
	}
	return nil, "it has no smaller type"
}

// integer is any of the types that integers are converted from and to.
type integer interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

func integers[F integer](c arrow.Array, values []F, typ string, mem memory.Allocator) (arrow.Array, string) {
	switch typ {
	case "TINYINT":
		return numbers(c, values, array.NewInt8Builder(mem), exact[F, int8])
	case "SMALLINT":
		return numbers(c, values, array.NewInt16Builder(mem), exact[F, int16])
	case "INTEGER":
		return numbers(c, values, array.NewInt32Builder(mem), exact[F, int32])
	case "BIGINT":
		return numbers(c, values, array.NewInt64Builder(mem), exact[F, int64])
	case "UBIGINT":
		return numbers(c, values, array.NewUint64Builder(mem), exact[F, uint64])
	case "UTINYINT":
		return numbers(c, values, array.NewUint8Builder(mem), exact[F, uint8])
	case "USMALLINT":
		return numbers(c, values, array.NewUint16Builder(mem), exact[F, uint16])
	case "UINTEGER":
		return numbers(c, values, array.NewUint32Builder(mem), exact[F, uint32])
	}
	return nil, "it has no smaller type"
}

// exact converts a value, and says whether it is the same.
func exact[F, T integer](v F) (T, bool) { n := T(v); return n, F(n) == v && (n < 0) == (v < 0) }

// builder builds an array of numbers.
type builder[T any] interface {
	array.Builder
	Append(v T)
}

// numbers converts the values of c with b, which it releases.
func numbers[F, T any](c arrow.Array, values []F, b builder[T], convert func(F) (T, bool)) (arrow.Array, string) {
	defer b.Release()
	b.Reserve(c.Len())
	lost := 0
	for i, v := range values {
		if c.IsNull(i) {
			b.AppendNull()
			continue
		}
		n, same := convert(v)
		if !same {
			lost++
		}
		b.Append(n)
	}
	if lost > 0 {
		return nil, fmt.Sprintf("%d of its values do not fit", lost)
	}
	return b.NewArray(), ""
}

func dictionary(c *array.String, mem memory.Allocator) (arrow.Array, string) {
	places := map[string]int32{}
	index, texts := array.NewInt32Builder(mem), array.NewStringBuilder(mem)
	defer index.Release()
	defer texts.Release()
	for i := range c.Len() {
		if c.IsNull(i) {
			index.AppendNull()
			continue
		}
		at, known := places[c.Value(i)]
		if !known {
			at = int32(len(places))
			places[c.Value(i)] = at
			texts.Append(c.Value(i))
		}
		index.Append(at)
	}
	if len(places) > mostCategories {
		return nil, fmt.Sprintf("it has %d different texts", len(places))
	}
	indices, values := index.NewArray(), texts.NewArray()
	defer indices.Release()
	defer values.Release()
	return array.NewDictionaryArray(&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, indices, values), ""
}
