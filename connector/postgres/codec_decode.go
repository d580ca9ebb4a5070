package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/duck"
)

// Postgres counts dates and times from 2000, DuckDB from 1970.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86400 * 1_000_000
)

// What keeps a value from being read, beside pgcopy's errors.
var (
	errForm     = pgcopy.ErrForm
	errTooLate  = errors.New("is outside the range that DuckDB has")
	errInfinite = errors.New("is infinite, which DuckDB's INTERVAL cannot be")
)

// valueError says which of a vector's values could not be read.
type valueError struct {
	row   int
	value []byte // the field's bytes
	err   error
}

func (e *valueError) Error() string { return e.err.Error() }
func (e *valueError) Unwrap() error { return e.err }

// decoder fills the first n values of a vector from the fields whose length words are at offs[0], offs[stride], ... of arena. Texts
// point into the arena. Errors are *valueError.
type decoder func(v duck.Vector, n int, arena []byte, offs []uint32, stride int) error

// newDecoder returns the decoder of the type into the DuckDB type that t.duck() names, or of the raw bytes where it names none.
// Texts are valid UTF-8: the server checks that where its own encoding does not promise it.
func newDecoder(t *pgType) decoder {
	if t.duck() == "" {
		return decodeText(0)
	}
	b := t.base
	switch b.wire {
	case wireBool:
		return values(1, func(p []byte) (bool, error) { return p[0] != 0, nil })
	case wireInt2:
		return values(2, func(p []byte) (uint16, error) { return binary.BigEndian.Uint16(p), nil })
	case wireInt4, wireFloat4, wireOID:
		return values(4, func(p []byte) (uint32, error) { return binary.BigEndian.Uint32(p), nil })
	case wireInt8, wireFloat8, wireXid8, wireTime:
		return values(8, func(p []byte) (uint64, error) { return binary.BigEndian.Uint64(p), nil })
	case wireNumeric:
		return decodeNumeric(b.typmod)
	case wireJSONB:
		return decodeText(1)
	case wireText, wireBytea:
		return decodeText(0)
	case wireChar:
		return decodeChar
	case wireDate:
		return values(4, decodeDate)
	case wireTimetz:
		return values(12, decodeTimetz)
	case wireTimestamp, wireTimestamptz:
		return values(8, decodeTimestamp)
	case wireInterval:
		return values(16, decodeInterval)
	case wireUUID:
		return values(16, func(p []byte) (duck.HugeInt, error) {
			return duck.HugeInt{Upper: int64(binary.BigEndian.Uint64(p) ^ 1<<63), Lower: binary.BigEndian.Uint64(p[8:])}, nil
		})
	case wireArray:
		return decodeList(newDecoder(b.element()))
	}
	return decodeText(0)
}

// nulls sets bits of a vector's mask, made on the first NULL.
type nulls struct {
	v    duck.Vector
	n    int
	mask []uint64
}

func (m *nulls) set(i int) {
	if m.mask == nil {
		m.mask = m.v.WritableMaskN(max(m.n, duck.VectorSize))
	}
	duck.SetNull(m.mask, i)
}

// anySize is the size of values that come in many.
const anySize = -1

// values decodes values of one size one by one.
func values[T any](size int, read func([]byte) (T, error)) decoder {
	return func(v duck.Vector, n int, arena []byte, offs []uint32, stride int) error {
		out := duck.DataN[T](v, n)
		mask := nulls{v: v, n: n}
		for i := range out {
			p, null := pgcopy.Field(arena, offs[i*stride])
			if null {
				mask.set(i)
				continue
			}
			if size != anySize && len(p) != size {
				return &valueError{i, p, errForm}
			}
			value, err := read(p)
			if err != nil {
				return &valueError{i, p, err}
			}
			out[i] = value
		}
		return nil
	}
}

// decodeText decodes bytes behind so many of a prefix (jsonb's version, which is 1).
func decodeText(prefix int) decoder {
	return func(v duck.Vector, n int, arena []byte, offs []uint32, stride int) error {
		out := duck.DataN[duck.String](v, n)
		mask := nulls{v: v, n: n}
		for i := range out {
			p, null := pgcopy.Field(arena, offs[i*stride])
			if null {
				mask.set(i)
				continue
			}
			if prefix > 0 {
				if len(p) == 0 || p[0] != 1 {
					return &valueError{i, p, errForm}
				}
				p = p[1:]
			}
			out[i].Point(p)
		}
		return nil
	}
}

// decodeChar decodes the type "char", as charout writes it: the byte, nothing for zero, three octal digits above ASCII.
func decodeChar(v duck.Vector, n int, arena []byte, offs []uint32, stride int) error {
	out := duck.DataN[duck.String](v, n)
	mask := nulls{v: v, n: n}
	var text [4]byte
	for i := range out {
		p, null := pgcopy.Field(arena, offs[i*stride])
		switch {
		case null:
			mask.set(i)
		case len(p) != 1:
			return &valueError{i, p, errForm}
		case p[0] == 0:
			out[i].Point(nil)
		case p[0] < 0x80:
			out[i].Point(p)
		default:
			text = [4]byte{'\\', '0' + p[0]>>6, '0' + p[0]>>3&7, '0' + p[0]&7}
			out[i].Point(text[:])
		}
	}
	return nil
}

func decodeDate(p []byte) (int32, error) {
	switch d := int32(binary.BigEndian.Uint32(p)); {
	case d == math.MaxInt32:
		return d, nil
	case d == math.MinInt32:
		return -math.MaxInt32, nil
	case d > math.MaxInt32-1-epochDays:
		return 0, errTooLate
	default:
		return d + epochDays, nil
	}
}

func decodeTimestamp(p []byte) (int64, error) {
	switch t := int64(binary.BigEndian.Uint64(p)); {
	case t == math.MaxInt64:
		return t, nil
	case t == math.MinInt64:
		return -math.MaxInt64, nil
	case t > math.MaxInt64-1-epochMicros:
		return 0, errTooLate
	default:
		return t + epochMicros, nil
	}
}

// maxOffset is the greatest offset from UTC in DuckDB's TIME WITH TIME ZONE, in seconds.
const maxOffset = 16*3600 - 1

// decodeTimetz turns microseconds and seconds west of UTC into DuckDB's dtime_tz_t: 40 bits of microseconds, 24 of offset, which
// count down.
func decodeTimetz(p []byte) (uint64, error) {
	micros, west := binary.BigEndian.Uint64(p), int32(binary.BigEndian.Uint32(p[8:]))
	if micros > 86400*1_000_000 || west > maxOffset || west < -maxOffset {
		return 0, errTooLate
	}
	return micros<<24 | uint64(maxOffset+west), nil
}

func decodeInterval(p []byte) (duck.Interval, error) {
	d := duck.Interval{
		Micros: int64(binary.BigEndian.Uint64(p)),
		Days:   int32(binary.BigEndian.Uint32(p[8:])),
		Months: int32(binary.BigEndian.Uint32(p[12:])),
	}
	if d == (duck.Interval{Micros: math.MaxInt64, Days: math.MaxInt32, Months: math.MaxInt32}) ||
		d == (duck.Interval{Micros: math.MinInt64, Days: math.MinInt32, Months: math.MinInt32}) {
		return d, errInfinite
	}
	return d, nil
}

// decodeNumeric decodes a numeric into the DECIMAL that its modifier has in pgType.duck.
func decodeNumeric(typmod int32) decoder {
	digits, scale := decimalOf(typmod)
	narrow := func(d pgcopy.Decimal) int64 {
		if d.Neg {
			return -int64(d.Lo)
		}
		return int64(d.Lo)
	}
	switch {
	case digits <= 4:
		return decodeDecimal(digits, scale, func(d pgcopy.Decimal) int16 { return int16(narrow(d)) })
	case digits <= 9:
		return decodeDecimal(digits, scale, func(d pgcopy.Decimal) int32 { return int32(narrow(d)) })
	case digits <= 18:
		return decodeDecimal(digits, scale, narrow)
	}
	return decodeDecimal(digits, scale, func(d pgcopy.Decimal) duck.HugeInt {
		hi, lo := d.Signed()
		return duck.HugeInt{Lower: lo, Upper: hi}
	})
}

func decodeDecimal[T any](digits, scale int, narrow func(pgcopy.Decimal) T) decoder {
	return values(anySize, func(p []byte) (T, error) {
		d, err := pgcopy.DecodeNumeric(p, digits, scale)
		return narrow(d), err
	})
}

// decodeList decodes arrays of one dimension.
func decodeList(elem decoder) decoder {
	var elems []uint32
	return func(v duck.Vector, n int, arena []byte, offs []uint32, stride int) error {
		out := duck.DataN[duck.ListEntry](v, n)
		mask := nulls{v: v, n: n}
		elems = elems[:0]
		for i := range out {
			p, null := pgcopy.Field(arena, offs[i*stride])
			if null {
				mask.set(i)
				out[i] = duck.ListEntry{Offset: uint64(len(elems))}
				continue
			}
			before := len(elems)
			var err error
			if elems, err = pgcopy.AppendElements(elems, arena, offs[i*stride]); err != nil {
				return &valueError{i, p, err}
			}
			out[i] = duck.ListEntry{Offset: uint64(before), Length: uint64(len(elems) - before)}
		}
		v.GrowChild(len(elems))
		if err := elem(v.Child(), len(elems), arena, elems, 1); err != nil {
			var e *valueError
			if errors.As(err, &e) {
				for i := range out { // the row that the element is in
					if uint64(e.row) < out[i].Offset+out[i].Length {
						return &valueError{i, e.value, fmt.Errorf("has an element that %w", e.err)}
					}
				}
			}
			return err
		}
		return nil
	}
}
