package pgcopy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// The sign words of a numeric (src/backend/utils/adt/numeric.c).
const (
	numericPos  = 0x0000
	numericNeg  = 0x4000
	numericNaN  = 0xc000
	numericPInf = 0xd000
	numericNInf = 0xf000
)

// What keeps a numeric from being a decimal.
var (
	ErrNaN      = errors.New("is NaN")
	ErrInfinite = errors.New("is infinite")
	ErrInexact  = errors.New("has more digits behind the point than the column is read with")
	ErrRange    = errors.New("has more digits than the column is read with")
	ErrForm     = errors.New("is not in the form that the type has")
)

// Decimal is a decimal's unscaled value: sign and 128-bit magnitude.
type Decimal struct {
	Neg    bool
	Hi, Lo uint64
}

// Signed returns d as a two's-complement 128-bit number. d must be below 2^127.
func (d Decimal) Signed() (hi int64, lo uint64) {
	if !d.Neg {
		return int64(d.Hi), d.Lo
	}
	lo, borrow := bits.Sub64(0, d.Lo, 0)
	h, _ := bits.Sub64(0, d.Hi, borrow)
	return int64(h), lo
}

// FromSigned returns the decimal of a two's-complement 128-bit number.
func FromSigned(hi int64, lo uint64) Decimal {
	if hi >= 0 {
		return Decimal{Hi: uint64(hi), Lo: lo}
	}
	l, borrow := bits.Sub64(0, lo, 0)
	h, _ := bits.Sub64(0, uint64(hi), borrow)
	return Decimal{Neg: true, Hi: h, Lo: l}
}

// muladd returns d*m+a; ok is false where that exceeds 128 bits.
func (d Decimal) muladd(m, a uint64) (Decimal, bool) {
	over, hi := bits.Mul64(d.Hi, m)
	carry, lo := bits.Mul64(d.Lo, m)
	hi, c1 := bits.Add64(hi, carry, 0)
	lo, c := bits.Add64(lo, a, 0)
	hi, c2 := bits.Add64(hi, 0, c)
	d.Hi, d.Lo = hi, lo
	return d, over == 0 && c1 == 0 && c2 == 0
}

// div returns d/m and the remainder.
func (d Decimal) div(m uint64) (Decimal, uint64) {
	var r uint64
	if d.Hi != 0 {
		d.Hi, r = d.Hi/m, d.Hi%m
		d.Lo, r = bits.Div64(r, d.Lo, m)
		return d, r
	}
	d.Lo, r = d.Lo/m, d.Lo%m
	return d, r
}

// less reports whether d's magnitude is below e's.
func (d Decimal) less(e Decimal) bool { return d.Hi < e.Hi || d.Hi == e.Hi && d.Lo < e.Lo }

// pow10 are the powers of ten below 2^64.
var pow10 = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// power returns 10^n for n up to 38.
func power(n int) Decimal {
	if n < len(pow10) {
		return Decimal{Lo: pow10[n]}
	}
	hi, lo := bits.Mul64(pow10[19], pow10[n-19])
	return Decimal{Hi: hi, Lo: lo}
}

// DecodeNumeric reads a numeric as a decimal of so many digits (up to 38), scale of them behind the point. It never rounds: what
// does not fit is an error.
func DecodeNumeric(p []byte, digits, scale int) (Decimal, error) {
	if len(p) < 8 {
		return Decimal{}, ErrForm
	}
	n := int(binary.BigEndian.Uint16(p))
	weight := int(int16(binary.BigEndian.Uint16(p[2:])))
	switch binary.BigEndian.Uint16(p[4:]) {
	case numericPos, numericNeg:
	case numericNaN:
		return Decimal{}, ErrNaN
	case numericPInf, numericNInf:
		return Decimal{}, ErrInfinite
	default:
		return Decimal{}, ErrForm
	}
	if len(p) != 8+2*n {
		return Decimal{}, ErrForm
	}
	d := Decimal{Neg: p[4] == numericNeg>>8}
	groups := p[8:]
	for n > 0 && groups[2*n-1] == 0 && groups[2*n-2] == 0 {
		n--
	}
	if n == 0 {
		return Decimal{}, nil
	}
	// The last group counts in units of 10^(4*(weight-n+1)).
	exp := 4*(weight-n+1) + scale
	if exp < -3 {
		return Decimal{}, ErrInexact
	}
	var ok bool
	for i := range n {
		g := uint64(binary.BigEndian.Uint16(groups[2*i:]))
		if g >= 10000 {
			return Decimal{}, ErrForm
		}
		m := uint64(10000)
		if i == n-1 && exp < 0 {
			if g%pow10[-exp] != 0 {
				return Decimal{}, ErrInexact
			}
			g, m = g/pow10[-exp], pow10[4+exp]
		}
		if d, ok = d.muladd(m, g); !ok {
			return Decimal{}, ErrRange
		}
	}
	for exp > 0 {
		k := min(exp, 19)
		if d, ok = d.muladd(pow10[k], 0); !ok {
			return Decimal{}, ErrRange
		}
		exp -= k
		if d.Hi == 0 && d.Lo == 0 {
			break // leading groups of zero, which no server writes
		}
	}
	if !d.less(power(digits)) {
		return Decimal{}, ErrRange
	}
	return d, nil
}

// AppendNumeric appends the field of d / 10^scale as numeric_send writes it, with scale digits behind the point; trim drops the
// zeros at their end.
func AppendNumeric(dst []byte, d Decimal, scale int, trim bool) []byte {
	if trim {
		for scale > 0 {
			q, r := d.div(10)
			if r != 0 {
				break
			}
			d, scale = q, scale-1
		}
	}
	shown := scale
	// Groups of four digits, the least first. The fraction's last group is filled up with zeros.
	var groups [12]uint16
	n, frac := 0, 0
	if k := scale % 4; k != 0 {
		var r uint64
		d, r = d.div(pow10[k])
		groups[0] = uint16(r * pow10[4-k])
		n, frac = 1, 1
	}
	frac += scale / 4
	for d.Hi != 0 || d.Lo != 0 {
		var r uint64
		d, r = d.div(10000)
		groups[n] = uint16(r)
		n++
	}
	first := 0
	for first < n && groups[first] == 0 {
		first++
	}
	for n > first && groups[n-1] == 0 {
		n--
	}
	weight, sign := n-frac-1, uint16(numericPos)
	if n == first {
		weight = 0
	} else if d.Neg {
		sign = numericNeg
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(8+2*(n-first)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(n-first))
	dst = binary.BigEndian.AppendUint16(dst, uint16(int16(weight)))
	dst = binary.BigEndian.AppendUint16(dst, sign)
	dst = binary.BigEndian.AppendUint16(dst, uint16(shown))
	for i := n - 1; i >= first; i-- {
		dst = binary.BigEndian.AppendUint16(dst, groups[i])
	}
	return dst
}

// textDigits bounds NumericText.
const textDigits = 60

// NumericText returns a numeric's decimal text for a message, cut after some digits.
func NumericText(p []byte) string {
	if len(p) < 8 {
		return ""
	}
	n, weight := int(binary.BigEndian.Uint16(p)), int(int16(binary.BigEndian.Uint16(p[2:])))
	scale := int(binary.BigEndian.Uint16(p[6:]))
	text := ""
	switch binary.BigEndian.Uint16(p[4:]) {
	case numericNaN:
		return "NaN"
	case numericPInf:
		return "Infinity"
	case numericNInf:
		return "-Infinity"
	case numericNeg:
		text = "-"
	}
	n = min(n, (len(p)-8)/2)
	group := func(i int) string { // the i-th group of four digits behind the first
		if i < 0 || i >= n {
			return "0000"
		}
		return fmt.Sprintf("%04d", binary.BigEndian.Uint16(p[8+2*i:]))
	}
	whole := ""
	for i := 0; i <= weight && len(whole) < textDigits; i++ {
		whole += group(i)
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	text += whole
	if weight >= textDigits/4 {
		return text + "…"
	}
	if scale == 0 {
		return text
	}
	frac := ""
	for i := weight + 1; len(frac) < min(scale, textDigits); i++ {
		frac += group(i)
	}
	return text + "." + frac[:min(scale, textDigits)]
}
