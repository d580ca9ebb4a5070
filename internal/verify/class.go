package verify

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
)

// class is what decides whether values of two types can be equal.
type class uint8

const (
	other class = iota // equal to its own type only
	boolean
	whole   // integers
	decimal // DECIMAL
	number  // the text of an exact number, of any size
	float   // FLOAT and DOUBLE
	text
	serverText // a system's own spelling of a value that DuckDB has no type for
	jsonText
	moment // DATE and TIMESTAMP, which have no zone
	list
)

// kind is a type as far as comparing goes.
type kind struct {
	class class
	// typ is DuckDB's spelling.
	typ string
	// digits before the point and scale behind it, of whole and decimal.
	digits, scale int
	// elem is a list's.
	elem *kind
}

// integers are DuckDB's integer types and their digits.
var integers = map[string]int{
	"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 39,
	"UTINYINT": 3, "USMALLINT": 5, "UINTEGER": 10, "UBIGINT": 20, "UHUGEINT": 39,
}

// kindOf classes a DuckDB type.
func kindOf(typ string) kind {
	k := kind{typ: typ}
	if digits, ok := integers[typ]; ok {
		k.class, k.digits = whole, digits
		return k
	}
	if inner, ok := strings.CutPrefix(typ, "DECIMAL("); ok && strings.HasSuffix(typ, ")") {
		p, s, _ := strings.Cut(strings.TrimSuffix(inner, ")"), ",")
		precision, err1 := strconv.Atoi(strings.TrimSpace(p))
		scale, err2 := strconv.Atoi(strings.TrimSpace(s))
		if err1 == nil && err2 == nil {
			k.class, k.digits, k.scale = decimal, precision-scale, scale
		}
		return k
	}
	if strings.HasSuffix(typ, "]") {
		open := strings.LastIndexByte(typ, '[')
		elem := kindOf(typ[:open])
		k.class, k.elem, k.typ = list, &elem, elem.typ+"[]"
		return k
	}
	switch typ {
	case "BOOLEAN":
		k.class = boolean
	case "FLOAT", "DOUBLE":
		k.class = float
	case "VARCHAR":
		k.class = text
	case "JSON":
		k.class = jsonText
	case "DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS":
		k.class = moment
	default:
		if strings.HasPrefix(typ, "ENUM(") {
			k.class = text
		}
	}
	return k
}

// nested reports whether values are made of others.
func nested(k kind) bool {
	return k.class == list || strings.HasPrefix(k.typ, "STRUCT(") || strings.HasPrefix(k.typ, "MAP(") || strings.HasPrefix(k.typ, "UNION(")
}

// kindOfText classes a column that is read as its system's text.
func kindOfText(c drover.Column) kind {
	native := strings.ToLower(c.Native)
	if kindOf(c.Type).class == decimal || native == "numeric" || strings.HasPrefix(native, "numeric(") && !strings.HasSuffix(native, "]") {
		return kind{class: number, typ: "VARCHAR"}
	}
	return kind{class: serverText, typ: "VARCHAR"}
}

// decimalType is the DECIMAL that holds so many digits before and behind the point, or "" where DuckDB has none so wide.
func decimalType(digits, scale int) string {
	if digits+scale > 38 {
		return ""
	}
	return fmt.Sprintf("DECIMAL(%d,%d)", max(digits+scale, 1), scale)
}
