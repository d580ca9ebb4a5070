// Package downcast finds the smallest type that holds every value of a column exactly. Memory is that of DuckDB's vectors: fixed-width
// values lie one after the other; a text takes 16 bytes, and its own bytes besides where there are more than 12 of them.
//
// exactness.md 33: a narrower type never changes a value. Statistics of some rows prove it for those rows only, so whoever narrows other
// rows checks them.
package downcast

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

const (
	// textWidth is what a text takes in its vector, and inlined how many of its bytes that holds.
	textWidth = 16
	inlined   = 12
	// maxDictionary is the most values of a dictionary, and dictionaryShare how much smaller than the rows it must be to pay.
	maxDictionary   = 1 << 16
	dictionaryShare = 4
)

// Choice is the type that a column could have.
type Choice struct {
	// Type is DuckDB's spelling; "DICTIONARY(VARCHAR)" is a text whose values are kept once.
	Type string
	// Bytes and SmallerBytes are the memory of the rows that the statistics are of, in the column's own type and in Type.
	Bytes, SmallerBytes int64
	// Certain says that a cast to Type of a row that was not looked at fails where the value does not fit. Others would change it
	// silently (DuckDB rounds to FLOAT, to a smaller scale and to a day).
	Certain bool
}

// Dictionary is the Type of a text whose values are kept once.
const Dictionary = "DICTIONARY(VARCHAR)"

// Choose returns the smallest type for the rows that s is of.
func Choose(typ string, s Stats) Choice {
	f := familyOf(typ)
	c := Choice{Type: typ, Bytes: size(typ, s), Certain: true}
	c.SmallerBytes = c.Bytes
	if s.Rows == s.Nulls {
		return c // nothing is known of its values
	}
	switch f {
	case integers:
		c.Type = smallestInteger(typ, s.Min, s.Max)
	case decimals:
		c.Type, c.Certain = smallestDecimal(typ, s)
	case doubles:
		if s.Inexact[0] == 0 {
			c.Type, c.Certain = "FLOAT", false
		}
	case timestamps:
		c.Type, c.Certain = smallestTimestamp(typ, s.Inexact)
	case texts:
		if index := indexWidth(s.Distinct); index > 0 && s.Distinct*dictionaryShare <= s.Rows-s.Nulls {
			dictionary := s.Distinct*textWidth + s.Distinct*s.Long/(s.Rows-s.Nulls) // texts of average length
			if smaller := s.Rows*index + dictionary; smaller < c.Bytes {
				c.Type, c.SmallerBytes, c.Certain = Dictionary, smaller, false
			}
		}
		return c
	}
	c.SmallerBytes = size(c.Type, s)
	if c.SmallerBytes > c.Bytes || c.SmallerBytes == c.Bytes && f != timestamps {
		c.Type, c.SmallerBytes, c.Certain = typ, c.Bytes, true
	}
	return c
}

// ForFunctions is Choose for a column that a function receives: as Arrow, whose decimals and timestamps have one width.
func ForFunctions(typ string, s Stats) Choice {
	switch typ {
	case "SMALLINT", "INTEGER", "BIGINT", "USMALLINT", "UINTEGER", "UBIGINT", "DOUBLE", "VARCHAR":
		return Choose(typ, s)
	}
	c := Choice{Type: typ, Bytes: size(typ, s), Certain: true}
	c.SmallerBytes = c.Bytes
	return c
}

func indexWidth(distinct int64) int64 {
	switch {
	case distinct <= 1<<8:
		return 1
	case distinct <= maxDictionary:
		return 2
	}
	return 0
}

// integerType is an integer type with its limits, narrowest first, and signed before unsigned: more systems know it.
type integerType struct {
	name     string
	min, max string
}

func integerTypes() []integerType {
	return []integerType{
		{"TINYINT", "-128", "127"},
		{"UTINYINT", "0", "255"},
		{"SMALLINT", "-32768", "32767"},
		{"USMALLINT", "0", "65535"},
		{"INTEGER", "-2147483648", "2147483647"},
		{"UINTEGER", "0", "4294967295"},
		{"BIGINT", "-9223372036854775808", "9223372036854775807"},
		{"UBIGINT", "0", "18446744073709551615"},
	}
}

// smallestInteger keeps a column's kind: what was signed stays signed.
func smallestInteger(typ string, low, high *big.Int) string {
	unsigned := strings.HasPrefix(typ, "U")
	for _, t := range integerTypes() {
		if strings.HasPrefix(t.name, "U") != unsigned {
			continue
		}
		least, _ := new(big.Int).SetString(t.min, 10)
		most, _ := new(big.Int).SetString(t.max, 10)
		if low.Cmp(least) >= 0 && high.Cmp(most) <= 0 {
			return t.name
		}
	}
	return typ
}

// decimalParts matches DuckDB's spelling of a decimal type.
var decimalParts = regexp.MustCompile(`^DECIMAL\((\d+),(\d+)\)$`)

func decimalType(typ string) (precision, scale int) {
	m := decimalParts.FindStringSubmatch(typ)
	if m == nil {
		return 0, 0
	}
	precision, _ = strconv.Atoi(m[1])
	scale, _ = strconv.Atoi(m[2])
	return precision, scale
}

// smallestDecimal keeps the scale where a smaller precision alone saves as much: DuckDB rounds to a smaller scale without a word.
func smallestDecimal(typ string, s Stats) (string, bool) {
	_, scale := decimalType(typ)
	whole := s.Digits - scale // digits before the point, or less than none
	atLeast := func(scale int) int { return max(whole, 0) + scale }
	kept, smaller := atLeast(scale), atLeast(s.Scale)
	if decimalWidth(smaller) < decimalWidth(kept) {
		return fmt.Sprintf("DECIMAL(%d,%d)", roomy(smaller), s.Scale), false
	}
	return fmt.Sprintf("DECIMAL(%d,%d)", roomy(kept), scale), true
}

// decimalWidth is the bytes of a decimal of so many digits.
func decimalWidth(digits int) int64 {
	switch {
	case digits <= 4:
		return 2
	case digits <= 9:
		return 4
	case digits <= 18:
		return 8
	}
	return 16
}

// roomy is the most digits that a decimal can have in the same bytes.
func roomy(digits int) int {
	switch decimalWidth(digits) {
	case 2:
		return 4
	case 4:
		return 9
	case 8:
		return 18
	}
	return 38
}

// smallestTimestamp takes a day's precision where it saves memory, else the coarsest that every value has.
func smallestTimestamp(typ string, inexact []int64) (string, bool) {
	for i, t := range timestampTypes() {
		if t == typ {
			break
		}
		// DuckDB has no cast from nanoseconds to those two.
		if typ == "TIMESTAMP_NS" && (t == "TIMESTAMP_S" || t == "TIMESTAMP_MS") {
			continue
		}
		if inexact[i] == 0 {
			return t, false
		}
	}
	return typ, true
}

// timestampTypes are the coarser types of a timestamp, the coarsest first.
func timestampTypes() []string { return []string{"DATE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP"} }
