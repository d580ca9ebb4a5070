// Package exact adds numbers up without rounding: integers and decimals of any size, and floats. A sum does not depend on the order of its
// numbers, nor on how they were divided among those who added them up.
package exact

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Sum is an exact sum. What is no finite number is counted instead, so that it hides nothing. The zero Sum is that of no numbers.
type Sum struct {
	finite *big.Rat // nil is 0
	// odd counts NaNs, infinities and negative infinities.
	odd [3]int64
}

func (s Sum) rat() *big.Rat {
	if s.finite == nil {
		return new(big.Rat)
	}
	return s.finite
}

// Plus returns the sum of both.
func (s Sum) Plus(o Sum) Sum {
	out := Sum{finite: new(big.Rat).Add(s.rat(), o.rat())}
	for i := range out.odd {
		out.odd[i] = s.odd[i] + o.odd[i]
	}
	return out
}

// Equal reports whether both are of the same value.
func (s Sum) Equal(o Sum) bool { return s.rat().Cmp(o.rat()) == 0 && s.odd == o.odd }

// Less says by how much s is less or more than o, in a few words: "3.50 less". It is "" where the finite parts are equal.
func (s Sum) Less(o Sum) string {
	d := new(big.Rat).Sub(s.rat(), o.rat())
	switch d.Sign() {
	case 0:
		return ""
	case 1:
		return text(d) + " more"
	}
	return text(d.Neg(d)) + " less"
}

// String is the sum for people. What has more digits than they read is rounded, and says so.
func (s Sum) String() string {
	out := text(s.rat())
	for i, name := range []string{"NaN", "Infinity", "-Infinity"} {
		if n := s.odd[i]; n > 0 {
			out += fmt.Sprintf(" and %d %s", n, name)
		}
	}
	return out
}

// mostDecimals is how many digits behind the point String shows; the sums of floats may have a thousand.
const mostDecimals = 20

func text(r *big.Rat) string {
	if n, exact := r.FloatPrec(); exact && n <= mostDecimals {
		return r.FloatString(n)
	}
	return "about " + new(big.Float).SetRat(r).Text('g', mostDecimals)
}

// MarshalText writes the sum as a fraction, followed by what it counts: "25/2", "0 1 0 0".
func (s Sum) MarshalText() ([]byte, error) {
	out := s.rat().RatString()
	if s.odd != [3]int64{} {
		for _, n := range s.odd {
			out += " " + strconv.FormatInt(n, 10)
		}
	}
	return []byte(out), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *Sum) UnmarshalText(data []byte) error {
	words := strings.Fields(string(data))
	if len(words) != 1 && len(words) != 1+len(s.odd) {
		return fmt.Errorf("%q is no exact sum", data)
	}
	r, ok := new(big.Rat).SetString(words[0])
	if !ok {
		return fmt.Errorf("%q is no exact sum", data)
	}
	out := Sum{finite: r}
	for i, w := range words[1:] {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no exact sum: %w", data, err)
		}
		out.odd[i] = n
	}
	*s = out
	return nil
}
