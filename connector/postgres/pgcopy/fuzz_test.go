package pgcopy

import (
	"bytes"
	"errors"
	"math/big"
	"testing"
)

// stream is a valid stream of two tuples of two fields.
func stream() []byte {
	b := []byte(Header)
	b = append(b, 0, 2)
	b = AppendBytes(b, []byte("hello"))
	b = AppendNull(b)
	b = append(b, 0, 2)
	b = AppendBytes(b, nil)
	b = AppendNumeric(b, Decimal{Lo: 1234567, Neg: true}, 3, false)
	return AppendTrailer(b)
}

func FuzzWalkerNeverLeavesTheBuffer(f *testing.F) {
	f.Add(stream(), uint8(2))
	f.Add(append(stream(), stream()...), uint8(2))
	f.Add(stream()[:30], uint8(2))
	f.Add([]byte(Header+"\x00\x01\x7f\xff\xff\xff"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, fields uint8) {
		w := Walker{Fields: int(fields)}
		offs := make([]uint32, int(fields)+1)
		for pos := 0; ; {
			next, tok, err := w.Next(data, pos, offs)
			if err != nil || tok == More {
				if next != pos {
					t.Fatalf("consumed %d bytes of nothing", next-pos)
				}
				return
			}
			if next <= pos || next > len(data) {
				t.Fatalf("%d after %d of %d", next, pos, len(data))
			}
			if tok == Tuple {
				for i := range int(fields) {
					v, null := Field(data, offs[i])
					if !null && int(offs[i])+4+len(v) != int(offs[i+1]) {
						t.Fatalf("field %d does not end where the next begins", i)
					}
				}
			}
			pos = next
		}
	})
}

func FuzzWalkerGivesTheSameTuplesHoweverTheStreamIsCut(f *testing.F) {
	f.Add(append(stream(), stream()...), uint16(7))
	f.Fuzz(func(t *testing.T, data []byte, step uint16) {
		walk := func(step int) (ends []int, failed bool) {
			w := Walker{Fields: 2}
			offs := make([]uint32, 3)
			pos := 0
			for end := min(step, len(data)); ; end = min(end+step, len(data)) {
				for {
					next, tok, err := w.Next(data[:end], pos, offs)
					if err != nil {
						return ends, true
					}
					if tok == More {
						break
					}
					ends, pos = append(ends, next), next
				}
				if end == len(data) {
					return ends, false
				}
			}
		}
		whole, failed := walk(max(len(data), 1))
		cut, failedCut := walk(int(step) + 1)
		if failed != failedCut || len(whole) != len(cut) {
			t.Fatalf("whole: %v %v, cut: %v %v", whole, failed, cut, failedCut)
		}
	})
}

func FuzzNumericIsExactOrAnError(f *testing.F) {
	for _, d := range []Decimal{{}, {Lo: 1}, {Lo: 123456789, Neg: true}, {Hi: 5421010862427522170, Lo: 687399551400673279}} {
		f.Add(AppendNumeric(nil, d, 10, false)[4:], uint8(38), uint8(10))
		f.Add(AppendNumeric(nil, d, 0, true)[4:], uint8(38), uint8(0))
	}
	f.Add([]byte{0, 0, 0, 0, 0xc0, 0, 0, 0}, uint8(38), uint8(10))
	f.Add([]byte{0, 1, 0x7f, 0xff, 0, 0, 0, 0, 0, 1}, uint8(38), uint8(10))
	f.Fuzz(func(t *testing.T, data []byte, digits, scale uint8) {
		n, s := int(digits%39), int(scale%39)
		d, err := DecodeNumeric(data, n, s)
		if err != nil {
			return
		}
		// The value that comes back is the value that went in, compared as fractions.
		again := AppendNumeric(nil, d, s, true)
		if fraction(t, again[4:]).Cmp(fraction(t, data)) != 0 {
			t.Fatalf("%x came back as %x", data, again[4:])
		}
		e, err := DecodeNumeric(again[4:], n, s)
		if err != nil || e != d && (d.Hi|d.Lo) != 0 {
			t.Fatalf("%+v, then %+v, %v", d, e, err)
		}
	})
}

// fraction is a second, slow reading of a numeric.
func fraction(t *testing.T, p []byte) *big.Rat {
	t.Helper()
	v := new(big.Int)
	n := int(p[0])<<8 | int(p[1])
	for i := range n {
		v.Mul(v, big.NewInt(10000))
		v.Add(v, big.NewInt(int64(p[8+2*i])<<8|int64(p[9+2*i])))
	}
	weight := int(int16(uint16(p[2])<<8 | uint16(p[3])))
	exp := 4 * (weight - n + 1)
	r := new(big.Rat).SetInt(v)
	if v.Sign() == 0 {
		return r
	}
	unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exp, -exp))), nil))
	if exp < 0 {
		unit.Inv(unit)
	}
	r.Mul(r, unit)
	if p[4] == 0x40 {
		r.Neg(r)
	}
	return r
}

func FuzzArrayElementsLieInTheField(f *testing.F) {
	a := BeginArray(nil, 23, 2, true)
	a = AppendBytes(a, []byte{0, 0, 0, 1})
	a = AppendNull(a)
	EndArray(a, 0)
	f.Add(a[4:])
	e := BeginArray(nil, 23, 0, false)
	EndArray(e, 0)
	f.Add(e[4:])
	f.Fuzz(func(t *testing.T, data []byte) {
		buf := AppendBytes([]byte("before"), data)
		end := len(buf)
		buf = append(buf, "behind"...)
		offs, err := AppendElements(nil, buf, 6)
		if err != nil {
			return
		}
		for _, off := range offs {
			if v, null := Field(buf, off); int(off)+4 > end || !null && int(off)+4+len(v) > end {
				t.Fatalf("an element at %d leaves the field, which ends at %d", off, end)
			}
		}
		SetElement(buf, 6, 25)
		if !bytes.Equal(buf[end:], []byte("behind")) {
			t.Fatal("wrote behind the field")
		}
	})
}

func TestNumericThatIsNoDecimalIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		field []byte
		want  error
	}{
		"NaN":        {[]byte{0, 0, 0, 0, 0xc0, 0, 0, 0}, ErrNaN},
		"Infinity":   {[]byte{0, 0, 0, 0, 0xd0, 0, 0, 0}, ErrInfinite},
		"-Infinity":  {[]byte{0, 0, 0, 0, 0xf0, 0, 0, 0}, ErrInfinite},
		"0.001":      {[]byte{0, 1, 0xff, 0xff, 0, 0, 0, 3, 0, 10}, ErrInexact},
		"10000":      {[]byte{0, 1, 0, 1, 0, 0, 0, 0, 0, 1}, ErrRange},
		"a cut one":  {[]byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 1}, ErrForm},
		"a group":    {[]byte{0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, ErrForm},
		"10^131068+": {[]byte{0, 1, 0x7f, 0xff, 0, 0, 0, 0, 0, 1}, ErrRange},
	} {
		if _, err := DecodeNumeric(c.field, 6, 2); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	d, err := DecodeNumeric([]byte{0, 2, 0, 0, 0x40, 0, 0, 2, 0, 12, 0x04, 0xd2 + 0}, 6, 4)
	if err != nil || d.Lo != 121234 || !d.Neg {
		t.Errorf("-12.1234: %+v %v", d, err)
	}
}
