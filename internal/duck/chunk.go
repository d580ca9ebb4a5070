package duck

import (
	"unsafe"

	db "github.com/duckdb/duckdb-go-bindings"
)

// Chunk is up to VectorSize rows in columns.
type Chunk struct{ c db.DataChunk }

// Rows returns the number of rows; 0 for the zero Chunk.
func (c Chunk) Rows() int {
	if c.c.Ptr == nil {
		return 0
	}
	return int(db.DataChunkGetSize(c.c))
}

// Columns returns the number of columns.
func (c Chunk) Columns() int { return int(db.DataChunkGetColumnCount(c.c)) }

// Vector returns the i-th column.
func (c Chunk) Vector(i int) Vector { return Vector{db.DataChunkGetVector(c.c, db.IdxT(i))} }

// Vector is one column of a chunk: a flat array of values in DuckDB's memory layout and a validity mask.
// The layouts are those of duckdb.h: fixed-width values as C has them, String for text and blobs, ListEntry for lists,
// child vectors for structs. It is valid as long as its chunk.
type Vector struct{ v db.Vector }

// Data returns the vector's values. T must have the layout of the vector's type; the slice has VectorSize elements, of which the
// chunk's rows are set. For the child of a list use DataN.
func Data[T any](v Vector) []T { return DataN[T](v, VectorSize) }

// DataN returns the first n values of a vector.
func DataN[T any](v Vector, n int) []T {
	return unsafe.Slice((*T)(db.VectorGetData(v.v)), n)
}

// Mask returns the validity mask: bit i&63 of word i>>6 is set where row i is not NULL. Nil means that no row is NULL.
func (v Vector) Mask() []uint64 { return v.MaskN(VectorSize) }

// MaskN is Mask for a vector of n rows, such as a list's child.
func (v Vector) MaskN(n int) []uint64 {
	p := db.VectorGetValidity(v.v)
	if p == nil {
		return nil
	}
	return unsafe.Slice((*uint64)(p), (n+63)/64)
}

// Valid reports whether row i is not NULL under mask.
func Valid(mask []uint64, i int) bool { return mask == nil || mask[i>>6]&(1<<(uint(i)&63)) != 0 }

// WritableMask returns the vector's mask for a scan to clear bits in, made first if need be with all rows valid.
func (v Vector) WritableMask() []uint64 { return v.WritableMaskN(VectorSize) }

// WritableMaskN is WritableMask for a vector of n rows.
func (v Vector) WritableMaskN(n int) []uint64 {
	db.VectorEnsureValidityWritable(v.v)
	return v.MaskN(n)
}

// SetNull clears bit i of a mask.
func SetNull(mask []uint64, i int) { mask[i>>6] &^= 1 << (uint(i) & 63) }

// Child returns the vector of a list's elements.
func (v Vector) Child() Vector { return Vector{db.ListVectorGetChild(v.v)} }

// ChildSize returns the number of elements in a list's child vector.
func (v Vector) ChildSize() int { return int(db.ListVectorGetSize(v.v)) }

// GrowChild makes room for n elements in a list's child vector and sets its size to n. Earlier views of the child are
// invalid afterwards.
func (v Vector) GrowChild(n int) {
	db.ListVectorReserve(v.v, db.IdxT(n))
	db.ListVectorSetSize(v.v, db.IdxT(n))
}

// Field returns the i-th field of a struct vector.
func (v Vector) Field(i int) Vector { return Vector{db.StructVectorGetChild(v.v, db.IdxT(i))} }

// ListEntry is the layout of a list's row: a range of its child vector.
type ListEntry struct{ Offset, Length uint64 }

// Interval is the layout of an INTERVAL.
type Interval struct {
	Months, Days int32
	Micros       int64
}

// HugeInt is the layout of HUGEINT, of DECIMAL wider than 18 digits and, with the top bit flipped, of UUID.
type HugeInt struct {
	Lower uint64
	Upper int64
}

// String is the layout of VARCHAR and BLOB (duckdb_string_t): up to 12 bytes inline, or a prefix and a pointer.
type String struct {
	n      uint32
	prefix [4]byte
	ptr    uintptr // C memory, or the last 8 inline bytes
}

// Len returns the length in bytes.
func (s *String) Len() int { return int(s.n) }

// Bytes returns the text. It aliases the vector.
func (s *String) Bytes() []byte {
	if s.n <= 12 {
		return unsafe.Slice((*byte)(unsafe.Pointer(&s.prefix)), s.n)
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&s.ptr)), s.n)
}

// Packed returns a text of up to 7 bytes as one number: its bytes, least significant first, zeros, and its length in the top byte.
func (s *String) Packed() (key uint64, ok bool) {
	if s.n > 7 {
		return 0, false
	}
	return *(*uint64)(unsafe.Pointer(&s.prefix))&(1<<(8*s.n)-1) | uint64(s.n)<<56, true
}

// Point makes s the bytes b, which must lie in C memory when longer than 12 bytes and stay there until the scan's next call.
func (s *String) Point(b []byte) {
	s.n = uint32(len(b))
	if len(b) <= 12 {
		inline := unsafe.Slice((*byte)(unsafe.Pointer(&s.prefix)), 12)
		clear(inline[copy(inline, b):])
		return
	}
	copy(s.prefix[:], b)
	s.ptr = uintptr(unsafe.Pointer(unsafe.SliceData(b)))
}
