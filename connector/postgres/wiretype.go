package postgres

import (
	"fmt"
	"strings"
)

// wire is the form of a value in binary COPY. Postgres's types share few of them: the send function decides, which a domain
// inherits from its base and extensions such as citext from the type that they copy.
type wire uint8

const (
	wireRaw wire = iota // known to Postgres only: moved, never read
	wireBool
	wireInt2
	wireInt4
	wireInt8
	wireFloat4
	wireFloat8
	wireNumeric
	wireText // the bytes of the text: text, varchar, char(n), name, enums, xml, citext, json
	wireChar // "char": one byte
	wireBytea
	wireDate
	wireTime
	wireTimetz
	wireTimestamp
	wireTimestamptz
	wireInterval
	wireUUID
	wireJSONB // a version byte and the text
	wireOID
	wireXid8
	wireArray
)

// The OIDs of types whose name must be known, not only their form: an extension's type may have the form of text and another equality.
const (
	oidText    = 25
	oidVarchar = 1043
)

// wires maps the source name of a type's send function to the form that it writes. The forms are those of PostgreSQL's
// src/backend/utils/adt/*.c.
var wires = map[string]wire{
	"boolsend":         wireBool,
	"int2send":         wireInt2,
	"int4send":         wireInt4,
	"int8send":         wireInt8,
	"float4send":       wireFloat4,
	"float8send":       wireFloat8,
	"numeric_send":     wireNumeric,
	"textsend":         wireText,
	"varcharsend":      wireText,
	"bpcharsend":       wireText,
	"namesend":         wireText,
	"unknownsend":      wireText,
	"enum_send":        wireText,
	"xml_send":         wireText,
	"json_send":        wireText,
	"charsend":         wireChar,
	"byteasend":        wireBytea,
	"date_send":        wireDate,
	"time_send":        wireTime,
	"timetz_send":      wireTimetz,
	"timestamp_send":   wireTimestamp,
	"timestamptz_send": wireTimestamptz,
	"interval_send":    wireInterval,
	"uuid_send":        wireUUID,
	"jsonb_send":       wireJSONB,
	"oidsend":          wireOID,
	"xidsend":          wireOID,
	"cidsend":          wireOID,
	"xid8send":         wireXid8,
	"array_send":       wireArray,
}

// duckTypes are the DuckDB types that carry every value of a form exactly; numeric and arrays depend on more.
var duckTypes = map[wire]string{
	wireBool:        "BOOLEAN",
	wireInt2:        "SMALLINT",
	wireInt4:        "INTEGER",
	wireInt8:        "BIGINT",
	wireFloat4:      "FLOAT",
	wireFloat8:      "DOUBLE",
	wireText:        "VARCHAR",
	wireChar:        "VARCHAR",
	wireBytea:       "BLOB",
	wireDate:        "DATE",
	wireTime:        "TIME",
	wireTimetz:      "TIME WITH TIME ZONE",
	wireTimestamp:   "TIMESTAMP",
	wireTimestamptz: "TIMESTAMP WITH TIME ZONE",
	wireInterval:    "INTERVAL",
	wireUUID:        "UUID",
	wireJSONB:       "JSON",
	wireOID:         "UINTEGER",
	wireXid8:        "UBIGINT",
}

const (
	maxDecimal = 38 // digits of DuckDB's widest DECIMAL
	// freeScale is the scale at which a numeric without precision is read.
	freeScale = 10
)

// pgType is a Postgres type as far as its values' form goes.
type pgType struct {
	oid    uint32
	typmod int32
	// name is the type's name without its modifier, quoted and qualified as SQL needs it: "character varying".
	name string
	// base is what a domain stands for; the type itself otherwise. base.typmod is the effective modifier.
	base *pgType
	// elem is the element type of an array.
	elem *pgType
	// made says of what a range, a composite or a domain, or their array, is made.
	made     string
	wire     wire
	send     string // source name of the send function; "" where the type has none
	receives bool   // the type can be read from binary COPY
	equal    bool   // the type has an equality that GROUP BY can use
	ordered  bool   // the type has an order that ORDER BY can use
	pseudo   bool   // no column of a table can have the type
}

// holds says what the values of a type are, in DuckDB's words where it has a type for them. Types of one name in two databases may differ in it.
func (t *pgType) holds() string {
	if is := t.duck(); is != "" {
		return is
	}
	return t.made
}

// precision returns the digits and the scale of a numeric's modifier; ok is false where it has none. A scale may be negative
// or exceed the precision (PostgreSQL 15).
func precision(typmod int32) (digits, scale int, ok bool) {
	if typmod < 4 {
		return 0, 0, false
	}
	t := typmod - 4
	return int(t>>16) & 0xffff, int((t&0x7ff)^1024) - 1024, true
}

// decimalOf returns the digits and the scale of the DECIMAL that a numeric's modifier stands for. DECIMAL knows neither a negative scale nor
// one beyond its digits.
func decimalOf(typmod int32) (digits, scale int) {
	digits, scale, ok := precision(typmod)
	switch {
	case !ok:
		return maxDecimal, freeScale
	case scale < 0:
		return digits - scale, 0
	}
	return max(digits, scale), scale
}

// element returns the type of an array's elements, with the array's modifier, which is theirs. t is no domain.
func (t *pgType) element() *pgType {
	elem := *t.elem
	if elem.base == t.elem {
		elem.typmod, elem.base = t.typmod, &elem
	}
	return &elem
}

// duck returns the DuckDB type that carries every value of t exactly, or "".
func (t *pgType) duck() string {
	b := t.base
	switch b.wire {
	case wireNumeric:
		digits, scale := decimalOf(b.typmod)
		if digits > maxDecimal {
			return ""
		}
		return fmt.Sprintf("DECIMAL(%d,%d)", digits, scale)
	case wireArray:
		elem := b.element()
		if inner := elem.duck(); inner != "" && elem.base.wire != wireArray {
			return inner + "[]"
		}
		return ""
	case wireText:
		if b.send == "json_send" {
			return "JSON"
		}
	}
	return duckTypes[b.wire]
}

// sameForm reports whether bytes of t are valid and mean the same as bytes of u, but for the element types that arrays
// name in their header.
func (t *pgType) sameForm(u *pgType) bool {
	a, b := t.base, u.base
	if a.wire != b.wire {
		return false
	}
	switch a.wire {
	case wireRaw:
		// Names, but for the schema: each session qualifies what it does not see.
		return a.send == b.send && a.send != "" && a.name[strings.LastIndexByte(a.name, '.')+1:] == b.name[strings.LastIndexByte(b.name, '.')+1:]
	case wireArray:
		return a.elem.sameForm(b.elem)
	}
	return true
}

// castable returns the type's name for a cast of a whole value: without a modifier, which would cut it.
func (t *pgType) castable() string { return t.base.name }
