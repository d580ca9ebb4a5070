package parquet

import "encoding/binary"

// The types of the Thrift compact protocol that Parquet's metadata uses.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI32    = 5
	thriftI64    = 6
	thriftBinary = 8
	thriftList   = 9
	thriftStruct = 12
)

// thrift writes the Thrift compact protocol (apache/thrift, doc/specs/thrift-compact-protocol.md), as far as page headers and footers need it.
type thrift struct {
	b    []byte
	last []int16 // the last field's number, of each open struct
}

func (t *thrift) reset() { t.b, t.last = t.b[:0], t.last[:0] }

// begin opens a struct that no field names: a message, or an element of a list.
func (t *thrift) begin() { t.last = append(t.last, 0) }

func (t *thrift) end() {
	t.b = append(t.b, 0)
	t.last = t.last[:len(t.last)-1]
}

func (t *thrift) zigzag(v int64) { t.b = binary.AppendUvarint(t.b, uint64(v<<1)^uint64(v>>63)) }

func (t *thrift) field(id int16, typ byte) {
	last := &t.last[len(t.last)-1]
	if d := id - *last; d > 0 && d < 16 {
		t.b = append(t.b, byte(d)<<4|typ)
	} else {
		t.b = append(t.b, typ)
		t.zigzag(int64(id))
	}
	*last = id
}

func (t *thrift) structure(id int16) {
	t.field(id, thriftStruct)
	t.begin()
}

// empty is a field that holds a struct without fields.
func (t *thrift) empty(id int16) {
	t.structure(id)
	t.end()
}

func (t *thrift) i32(id int16, v int32) {
	t.field(id, thriftI32)
	t.zigzag(int64(v))
}

func (t *thrift) i64(id int16, v int64) {
	t.field(id, thriftI64)
	t.zigzag(v)
}

func (t *thrift) i8(id int16, v int8) {
	t.field(id, thriftByte)
	t.b = append(t.b, byte(v))
}

func (t *thrift) boolean(id int16, v bool) {
	if v {
		t.field(id, thriftTrue)
	} else {
		t.field(id, thriftFalse)
	}
}

func (t *thrift) binary(id int16, v []byte) {
	t.field(id, thriftBinary)
	t.b = append(binary.AppendUvarint(t.b, uint64(len(v))), v...)
}

func (t *thrift) text(id int16, s string) {
	t.field(id, thriftBinary)
	t.element(s)
}

// element is a text in a list.
func (t *thrift) element(s string) {
	t.b = append(binary.AppendUvarint(t.b, uint64(len(s))), s...)
}

func (t *thrift) list(id int16, typ byte, n int) {
	t.field(id, thriftList)
	if n < 15 {
		t.b = append(t.b, byte(n)<<4|typ)
		return
	}
	t.b = binary.AppendUvarint(append(t.b, 0xf0|typ), uint64(n))
}
