package duck

import (
	"fmt"
	"strings"
)

// JSON is the expression of a value of a type as JSON that every parser reads. What JSON has no form for is a text: NaN and infinities, which DuckDB
// writes as bare words (RFC 8259, section 6), and bytes, in hexadecimal.
func JSON(typ, expr string) string {
	switch {
	case typ == "BLOB":
		return fmt.Sprintf(`'\x' || lower(hex(%s))`, expr)
	case typ == "DOUBLE" || typ == "FLOAT":
		return fmt.Sprintf("CASE WHEN isfinite(%[1]s) THEN to_json(%[1]s) ELSE to_json(%[1]s::VARCHAR) END", expr)
	case strings.Contains(typ, "DOUBLE") || strings.Contains(typ, "FLOAT"):
		// Outside of strings these words cannot be anything else.
		return fmt.Sprintf(`CASE WHEN regexp_matches(regexp_replace(to_json(%[1]s)::VARCHAR, '"(\\.|[^"\\])*"', '', 'g'), 'NaN|Infinity') THEN to_json(%[1]s::VARCHAR) ELSE to_json(%[1]s) END`, expr)
	}
	return "to_json(" + expr + ")"
}
