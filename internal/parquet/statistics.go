package parquet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"unsafe"
)

// maxStatistic is the longest text that goes into statistics; a column chunk with a longer one has none.
const maxStatistic = 64

// extent is the least and the greatest value of a column chunk.
type extent struct {
	any, none bool // there is a value; there must be no statistics
	min, max  uint64
	least     []byte
	most      []byte
}

func (e *extent) reset() { *e = extent{least: e.least[:0], most: e.most[:0]} }

// numbers takes in n staged values of a column that holds numbers.
func (e *extent) numbers(c *Column, staged []byte, n int) {
	if n == 0 || e.none {
		return
	}
	switch {
	case c.width == 1:
		extremes(e, view[uint8](staged, n), func(v uint8) uint64 { return uint64(v) }, c.order)
	case c.order == doubles:
		extremes(e, view[float64](staged, n), math.Float64bits, c.order)
	case c.order == floats:
		extremes(e, view[float32](staged, n), func(v float32) uint64 { return uint64(math.Float32bits(v)) }, c.order)
	case c.order == unsigned && c.width == 8:
		extremes(e, view[uint64](staged, n), func(v uint64) uint64 { return v }, c.order)
	case c.order == unsigned:
		extremes(e, view[uint32](staged, n), func(v uint32) uint64 { return uint64(v) }, c.order)
	case c.width == 8:
		extremes(e, view[int64](staged, n), func(v int64) uint64 { return uint64(v) }, c.order)
	default:
		extremes(e, view[int32](staged, n), func(v int32) uint64 { return uint64(int64(v)) }, c.order)
	}
}

func extremes[T cmp.Ordered](e *extent, values []T, bits func(T) uint64, o order) {
	lo, hi, nan := values[0], values[0], false
	for _, v := range values {
		if v >= lo && v <= hi {
			continue // nearly always, and never NaN
		}
		switch {
		case v < lo:
			lo = v
		case v > hi:
			hi = v
		default:
			nan = true
		}
	}
	if nan {
		e.none = true // parquet.thrift, TypeDefinedOrder: NaNs are not written to min or max
		return
	}
	e.add(o, bits(lo))
	e.add(o, bits(hi))
}

func (e *extent) add(o order, v uint64) {
	if !e.any {
		e.min, e.max, e.any = v, v, true
		return
	}
	if less(o, v, e.min) {
		e.min = v
	}
	if less(o, e.max, v) {
		e.max = v
	}
}

func less(o order, a, b uint64) bool {
	switch o {
	case signed:
		return int64(a) < int64(b)
	case floats, doubles:
		return float(o, a) < float(o, b)
	}
	return a < b
}

// float is the number that bits stand for.
func float(o order, v uint64) float64 {
	if o == floats {
		return float64(math.Float32frombits(uint32(v)))
	}
	return math.Float64frombits(v)
}

// text takes in one value of a column of texts, or of 16 bytes.
func (e *extent) text(v []byte) {
	switch {
	case e.none:
	case len(v) > maxStatistic:
		e.none = true
	case !e.any:
		e.least, e.most, e.any = append(e.least[:0], v...), append(e.most[:0], v...), true
	case bytes.Compare(v, e.least) < 0:
		e.least = append(e.least[:0], v...)
	case bytes.Compare(v, e.most) > 0:
		e.most = append(e.most[:0], v...)
	}
}

// fixed takes in n staged values of 16 bytes.
func (e *extent) fixed(c *Column, staged []byte, n int) {
	var v [16]byte
	for i := range n {
		copy(v[:], staged[i*16:])
		if c.order == decimalwise {
			v[0] ^= 0x80 // now bytes compare as the numbers do
		}
		e.text(v[:])
	}
}

// bounds returns the least and the greatest value as PLAIN has them, without a text's length.
func (e *extent) bounds(c *Column) (least, most []byte, ok bool) {
	if !e.any || e.none {
		return nil, nil, false
	}
	switch c.order {
	case decimalwise:
		least, most = bytes.Clone(e.least), bytes.Clone(e.most)
		least[0] ^= 0x80
		most[0] ^= 0x80
		return least, most, true
	case bytewise:
		return e.least, e.most, true
	}
	lo, hi := e.min, e.max
	if c.order == floats || c.order == doubles {
		// parquet.thrift, TypeDefinedOrder: a zero is written as -0.0 for min and as +0.0 for max.
		if float(c.order, lo) == 0 {
			lo = 1 << (c.width*8 - 1)
		}
		if float(c.order, hi) == 0 {
			hi = 0
		}
	}
	least, most = binary.LittleEndian.AppendUint64(nil, lo), binary.LittleEndian.AppendUint64(nil, hi)
	return least[:c.width], most[:c.width], true
}

// view is n values of type T at the beginning of b.
func view[T any](b []byte, n int) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}
