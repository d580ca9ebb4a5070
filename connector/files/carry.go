package files

import (
	"slices"
	"strings"

	"github.com/droverdata/drover"
)

// carries says whether a format holds every value of a DuckDB type exactly, and if not, why. became is the type under which DuckDB reads the values back,
// where it is another.
func carries(format, typ string) (became, why string) {
	words := strings.FieldsFunc(withoutNames(typ), func(r rune) bool { return strings.ContainsRune("(), []0123456789", r) })
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(words, n) })
	}
	zoned := strings.Contains(typ, "TIME WITH TIME ZONE") || has("TIMETZ")
	switch {
	case typ == "":
		return "", "DuckDB has no type that holds its values"
	case has("UNION", "VARIANT", "GEOMETRY"):
		return "", "files hold no " + typ
	}
	switch format {
	case formatParquet:
		switch {
		case has("HUGEINT", "UHUGEINT"):
			return "", "Parquet would round it to DOUBLE"
		case has("INTERVAL"):
			return "", "Parquet cuts intervals to milliseconds"
		case zoned:
			return "", "Parquet drops the zone of a time of day"
		case has("ENUM", "BIT", "BIGNUM", "TIME_NS"):
			return "VARCHAR", ""
		case typ == "TIMESTAMP_S" || typ == "TIMESTAMP_MS":
			return "TIMESTAMP", ""
		}
	case formatCSV:
		if strings.HasSuffix(typ, "]") || has("STRUCT", "MAP") {
			return "", "CSV has no nested values"
		}
		if has("BLOB") {
			return "", "CSV has no binary values"
		}
		return "VARCHAR", ""
	case formatJSON:
		if has("BLOB") {
			return "", "JSON has no binary values"
		}
	case formatArrow:
		if has("HUGEINT", "UHUGEINT", "BIT", "BIGNUM", "TIME_NS") || zoned {
			return "", "Arrow has no such type"
		}
		if strings.HasPrefix(typ, "ENUM") || typ == "UUID" || typ == "JSON" {
			return "VARCHAR", ""
		}
		if has("ENUM") {
			return "", "Arrow files hold no nested ENUM"
		}
	}
	return "", ""
}

// withoutNames removes the quoted field names and enum values of a type's spelling.
func withoutNames(typ string) string {
	var b strings.Builder
	var quote rune
	for _, r := range typ {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case r == quote:
			quote = 0
		case quote == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// howToCarry suggests an expression for a column that a format cannot hold.
func howToCarry(c drover.Column) string {
	q := c.Name
	switch {
	case strings.Contains(c.Type, "BLOB"):
		return "add a step such as set: {" + q + ": to_base64(" + q + ")}, or drop it"
	case strings.HasSuffix(c.Type, "]") || strings.HasPrefix(c.Type, "STRUCT") || strings.HasPrefix(c.Type, "MAP"):
		return "add a step such as set: {" + q + ": to_json(" + q + ")}, or drop it"
	case c.Type == "":
		return "add a step drop: [" + q + "]"
	}
	return "add a step such as cast: {" + q + ": VARCHAR}, or drop it"
}

// partitionable says whether a type's values can name folders: plain values that print back the same.
func partitionable(typ string) bool {
	return !strings.ContainsAny(typ, "[") && !strings.HasPrefix(typ, "STRUCT") && !strings.HasPrefix(typ, "MAP") &&
		!strings.HasPrefix(typ, "UNION") && !slices.Contains([]string{"", "BLOB", "JSON", "INTERVAL", "BIT"}, typ)
}

// folded says whether a partition column's value needs a mark in its staged folder's name, so that a text is never taken for NULL.
func folded(typ string) bool {
	return !slices.Contains([]string{
		"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "DATE",
	}, typ)
}
