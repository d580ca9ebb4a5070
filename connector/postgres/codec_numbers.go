package postgres

import (
	"math"

	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/duck"
)

type integer interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

// intEncoder encodes integers into any of Postgres's integers that holds the value, or a numeric. It returns nil for other types.
func intEncoder[T integer](t *pgType) encoder {
	switch t.wire {
	case wireInt2:
		return fixedValue(func(dst []byte, v T) ([]byte, error) {
			if int64(v) < math.MinInt16 || v > 0 && uint64(v) > math.MaxInt16 {
				return dst, errOverflow
			}
			return put2(dst, uint16(v)), nil
		})
	case wireInt4:
		return fixedValue(func(dst []byte, v T) ([]byte, error) {
			if int64(v) < math.MinInt32 || v > 0 && uint64(v) > math.MaxInt32 {
				return dst, errOverflow
			}
			return put4(dst, uint32(v)), nil
		})
	case wireInt8:
		return fixedValue(func(dst []byte, v T) ([]byte, error) {
			if v > 0 && uint64(v) > math.MaxInt64 {
				return dst, errOverflow
			}
			return put8(dst, uint64(v)), nil
		})
	case wireOID:
		return fixedValue(func(dst []byte, v T) ([]byte, error) {
			if v < 0 || uint64(v) > math.MaxUint32 {
				return dst, errOverflow
			}
			return put4(dst, uint32(v)), nil
		})
	case wireXid8:
		return fixedValue(func(dst []byte, v T) ([]byte, error) {
			if v < 0 {
				return dst, errOverflow
			}
			return put8(dst, uint64(v)), nil
		})
	case wireNumeric:
		return fixedValue(func(dst []byte, v T) ([]byte, error) {
			d := pgcopy.Decimal{Neg: v < 0, Lo: uint64(v)}
			if d.Neg {
				d.Lo = -uint64(int64(v))
			}
			return pgcopy.AppendNumeric(dst, d, 0, false), nil
		})
	}
	return nil
}

// hugeEncoder encodes 128-bit integers.
func hugeEncoder(t *pgType, signed bool) encoder {
	decimal := func(v duck.HugeInt) pgcopy.Decimal {
		if signed {
			return pgcopy.FromSigned(v.Upper, v.Lower)
		}
		return pgcopy.Decimal{Hi: uint64(v.Upper), Lo: v.Lower}
	}
	if t.wire == wireNumeric {
		return fixedValue(func(dst []byte, v duck.HugeInt) ([]byte, error) {
			return pgcopy.AppendNumeric(dst, decimal(v), 0, false), nil
		})
	}
	narrow := intEncoder[int64](t)
	if narrow == nil {
		return nil
	}
	e := narrow.(*valueEncoder[int64])
	return fixedValue(func(dst []byte, v duck.HugeInt) ([]byte, error) {
		d := decimal(v)
		x := int64(d.Lo)
		if d.Neg {
			x = -x
		}
		if d.Hi != 0 || x != 0 && (x < 0) != d.Neg {
			return dst, errOverflow
		}
		return e.put(dst, &x)
	})
}

// decimalEncoder encodes the layouts that DECIMAL(digits,scale) has. Where both ends are a numeric without a scale, as it is read, a value
// gets no more digits behind the point than it needs.
func decimalEncoder(digits, scale int, typmod int32) encoder {
	_, _, fixedScale := precision(typmod)
	trim := !fixedScale && digits == maxDecimal && scale == freeScale
	small := func(dst []byte, v int64) ([]byte, error) {
		d := pgcopy.Decimal{Neg: v < 0, Lo: uint64(v)}
		if d.Neg {
			d.Lo = -d.Lo
		}
		return pgcopy.AppendNumeric(dst, d, scale, trim), nil
	}
	switch {
	case digits <= 4:
		return fixedValue(func(dst []byte, v int16) ([]byte, error) { return small(dst, int64(v)) })
	case digits <= 9:
		return fixedValue(func(dst []byte, v int32) ([]byte, error) { return small(dst, int64(v)) })
	case digits <= 18:
		return fixedValue(small)
	}
	return fixedValue(func(dst []byte, v duck.HugeInt) ([]byte, error) {
		return pgcopy.AppendNumeric(dst, pgcopy.FromSigned(v.Upper, v.Lower), scale, trim), nil
	})
}
