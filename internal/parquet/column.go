package parquet

import (
	"fmt"
	"strings"
)

// Physical types (parquet.thrift, Type).
const (
	physBoolean = 0
	physInt32   = 1
	physInt64   = 2
	physFloat   = 4
	physDouble  = 5
	physBytes   = 6
	physFixed   = 7
)

// order is how a column's values compare, for its statistics (parquet.thrift, ColumnOrder: TypeDefinedOrder).
type order byte

const (
	signed order = iota
	unsigned
	floats
	doubles
	bytewise
	decimalwise // big-endian two's complement
)

// logical is what a column's values mean beyond their physical type.
type logical struct {
	converted int32 // parquet.thrift, ConvertedType; -1: none
	// write writes the field of a LogicalType, or is nil.
	write func(t *thrift)
}

// Column is a column of the files.
type Column struct {
	// Name is the column's name in the files.
	Name string
	// Cast is the DuckDB type that its vectors must have: the column's own, or the one that Parquet can hold.
	Cast string

	phys             int32
	src              int // bytes of a value in DuckDB's vector
	width            int // bytes of a staged value; texts are staged as 8 bytes each, or as PLAIN
	order            order
	extend           bool // a narrow integer with a sign
	uuid             bool
	logical          logical
	precision, scale int32
}

// NewColumn returns the column for a DuckDB type, with the same types in the file as DuckDB's own COPY writes. ok is false for what this package
// does not write: nested types, and plain ones that Parquet cannot hold.
func NewColumn(name, typ string) (c Column, ok bool) {
	c = Column{Name: name, Cast: typ, logical: logical{converted: -1}}
	switch {
	case strings.HasSuffix(typ, "]"):
		return c, false
	case strings.HasPrefix(typ, "ENUM("):
		c.Cast, typ = "VARCHAR", "VARCHAR"
	case typ == "TIMESTAMP_S":
		c.Cast, typ = "TIMESTAMP", "TIMESTAMP"
	case strings.HasPrefix(typ, "DECIMAL("):
		return c, c.decimal()
	}
	integer := func(src, phys, converted int, unsig bool) {
		c.src, c.width, c.phys, c.extend = src, 4, int32(phys), !unsig
		if phys == physInt64 {
			c.width = 8
		}
		if unsig {
			c.order = unsigned
		}
		c.logical = logical{int32(converted), func(t *thrift) {
			t.structure(10) // INTEGER
			t.i8(1, int8(src*8))
			t.boolean(2, !unsig)
			t.end()
		}}
	}
	instant := func(converted int32, kind int16, unit int16, utc bool) {
		c.phys, c.src, c.width = physInt64, 8, 8
		c.logical = logical{converted, func(t *thrift) {
			t.structure(kind)
			t.boolean(1, utc)
			t.structure(2)
			t.empty(unit)
			t.end()
			t.end()
		}}
	}
	text := func(converted int32, kind int16) {
		c.phys, c.src, c.width, c.order = physBytes, 16, 8, bytewise
		c.logical.converted = converted
		if kind > 0 {
			c.logical.write = func(t *thrift) { t.empty(kind) }
		}
	}
	switch typ {
	case "BOOLEAN":
		c.phys, c.src, c.width, c.order = physBoolean, 1, 1, unsigned
	case "TINYINT":
		integer(1, physInt32, 15, false)
	case "SMALLINT":
		integer(2, physInt32, 16, false)
	case "INTEGER":
		integer(4, physInt32, 17, false)
	case "BIGINT":
		integer(8, physInt64, 18, false)
	case "UTINYINT":
		integer(1, physInt32, 11, true)
	case "USMALLINT":
		integer(2, physInt32, 12, true)
	case "UINTEGER":
		integer(4, physInt32, 13, true)
	case "UBIGINT":
		integer(8, physInt64, 14, true)
	case "FLOAT":
		c.phys, c.src, c.width, c.order = physFloat, 4, 4, floats
	case "DOUBLE":
		c.phys, c.src, c.width, c.order = physDouble, 8, 8, doubles
	case "DATE":
		c.phys, c.src, c.width = physInt32, 4, 4
		c.logical = logical{6, func(t *thrift) { t.empty(6) }}
	case "TIME":
		instant(8, 7, 2, false)
	case "TIMESTAMP":
		instant(10, 8, 2, false)
	case "TIMESTAMP_MS":
		instant(9, 8, 1, false)
	case "TIMESTAMP_NS":
		instant(-1, 8, 3, false)
	case "TIMESTAMP WITH TIME ZONE":
		instant(10, 8, 2, true)
	case "VARCHAR":
		text(0, 1)
	case "JSON":
		text(19, 12)
	case "BLOB":
		text(-1, 0)
	case "UUID":
		c.phys, c.src, c.width, c.order, c.uuid = physFixed, 16, 16, bytewise, true
		c.logical.write = func(t *thrift) { t.empty(14) }
	default:
		return c, false
	}
	return c, true
}

// decimal makes c a DECIMAL(p,s), which DuckDB holds in the smallest of 2, 4, 8 and 16 bytes.
func (c *Column) decimal() bool {
	if n, err := fmt.Sscanf(c.Cast, "DECIMAL(%d,%d)", &c.precision, &c.scale); n != 2 || err != nil {
		return false
	}
	switch {
	case c.precision <= 4:
		c.phys, c.src, c.width, c.extend = physInt32, 2, 4, true
	case c.precision <= 9:
		c.phys, c.src, c.width = physInt32, 4, 4
	case c.precision <= 18:
		c.phys, c.src, c.width = physInt64, 8, 8
	default:
		c.phys, c.src, c.width, c.order = physFixed, 16, 16, decimalwise
	}
	precision, scale := c.precision, c.scale
	c.logical = logical{5, func(t *thrift) {
		t.structure(5)
		t.i32(1, scale)
		t.i32(2, precision)
		t.end()
	}}
	return true
}

// text reports whether values are staged as texts.
func (c *Column) text() bool { return c.phys == physBytes }

// element writes the column's SchemaElement.
func (c *Column) element(t *thrift) {
	t.begin()
	t.i32(1, c.phys)
	if c.phys == physFixed {
		t.i32(2, 16)
	}
	t.i32(3, 1) // OPTIONAL
	t.text(4, c.Name)
	if c.logical.converted >= 0 {
		t.i32(6, c.logical.converted)
	}
	if c.precision > 0 {
		t.i32(7, c.scale)
		t.i32(8, c.precision)
	}
	if c.logical.write != nil {
		t.structure(10)
		c.logical.write(t)
		t.end()
	}
	t.end()
}
