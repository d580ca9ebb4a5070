package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/duck"
)

// What keeps a value from being stored. The first two have SQLSTATEs of their own.
var (
	errOverflow = errors.New("is out of range")
	errNUL      = errors.New("has a zero byte, which no Postgres text can hold")
	errChar     = errors.New(`is longer than the type "char"`)
)

// encoder appends the values of one column as fields. bind sets the vector of n values that append then reads.
type encoder interface {
	bind(v duck.Vector, n int)
	append(dst []byte, i int) ([]byte, error)
}

// castable reports whether load can store values of a DuckDB type in a column of type t. Where same is true the values are of that
// very type; else they are checked, or extended, one by one.
func castable(duckType string, t *pgType) (same, ok bool) {
	_, _, err := newEncoder(duckType, t)
	return duckType == t.duck(), err == nil
}

// newEncoder returns the encoder of a DuckDB type into the form of t, and the DuckDB type that the values must be cast to first ("" for
// none). A DuckDB type of "" is the raw bytes of a column of t's own form.
func newEncoder(duckType string, t *pgType) (enc encoder, cast string, err error) {
	b := t.base
	if duckType == "" {
		return rawEncoder(b), "", nil
	}
	switch {
	case strings.HasPrefix(duckType, "ENUM("):
		duckType, cast = "VARCHAR", "VARCHAR"
	case duckType == "TIMESTAMP_S" || duckType == "TIMESTAMP_MS":
		duckType, cast = "TIMESTAMP", "TIMESTAMP"
	}
	if elem, ok := elementType(duckType); ok {
		if b.wire != wireArray || !strings.HasSuffix(duckType, "[]") {
			return nil, "", errNoEncoder(duckType, b)
		}
		of := b.element()
		inner, elemCast, err := newEncoder(elem, of)
		if err != nil || of.base.wire == wireArray {
			return nil, "", errNoEncoder(duckType, b)
		}
		if elemCast != "" {
			cast = elemCast + "[]"
		}
		return &listEncoder{elem: inner, oid: b.elem.oid}, cast, nil
	}
	if enc = scalarEncoder(duckType, b); enc == nil {
		return nil, "", errNoEncoder(duckType, b)
	}
	return enc, cast, nil
}

func errNoEncoder(duckType string, t *pgType) error {
	return fmt.Errorf("%s cannot be stored as %s", duckType, t.name)
}

// scalarEncoder returns nil where there is no encoder.
func scalarEncoder(duckType string, t *pgType) encoder {
	if scale, digits, ok := decimalType(duckType); ok {
		if t.wire != wireNumeric {
			return nil
		}
		return decimalEncoder(digits, scale, t.typmod)
	}
	switch duckType {
	case "BOOLEAN":
		if t.wire == wireBool {
			return fixedValue(func(dst []byte, v bool) ([]byte, error) {
				if v {
					return append(dst, 0, 0, 0, 1, 1), nil
				}
				return append(dst, 0, 0, 0, 1, 0), nil
			})
		}
	case "TINYINT":
		return intEncoder[int8](t)
	case "SMALLINT":
		return intEncoder[int16](t)
	case "INTEGER":
		return intEncoder[int32](t)
	case "BIGINT":
		return intEncoder[int64](t)
	case "UTINYINT":
		return intEncoder[uint8](t)
	case "USMALLINT":
		return intEncoder[uint16](t)
	case "UINTEGER":
		return intEncoder[uint32](t)
	case "UBIGINT":
		return intEncoder[uint64](t)
	case "HUGEINT", "UHUGEINT":
		return hugeEncoder(t, duckType == "HUGEINT")
	case "FLOAT":
		switch t.wire {
		case wireFloat4:
			return fixedValue(func(dst []byte, v uint32) ([]byte, error) { return put4(dst, v), nil })
		case wireFloat8:
			return fixedValue(func(dst []byte, v float32) ([]byte, error) { return put8(dst, math.Float64bits(float64(v))), nil })
		}
	case "DOUBLE":
		if t.wire == wireFloat8 {
			return fixedValue(func(dst []byte, v uint64) ([]byte, error) { return put8(dst, v), nil })
		}
	case "VARCHAR", "JSON":
		return textEncoder(t)
	case "BLOB":
		if t.wire == wireBytea {
			return fixedValue(putBytes)
		}
	case "UUID":
		if t.wire == wireUUID {
			return fixedValue(func(dst []byte, v duck.HugeInt) ([]byte, error) {
				dst = append(dst, 0, 0, 0, 16)
				dst = binary.BigEndian.AppendUint64(dst, uint64(v.Upper)^1<<63)
				return binary.BigEndian.AppendUint64(dst, v.Lower), nil
			})
		}
	default:
		return temporalEncoder(duckType, t)
	}
	return nil
}

func temporalEncoder(duckType string, t *pgType) encoder {
	switch {
	case duckType == "DATE" && t.wire == wireDate:
		return fixedValue(encodeDate)
	case duckType == "TIME" && t.wire == wireTime:
		return fixedValue(func(dst []byte, v uint64) ([]byte, error) { return put8(dst, v), nil })
	case duckType == "TIME WITH TIME ZONE" && t.wire == wireTimetz:
		return fixedValue(func(dst []byte, v uint64) ([]byte, error) {
			dst = append(dst, 0, 0, 0, 12)
			dst = binary.BigEndian.AppendUint64(dst, v>>24)
			return binary.BigEndian.AppendUint32(dst, uint32(int32(v&0xffffff)-maxOffset)), nil
		})
	case duckType == "TIMESTAMP" && t.wire == wireTimestamp, duckType == "TIMESTAMP WITH TIME ZONE" && t.wire == wireTimestamptz:
		return fixedValue(encodeTimestamp)
	case duckType == "INTERVAL" && t.wire == wireInterval:
		return fixedValue(func(dst []byte, v duck.Interval) ([]byte, error) {
			dst = append(dst, 0, 0, 0, 16)
			dst = binary.BigEndian.AppendUint64(dst, uint64(v.Micros))
			dst = binary.BigEndian.AppendUint32(dst, uint32(v.Days))
			return binary.BigEndian.AppendUint32(dst, uint32(v.Months)), nil
		})
	}
	return nil
}

// decimalType reads "DECIMAL(12,2)".
func decimalType(name string) (scale, digits int, ok bool) {
	rest, ok := strings.CutPrefix(name, "DECIMAL(")
	if !ok {
		return 0, 0, false
	}
	d, s, _ := strings.Cut(strings.TrimSuffix(rest, ")"), ",")
	digits, err1 := strconv.Atoi(d)
	scale, err2 := strconv.Atoi(strings.TrimSpace(s))
	return scale, digits, err1 == nil && err2 == nil
}

// valueEncoder encodes values of one layout.
type valueEncoder[T any] struct {
	data []T
	mask []uint64
	put  func(dst []byte, v *T) ([]byte, error)
}

// fixedValue makes an encoder of a function that appends a value, length word included.
func fixedValue[T any](put func([]byte, T) ([]byte, error)) encoder {
	return &valueEncoder[T]{put: func(dst []byte, v *T) ([]byte, error) { return put(dst, *v) }}
}

func (e *valueEncoder[T]) bind(v duck.Vector, n int) {
	e.data, e.mask = duck.DataN[T](v, n), v.MaskN(n)
}

func (e *valueEncoder[T]) append(dst []byte, i int) ([]byte, error) {
	if !duck.Valid(e.mask, i) {
		return pgcopy.AppendNull(dst), nil
	}
	return e.put(dst, &e.data[i])
}

func put2(dst []byte, v uint16) []byte { return append(dst, 0, 0, 0, 2, byte(v>>8), byte(v)) }

func put4(dst []byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0, 0, 0, 4), v)
}

func put8(dst []byte, v uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), v)
}

func putBytes(dst []byte, v duck.String) ([]byte, error) {
	return pgcopy.AppendBytes(dst, v.Bytes()), nil
}

// rawEncoder moves bytes that are in t's form already.
func rawEncoder(t *pgType) encoder {
	return fixedValue(func(dst []byte, v duck.String) ([]byte, error) {
		start := len(dst)
		dst = pgcopy.AppendBytes(dst, v.Bytes())
		if t.wire == wireArray {
			pgcopy.SetElement(dst, start, t.elem.oid)
		}
		return dst, nil
	})
}

// textEncoder returns the encoder of texts into the forms that hold one.
func textEncoder(t *pgType) encoder {
	switch t.wire {
	case wireText:
		return fixedValue(func(dst []byte, v duck.String) ([]byte, error) {
			p := v.Bytes()
			if bytes.IndexByte(p, 0) >= 0 {
				return dst, errNUL
			}
			return pgcopy.AppendBytes(dst, p), nil
		})
	case wireJSONB:
		return fixedValue(func(dst []byte, v duck.String) ([]byte, error) {
			p := v.Bytes()
			if bytes.IndexByte(p, 0) >= 0 {
				return dst, errNUL
			}
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(p)+1))
			return append(append(dst, 1), p...), nil
		})
	case wireChar:
		return fixedValue(encodeChar)
	}
	return nil
}

// encodeChar reads a text as charin does, but for texts that it would cut.
func encodeChar(dst []byte, v duck.String) ([]byte, error) {
	p := v.Bytes()
	var c byte
	switch {
	case len(p) == 1:
		c = p[0]
	case len(p) == 4 && p[0] == '\\':
		n, err := strconv.ParseUint(string(p[1:]), 8, 8)
		if err != nil {
			return dst, errChar
		}
		c = byte(n)
	case len(p) > 1:
		return dst, errChar
	}
	return append(dst, 0, 0, 0, 1, c), nil
}

func encodeDate(dst []byte, d int32) ([]byte, error) {
	switch {
	case d == math.MaxInt32:
	case d == -math.MaxInt32:
		d = math.MinInt32
	case d < math.MinInt32+1+epochDays:
		return dst, errOverflow
	default:
		d -= epochDays
	}
	return put4(dst, uint32(d)), nil
}

func encodeTimestamp(dst []byte, t int64) ([]byte, error) {
	switch {
	case t == math.MaxInt64:
	case t == -math.MaxInt64:
		t = math.MinInt64
	case t < math.MinInt64+1+epochMicros:
		return dst, errOverflow
	default:
		t -= epochMicros
	}
	return put8(dst, uint64(t)), nil
}

// listEncoder encodes lists as arrays of one dimension.
type listEncoder struct {
	elem    encoder
	oid     uint32
	entries []duck.ListEntry
	mask    []uint64
	child   []uint64 // the elements' mask
}

func (e *listEncoder) bind(v duck.Vector, n int) {
	e.entries, e.mask = duck.DataN[duck.ListEntry](v, n), v.MaskN(n)
	size := v.ChildSize()
	e.child = v.Child().MaskN(size)
	e.elem.bind(v.Child(), size)
}

func (e *listEncoder) append(dst []byte, i int) ([]byte, error) {
	if !duck.Valid(e.mask, i) {
		return pgcopy.AppendNull(dst), nil
	}
	from, n := int(e.entries[i].Offset), int(e.entries[i].Length)
	nulls := false
	for k := from; k < from+n && !nulls; k++ {
		nulls = !duck.Valid(e.child, k)
	}
	start := len(dst)
	dst = pgcopy.BeginArray(dst, e.oid, n, nulls)
	for k := from; k < from+n; k++ {
		var err error
		if dst, err = e.elem.append(dst, k); err != nil {
			return dst, fmt.Errorf("has an element that %w", err)
		}
	}
	pgcopy.EndArray(dst, start)
	return dst, nil
}

// encodeError names the column of a value that cannot be stored.
func encodeError(c *column, duckType string, err error) error {
	e := drover.Errorf(drover.Data, "column %s: a value of type %s cannot be stored as %s: it %s", c.name, duckType, c.native, err.Error())
	e.Column, e.Cause = c.name, err
	switch {
	case errors.Is(err, errNUL):
		e.Code, e.Hint = "22021", "remove the zero bytes in a step: replace("+duck.Ident(c.name)+", chr(0), '')"
	case errors.Is(err, errOverflow):
		e.Code = "22003"
	case errors.Is(err, errChar):
		e.Code = "22001"
	}
	return e
}
