package files

import (
	"fmt"
	"math"
	"strings"
)

// integers are DuckDB's integer types with their ranges, smallest first.
var integers = []struct {
	name   string
	min    float64
	max    float64
	signed bool
}{
	{"UTINYINT", 0, math.MaxUint8, false},
	{"TINYINT", math.MinInt8, math.MaxInt8, true},
	{"USMALLINT", 0, math.MaxUint16, false},
	{"SMALLINT", math.MinInt16, math.MaxInt16, true},
	{"UINTEGER", 0, math.MaxUint32, false},
	{"INTEGER", math.MinInt32, math.MaxInt32, true},
	{"UBIGINT", 0, math.MaxUint64, false},
	{"BIGINT", math.MinInt64, math.MaxInt64, true},
}

// widen returns the type that holds every value of both types exactly. Only integers, decimals and floats widen, each
// among themselves: a number never becomes a text, nor an integer a float.
func widen(a, b string) (string, bool) {
	switch {
	case a == b:
		return a, true
	case a == nullType:
		return b, true
	case b == nullType:
		return a, true
	}
	if t, ok := widenInteger(a, b); ok {
		return t, true
	}
	if t, ok := widenDecimal(a, b); ok {
		return t, true
	}
	if a == "FLOAT" && b == "DOUBLE" || a == "DOUBLE" && b == "FLOAT" {
		return "DOUBLE", true
	}
	return "", false
}

// nullType marks a column that a file declares to hold NULLs alone.
const nullType = "\"NULL\""

func widenInteger(a, b string) (string, bool) {
	var lo, hi float64
	found := 0
	for _, t := range integers {
		if t.name == a || t.name == b {
			lo, hi = min(lo, t.min), max(hi, t.max)
			found++
		}
	}
	if found != 2 {
		return "", false
	}
	for _, t := range integers {
		// The float64 of 2^63-1 and of 2^64-1 round up alike for both sides, so comparing them is exact enough.
		if t.min <= lo && t.max >= hi && (lo == 0) == !t.signed {
			return t.name, true
		}
	}
	return "", false
}

func widenDecimal(a, b string) (string, bool) {
	var p, q, s, r int
	if n, _ := fmt.Sscanf(a, "DECIMAL(%d,%d)", &p, &s); n != 2 || !strings.HasSuffix(a, ")") {
		return "", false
	}
	if n, _ := fmt.Sscanf(b, "DECIMAL(%d,%d)", &q, &r); n != 2 || !strings.HasSuffix(b, ")") {
		return "", false
	}
	scale := max(s, r)
	width := max(p-s, q-r) + scale
	return fmt.Sprintf("DECIMAL(%d,%d)", width, scale), width <= 38
}
