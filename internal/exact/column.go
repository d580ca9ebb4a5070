package exact

import (
	"fmt"
	"sync"

	"github.com/droverdata/drover/internal/duck"
)

// Column is a column of numbers that DuckDB yields.
type Column struct {
	name, typ string
	// float says that the numbers are DOUBLE and FLOAT, and unsigned that they are UHUGEINT. The others are integers and decimals of scale digits.
	float, unsigned bool
	scale           int
}

// NewColumn returns false for a type whose values have no exact sum.
func NewColumn(name, typ string) (Column, bool) {
	c := Column{name: name}
	var width int
	switch typ {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT":
		c.typ = "HUGEINT"
	case "UHUGEINT":
		c.typ, c.unsigned = typ, true
	case "FLOAT", "DOUBLE":
		c.typ, c.float = "DOUBLE", true
	default:
		if n, err := fmt.Sscanf(typ, "DECIMAL(%d,%d)", &width, &c.scale); n != 2 || err != nil {
			return Column{}, false
		}
		c.typ = fmt.Sprintf("DECIMAL(38,%d)", c.scale)
	}
	return c, true
}

// Float reports whether the numbers are floats.
func (c Column) Float() bool { return c.float }

// Expression is what DuckDB is asked for to add the column up.
func (c Column) Expression() string { return "CAST(" + duck.Ident(c.name) + " AS " + c.typ + ")" }

// Totals are sums of one column by group. It is safe for concurrent use.
type Totals struct {
	column   Column
	mu       sync.Mutex
	integers []Integers
	floats   []Floats
}

// Totals returns the sums of n groups without numbers.
func (c Column) Totals(n int) *Totals {
	t := &Totals{column: c}
	if c.float {
		t.floats = make([]Floats, n)
	} else {
		t.integers = make([]Integers, n)
	}
	return t
}

// Add adds the first rows of a vector of Expression's values, each to its group. NULLs are left out.
func (t *Totals) Add(v duck.Vector, groups []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mask := v.Mask()
	switch {
	case t.column.float:
		add(v, mask, groups, func(g int, x float64) { t.floats[g].Add(x) })
	case t.column.unsigned:
		add(v, mask, groups, func(g int, x duck.HugeInt) { t.integers[g].AddUnsigned(x.Lower, uint64(x.Upper)) })
	default:
		add(v, mask, groups, func(g int, x duck.HugeInt) { t.integers[g].Add(x.Lower, x.Upper) })
	}
}

func add[T any](v duck.Vector, mask []uint64, groups []int, one func(int, T)) {
	data := duck.DataN[T](v, len(groups))
	for i, g := range groups {
		if duck.Valid(mask, i) {
			one(g, data[i])
		}
	}
}

// Sum returns the sum of a group.
func (t *Totals) Sum(group int) Sum {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.column.float {
		return t.floats[group].Sum()
	}
	return t.integers[group].Sum(t.column.scale)
}
