package downcast

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// family is types that are narrowed alike.
type family int

const (
	others family = iota
	integers
	decimals
	doubles
	timestamps
	texts
)

func familyOf(typ string) family {
	switch typ {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT":
		return integers
	case "DOUBLE":
		return doubles
	case "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S":
		return timestamps
	case "VARCHAR":
		return texts
	}
	if decimalParts.MatchString(typ) {
		return decimals
	}
	return others
}

// Stats is what one pass over some rows says of a column. What belongs to another family of types is zero.
type Stats struct {
	Rows  int64 `json:"rows"`
	Nulls int64 `json:"nulls"`
	// Min and Max are the limits of an integer; nil without a value.
	Min *big.Int `json:"min,omitempty"`
	Max *big.Int `json:"max,omitempty"`
	// Digits is how many digits a decimal's unscaled value has at most, Scale how many after the point are not all zeros.
	Digits int `json:"digits,omitempty"`
	Scale  int `json:"scale,omitempty"`
	// Inexact counts the values that a narrower type would change: of a DOUBLE as FLOAT, of a timestamp by each of timestampTypes.
	Inexact []int64 `json:"inexact,omitempty"`
	// Long is the bytes of texts, or of anything without a fixed width, that lie outside of the vector.
	Long int64 `json:"long,omitempty"`
	// Distinct is about how many different texts there are: an estimate that needs no memory.
	Distinct int64 `json:"distinct,omitempty"`
}

// fixedWidth is the bytes of a value in a vector; 0 for a type that is counted as a text of its values.
func fixedWidth(typ string) int64 {
	switch typ {
	case "BOOLEAN", "TINYINT", "UTINYINT":
		return 1
	case "SMALLINT", "USMALLINT":
		return 2
	case "INTEGER", "UINTEGER", "FLOAT", "DATE":
		return 4
	case "BIGINT", "UBIGINT", "DOUBLE", "TIME", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE":
		return 8
	case "HUGEINT", "UHUGEINT", "UUID", "INTERVAL":
		return 16
	}
	if precision, _ := decimalType(typ); precision > 0 {
		return decimalWidth(precision)
	}
	return 0
}

// size is the memory of the rows that s is of.
func size(typ string, s Stats) int64 {
	if w := fixedWidth(typ); w > 0 {
		return s.Rows * w
	}
	return s.Rows*textWidth + s.Long
}

// Query returns a SELECT of one row of texts over a relation: what Parse makes Stats of. It reads the relation once. Columns that
// DuckDB cannot read (no Type) must have been left out.
func Query(columns drover.Schema, relation string) string {
	list := []string{"count(*)"}
	for _, c := range columns {
		list = append(list, expressions(c)...)
	}
	for i, e := range list {
		list[i] = fmt.Sprintf("%s AS s%d", e, i)
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + relation
}

func expressions(c drover.Column) []string {
	q := duck.Ident(c.Name)
	changed := func(narrow string) string {
		return fmt.Sprintf("count(*) FILTER (WHERE %s IS NOT NULL AND (%s) IS DISTINCT FROM %s)", q, narrow, q)
	}
	list := []string{fmt.Sprintf("count(*) FILTER (WHERE %s IS NULL)", q)}
	switch familyOf(c.Type) {
	case integers:
		list = append(list, "min("+q+")", "max("+q+")")
	case decimals:
		_, scale := decimalType(c.Type)
		fraction := fmt.Sprintf("length(rtrim(right(%s::VARCHAR, %d), '0'))", q, scale)
		if scale == 0 {
			fraction = "0"
		}
		list = append(list, "max(abs("+q+"))", "max("+fraction+")")
	case doubles:
		list = append(list, changed(fmt.Sprintf("CASE WHEN isnan(%[1]s) THEN %[1]s ELSE TRY_CAST(%[1]s AS FLOAT)::DOUBLE END", q)))
	case timestamps:
		for _, unit := range []string{"day", "second", "millisecond", "microsecond"} {
			// A coarser type may have no infinity.
			list = append(list, changed(fmt.Sprintf("CASE WHEN isfinite(%[1]s::TIMESTAMP) THEN date_trunc('%[2]s', %[1]s) END", q, unit)))
		}
	case texts:
		long := "CASE WHEN strlen(%[1]s) > %[2]d THEN strlen(%[1]s) ELSE 0 END"
		list = append(list, fmt.Sprintf("sum("+long+")", q, inlined), "approx_count_distinct("+q+")")
	default:
		if fixedWidth(c.Type) == 0 {
			list = append(list, "sum(strlen("+q+"::VARCHAR))")
		}
	}
	return list
}

// Parse reads the answer of Query.
func Parse(columns drover.Schema, row []*string) ([]Stats, error) {
	next := func() *string {
		if len(row) == 0 {
			return nil
		}
		v := row[0]
		row = row[1:]
		return v
	}
	var failed error
	number := func() int64 {
		v := next()
		if v == nil {
			return 0
		}
		n, err := strconv.ParseInt(*v, 10, 64)
		if err != nil && failed == nil {
			failed = fmt.Errorf("read a column's statistics: %w", err)
		}
		return n
	}
	rows := number()
	all := make([]Stats, len(columns))
	for i, c := range columns {
		s := Stats{Rows: rows, Nulls: number()}
		switch familyOf(c.Type) {
		case integers:
			s.Min, s.Max = whole(next()), whole(next())
		case decimals:
			s.Digits = digits(next())
			s.Scale = int(number())
		case doubles:
			s.Inexact = []int64{number()}
		case timestamps:
			s.Inexact = []int64{number(), number(), number(), number()}
		case texts:
			s.Long, s.Distinct = number(), number()
		default:
			if fixedWidth(c.Type) == 0 {
				s.Long = number()
			}
		}
		all[i] = s
	}
	return all, failed
}

func whole(text *string) *big.Int {
	if text == nil {
		return nil
	}
	n, ok := new(big.Int).SetString(*text, 10)
	if !ok {
		return nil
	}
	return n
}

// digits counts the digits of an unscaled decimal, without leading zeros.
func digits(text *string) int {
	if text == nil {
		return 0
	}
	return len(strings.TrimLeft(strings.Replace(*text, ".", "", 1), "0"))
}

// Merge returns the statistics of the rows of both. Distinct values are counted as if none were common: a dictionary may then be found too
// large, never too small.
func Merge(a, b Stats) Stats {
	m := Stats{
		Rows: a.Rows + b.Rows, Nulls: a.Nulls + b.Nulls, Min: a.Min, Max: a.Max, Digits: max(a.Digits, b.Digits), Scale: max(a.Scale, b.Scale),
		Long: a.Long + b.Long, Distinct: a.Distinct + b.Distinct,
	}
	if m.Min == nil || b.Min != nil && b.Min.Cmp(m.Min) < 0 {
		m.Min = b.Min
	}
	if m.Max == nil || b.Max != nil && b.Max.Cmp(m.Max) > 0 {
		m.Max = b.Max
	}
	for i := range max(len(a.Inexact), len(b.Inexact)) {
		var n int64
		if i < len(a.Inexact) {
			n += a.Inexact[i]
		}
		if i < len(b.Inexact) {
			n += b.Inexact[i]
		}
		m.Inexact = append(m.Inexact, n)
	}
	return m
}
