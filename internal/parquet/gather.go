package parquet

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/droverdata/drover/internal/duck"
)

// head is the room before the staged values for the levels of a page without NULLs, which then goes out without a copy.
const head = levelsRoom

// leastRows is how many rows a page has room for at first.
const leastRows = 32

// vector is one column of a DuckDB chunk.
type vector struct {
	data unsafe.Pointer
	mask []uint64
}

// vectorOf returns a vector of n rows. After a filter DuckDB's vectors have masks whether they hold NULLs or not: one that says nothing is left out,
// for otherwise each row of each column would be asked.
func vectorOf(v duck.Vector, n int) vector {
	mask := v.Mask()
	if full(mask, n) {
		mask = nil
	}
	return vector{unsafe.Pointer(unsafe.SliceData(duck.Data[byte](v))), mask}
}

// full reports whether the first n bits of a mask are set.
func full(mask []uint64, n int) bool {
	if mask == nil {
		return true
	}
	for _, word := range mask[:n/64] {
		if word != math.MaxUint64 {
			return false
		}
	}
	rest := uint64(1)<<(n%64) - 1
	return rest == 0 || mask[n/64]&rest == rest
}

// staging is the open page of a column chunk.
type staging struct {
	values []uint64 // head bytes, then values of the column's width
	n      int      // values that are not NULL
	// present has a 1 or a 0 for each row, once the page has a NULL.
	present []byte
	nulls   bool
	// texts is the values as PLAIN once one is longer than 7 bytes.
	texts []byte
	long  bool
}

// bytes returns the staged values and the head before them.
func (s *staging) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s.values))), len(s.values)*8)
}

func (s *staging) memory() int { return cap(s.values)*8 + cap(s.present) + cap(s.texts) }

// reset empties the page.
func (s *staging) reset() {
	s.n, s.nulls, s.long = 0, false, false
	s.present, s.texts = s.present[:0], s.texts[:0]
}

// room makes room for n values in all.
func (s *staging) room(n, width, limit int) {
	words := func(rows int) int { return head/8 + (rows*width+7)/8 }
	if len(s.values) >= words(n) {
		return
	}
	rows := leastRows
	for rows < n {
		rows *= 2
	}
	grown := make([]uint64, words(max(n, min(rows, limit))))
	copy(grown, s.values)
	s.values = grown
}

// gather stages rows of a vector in a page that has already some rows. scratch has room for them.
func (s *staging) gather(c *Column, v vector, rows, scratch []uint16, already int) {
	if v.mask != nil || s.nulls {
		rows = s.markNulls(v, rows, scratch, already)
	}
	values := s.bytes()[head+s.n*c.width:]
	n := len(rows)
	if n == 0 {
		return
	}
	switch {
	case c.text():
		s.gatherTexts((*[duck.VectorSize]duck.String)(v.data), rows)
	case c.src == 16:
		gatherFixed(values, (*[duck.VectorSize]duck.HugeInt)(v.data), rows, c.uuid)
	case c.src == 8:
		copyRows(view[uint64](values, n), (*[duck.VectorSize]uint64)(v.data), rows)
	case c.src == 4:
		copyRows(view[uint32](values, n), (*[duck.VectorSize]uint32)(v.data), rows)
	case c.width == 1:
		copyRows(view[uint8](values, n), (*[duck.VectorSize]uint8)(v.data), rows)
	case c.src == 2 && c.extend:
		widenRows(view[int32](values, n), (*[duck.VectorSize]int16)(v.data), rows)
	case c.src == 2:
		widenRows(view[int32](values, n), (*[duck.VectorSize]uint16)(v.data), rows)
	case c.extend:
		widenRows(view[int32](values, n), (*[duck.VectorSize]int8)(v.data), rows)
	default:
		widenRows(view[int32](values, n), (*[duck.VectorSize]uint8)(v.data), rows)
	}
	s.n += n
}

// markNulls notes which rows are NULL and returns the others, in scratch where there are both.
func (s *staging) markNulls(v vector, rows, scratch []uint16, already int) []uint16 {
	if !s.nulls {
		any := false
		for _, i := range rows {
			if !duck.Valid(v.mask, int(i)) {
				any = true
				break
			}
		}
		if !any {
			return rows
		}
		s.nulls = true
		s.present = slices.Grow(s.present, already)[:already]
		fill(s.present)
	}
	from := len(s.present)
	s.present = slices.Grow(s.present, len(rows))[:from+len(rows)]
	if v.mask == nil {
		fill(s.present[from:])
		return rows
	}
	present, some, n := s.present[from:], scratch[:duck.VectorSize], 0
	for j, i := range rows {
		is := byte(v.mask[i>>6] >> (i & 63) & 1)
		present[j] = is
		some[n%duck.VectorSize] = i
		n += int(is)
	}
	return some[:n]
}

// fill sets all bytes to 1.
func fill(b []byte) {
	if len(b) == 0 {
		return
	}
	b[0] = 1
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// copyRows copies values of ascending rows.
func copyRows[T any](dst []T, src *[duck.VectorSize]T, rows []uint16) {
	n := len(rows)
	dst = dst[:n]
	if first := int(rows[0]); int(rows[n-1])-first == n-1 {
		copy(dst, src[first:])
		return
	}
	for len(rows) >= 4 && len(dst) >= 4 {
		dst[0] = src[rows[0]%duck.VectorSize]
		dst[1] = src[rows[1]%duck.VectorSize]
		dst[2] = src[rows[2]%duck.VectorSize]
		dst[3] = src[rows[3]%duck.VectorSize]
		dst, rows = dst[4:], rows[4:]
	}
	for j, i := range rows {
		dst[j] = src[i%duck.VectorSize]
	}
}

func widenRows[T int8 | int16 | uint8 | uint16](dst []int32, src *[duck.VectorSize]T, rows []uint16) {
	dst = dst[:len(rows)]
	for j, i := range rows {
		dst[j] = int32(src[i%duck.VectorSize])
	}
}

// gatherFixed stages 16-byte values most significant byte first. DuckDB keeps a UUID with its top bit flipped, so that it compares as a number.
func gatherFixed(dst []byte, src *[duck.VectorSize]duck.HugeInt, rows []uint16, uuid bool) {
	flip := uint64(0)
	if uuid {
		flip = 1 << 63
	}
	for j, i := range rows {
		v := &src[i%duck.VectorSize]
		binary.BigEndian.PutUint64(dst[j*16:], uint64(v.Upper)^flip)
		binary.BigEndian.PutUint64(dst[j*16+8:], v.Lower)
	}
}

func (s *staging) gatherTexts(src *[duck.VectorSize]duck.String, rows []uint16) {
	j := 0
	if !s.long {
		dst := view[uint64](s.bytes()[head+s.n*8:], len(rows))
		for ; j < len(rows); j++ {
			key, ok := src[rows[j]%duck.VectorSize].Packed()
			if !ok {
				break
			}
			dst[j] = key
		}
		if j == len(rows) {
			return
		}
		s.long = true
		for _, key := range view[uint64](s.bytes()[head:], s.n+j) {
			s.texts = unpack(s.texts, key)
		}
	}
	for _, i := range rows[j:] {
		s.texts = appendText(s.texts, src[i%duck.VectorSize].Bytes())
	}
}

// widthOf returns how many bits the codes of n values need.
func widthOf(n int) uint { return uint(max(1, bits.Len(uint(max(n, 1)-1)))) }
