package exact

import (
	"math"
	"math/big"
	"math/bits"
)

// Integers adds up 128-bit integers in 192 bits, two's complement: 2^64 of them cannot overflow.
type Integers struct{ low, middle, high uint64 }

// Add adds a signed number.
func (a *Integers) Add(lower uint64, upper int64) {
	var carry uint64
	a.low, carry = bits.Add64(a.low, lower, 0)
	a.middle, carry = bits.Add64(a.middle, uint64(upper), carry)
	a.high += uint64(upper>>63) + carry
}

// AddUnsigned adds a number without a sign.
func (a *Integers) AddUnsigned(lower, upper uint64) {
	var carry uint64
	a.low, carry = bits.Add64(a.low, lower, 0)
	a.middle, carry = bits.Add64(a.middle, upper, carry)
	a.high += carry
}

// Sum returns the sum of the numbers, each with so many digits behind the point.
func (a *Integers) Sum(scale int) Sum {
	n := a.integer()
	return Sum{finite: new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))}
}

func (a *Integers) integer() *big.Int {
	n := big.NewInt(int64(a.high))
	for _, word := range []uint64{a.middle, a.low} {
		n.Lsh(n, 64)
		n.Add(n, new(big.Int).SetUint64(word))
	}
	return n
}

const (
	mantissaBits = 52
	// binBits is how many exponents share an accumulator.
	binBits = 32
	// least is the exponent of the last bit of the smallest float.
	least = -1074
)

// Floats adds up float64s in integers, one for each range of exponents. (A small superaccumulator: Radford Neal, "Fast Exact Summation
// Using Small and Large Superaccumulators", 2015.) A term is below 2^84, so that 2^43 of them cannot overflow.
type Floats struct {
	bins [2048 / binBits]struct {
		low  uint64
		high int64
	}
	odd [3]int64
}

// Add adds a number.
func (a *Floats) Add(x float64) {
	word := math.Float64bits(x)
	exponent := int(word >> mantissaBits & 0x7ff)
	mantissa := word & (1<<mantissaBits - 1)
	negative := word>>63 != 0
	switch {
	case exponent == 0x7ff && mantissa != 0:
		a.odd[0]++
		return
	case exponent == 0x7ff && !negative:
		a.odd[1]++
		return
	case exponent == 0x7ff:
		a.odd[2]++
		return
	case exponent > 0:
		mantissa |= 1 << mantissaBits
		exponent--
	}
	shift := uint(exponent % binBits)
	low, high := mantissa<<shift, mantissa>>(64-shift)
	b := &a.bins[exponent/binBits]
	var carry uint64
	if negative {
		b.low, carry = bits.Sub64(b.low, low, 0)
		b.high -= int64(high + carry)
		return
	}
	b.low, carry = bits.Add64(b.low, low, 0)
	b.high += int64(high + carry)
}

// Sum returns the sum of the numbers.
func (a *Floats) Sum() Sum {
	total := new(big.Int)
	for i := len(a.bins) - 1; i >= 0; i-- {
		total.Lsh(total, binBits)
		n := big.NewInt(a.bins[i].high)
		n.Lsh(n, 64)
		total.Add(total, n.Add(n, new(big.Int).SetUint64(a.bins[i].low)))
	}
	return Sum{finite: new(big.Rat).SetFrac(total, new(big.Int).Lsh(big.NewInt(1), -least)), odd: a.odd}
}
