package python

import (
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

// body gathers rows from many small batches into one, each buffer in a region of its own, so that the function sees columns in one piece and no
// value is copied twice.
type body struct {
	data    []byte // the segment's
	rows    int
	nodes   []node
	regions []region
	// node and region are where add is, in the order of an IPC message: depth first.
	node, region int
}

// plain says whether the columns consist of nothing but what body knows: no dictionaries, unions, views.
func plain(fields []arrow.Field) bool {
	for _, f := range fields {
		switch t := f.Type.(type) {
		case *arrow.BooleanType, *arrow.StringType, *arrow.BinaryType, *arrow.LargeStringType, *arrow.LargeBinaryType:
		case *arrow.ListType, *arrow.MapType, *arrow.LargeListType, *arrow.StructType, *arrow.FixedSizeListType:
			if !plain(t.(arrow.NestedType).Fields()) {
				return false
			}
		case *arrow.DictionaryType, arrow.ExtensionType:
			return false
		case arrow.FixedWidthDataType:
		default:
			return false
		}
	}
	return true
}

// shapeOf counts the arrays and buffers of columns.
func shapeOf(fields []arrow.Field) (nodes, regions int) {
	for _, f := range fields {
		nodes, regions = nodes+1, regions+1
		switch t := f.Type.(type) {
		case *arrow.StringType, *arrow.BinaryType, *arrow.LargeStringType, *arrow.LargeBinaryType:
			regions += 2
		case *arrow.ListType, *arrow.MapType, *arrow.LargeListType:
			n, r := shapeOf(t.(arrow.NestedType).Fields())
			nodes, regions = nodes+n, regions+r+1
		case *arrow.StructType, *arrow.FixedSizeListType:
			n, r := shapeOf(t.(arrow.NestedType).Fields())
			nodes, regions = nodes+n, regions+r
		default:
			regions++
		}
	}
	return nodes, regions
}

// measure appends what each buffer of n rows from a place of an array takes at most.
func measure(needs []int, a arrow.ArrayData, from, n int) []int {
	needs = append(needs, n/8+1)
	at := a.Offset() + from
	switch t := a.DataType().(type) {
	case *arrow.BooleanType:
		return append(needs, n/8+1)
	case *arrow.StringType, *arrow.BinaryType:
		first, last := bounds[int32](a, at, n)
		return append(needs, (n+1)*4, last-first)
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		first, last := bounds[int64](a, at, n)
		return append(needs, (n+1)*8, last-first)
	case *arrow.ListType, *arrow.MapType:
		first, last := bounds[int32](a, at, n)
		return measure(append(needs, (n+1)*4), a.Children()[0], first, last-first)
	case *arrow.LargeListType:
		first, last := bounds[int64](a, at, n)
		return measure(append(needs, (n+1)*8), a.Children()[0], first, last-first)
	case *arrow.StructType:
		for _, c := range a.Children() {
			needs = measure(needs, c, at, n)
		}
		return needs
	case *arrow.FixedSizeListType:
		return measure(needs, a.Children()[0], at*int(t.Len()), n*int(t.Len()))
	}
	return append(needs, n*width(a.DataType()))
}

func width(t arrow.DataType) int { return t.(arrow.FixedWidthDataType).BitWidth() / 8 }

// offsets are those of n values from a place, one more than there are values; none where there are no values.
func offsets[T int32 | int64](a arrow.ArrayData, at, n int) []T {
	if b := a.Buffers()[1]; b != nil && b.Len() > 0 {
		all := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b.Bytes()))), b.Len()/int(unsafe.Sizeof(T(0))))
		return all[at : at+n+1]
	}
	return make([]T, 1)
}

func bounds[T int32 | int64](a arrow.ArrayData, at, n int) (first, last int) {
	o := offsets[T](a, at, n)
	return int(o[0]), int(o[len(o)-1])
}

// fits says whether there is room for needs.
func (b *body) fits(needs []int) bool {
	for i, n := range needs {
		if b.regions[i].size+n > b.regions[i].room {
			return false
		}
	}
	return true
}

// add appends n rows of the columns.
func (b *body) add(columns []arrow.Array, n int) {
	b.node, b.region = 0, 0
	for _, c := range columns {
		b.array(c.Data(), 0, n)
	}
	b.rows += n
}

func (b *body) array(a arrow.ArrayData, from, n int) {
	at := a.Offset() + from
	had := int(b.nodes[b.node].rows)
	b.validity(a, at, n)
	switch t := a.DataType().(type) {
	case *arrow.BooleanType:
		r := b.next()
		if n > 0 {
			bitutil.CopyBitmap(a.Buffers()[1].Bytes(), at, n, b.data[r.at:r.at+r.room], had)
		}
		r.size = (had + n + 7) / 8
	case *arrow.StringType, *arrow.BinaryType:
		values(b, a, offsets[int32](a, at, n))
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		values(b, a, offsets[int64](a, at, n))
	case *arrow.ListType, *arrow.MapType:
		first, last := lengths(b.data, b.next(), offsets[int32](a, at, n))
		b.array(a.Children()[0], int(first), int(last-first))
	case *arrow.LargeListType:
		first, last := lengths(b.data, b.next(), offsets[int64](a, at, n))
		b.array(a.Children()[0], int(first), int(last-first))
	case *arrow.StructType:
		for _, c := range a.Children() {
			b.array(c, at, n)
		}
	case *arrow.FixedSizeListType:
		b.array(a.Children()[0], at*int(t.Len()), n*int(t.Len()))
	default:
		r, w := b.next(), width(t)
		if n > 0 {
			copy(b.data[r.at+r.size:], a.Buffers()[1].Bytes()[at*w:(at+n)*w])
		}
		r.size += n * w
	}
}

func (b *body) next() *region {
	b.region++
	return &b.regions[b.region-1]
}

// validity appends which of the values are NULL. There is no buffer as long as there are none.
func (b *body) validity(a arrow.ArrayData, at, n int) {
	to := &b.nodes[b.node]
	to.validity = b.region
	r := b.next()
	b.node++
	had := int(to.rows)
	to.rows += int64(n)
	var bits []byte
	if from := a.Buffers()[0]; from != nil && a.NullN() != 0 {
		bits = from.Bytes()
	}
	nulls := 0
	if bits != nil {
		nulls = n - bitutil.CountSetBits(bits, at, n)
	}
	r.size = (had + n + 7) / 8
	if nulls == 0 && to.nulls == 0 {
		return
	}
	mine := b.data[r.at : r.at+r.room]
	if to.nulls == 0 {
		bitutil.SetBitsTo(mine, 0, int64(had), true)
	}
	if nulls > 0 {
		bitutil.CopyBitmap(bits, at, n, mine, had)
	} else {
		bitutil.SetBitsTo(mine, int64(had), int64(n), true)
	}
	to.nulls += int64(nulls)
}

// values appends texts or bytes, whose offsets are given.
func values[T int32 | int64](b *body, a arrow.ArrayData, o []T) {
	first, last := lengths(b.data, b.next(), o)
	r := b.next()
	if last > first {
		copy(b.data[r.at+r.size:], a.Buffers()[2].Bytes()[first:last])
	}
	r.size += int(last - first)
}

// lengths appends offsets to those of a region, and returns where their values begin and end in the array that they come from.
func lengths[T int32 | int64](data []byte, r *region, o []T) (first, last T) {
	size := int(unsafe.Sizeof(T(0)))
	if r.size == 0 {
		clear(data[r.at : r.at+size])
		r.size = size
	}
	end := unsafe.Slice((*T)(unsafe.Pointer(&data[r.at+r.size-size])), len(o))
	move := end[0] - o[0]
	for i, v := range o[1:] {
		end[i+1] = v + move
	}
	r.size += (len(o) - 1) * size
	return o[0], o[len(o)-1]
}

// end settles the buffers: a column without NULLs has no validity.
func (b *body) end() {
	for _, n := range b.nodes {
		if n.nulls == 0 {
			b.regions[n.validity].size = 0
		}
	}
}
