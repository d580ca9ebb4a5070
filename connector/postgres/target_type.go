package postgres

import (
	"regexp"
	"strings"

	"github.com/droverdata/drover"
)

// scalarType returns the Postgres type that holds every value of a DuckDB type exactly, or "".
func scalarType(duckdb string) string {
	switch duckdb {
	case "BOOLEAN":
		return "boolean"
	case "TINYINT", "SMALLINT", "UTINYINT":
		return "smallint"
	case "INTEGER", "USMALLINT":
		return "integer"
	case "BIGINT", "UINTEGER":
		return "bigint"
	case "UBIGINT":
		return "numeric(20,0)"
	case "HUGEINT", "UHUGEINT":
		return "numeric(39,0)"
	case "FLOAT":
		return "real"
	case "DOUBLE":
		return "double precision"
	case "VARCHAR":
		return "text"
	case "BLOB":
		return "bytea"
	case "DATE":
		return "date"
	case "TIME":
		return "time without time zone"
	case "TIME WITH TIME ZONE":
		return "time with time zone"
	case "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS":
		return "timestamp without time zone"
	case "TIMESTAMP WITH TIME ZONE":
		return "timestamp with time zone"
	case "INTERVAL":
		return "interval"
	case "UUID":
		return "uuid"
	case "JSON":
		return "json"
	}
	switch {
	case strings.HasPrefix(duckdb, "DECIMAL("):
		return "numeric" + duckdb[len("DECIMAL"):]
	case strings.HasPrefix(duckdb, "ENUM("):
		return "text"
	}
	return ""
}

// postgresType returns the Postgres type for a computed column of a DuckDB type, or why there is none and what to do.
func postgresType(duckdb string) (typ, why, hint string) {
	if t := scalarType(duckdb); t != "" {
		return t, "", ""
	}
	if element, ok := elementType(duckdb); ok {
		if t := scalarType(element); t != "" {
			return t + "[]", "", ""
		}
		if _, nested := elementType(element); nested {
			return "", "lists in lists may differ in length, which arrays cannot", "cast it to JSON"
		}
		duckdb = element
	}
	switch {
	case strings.HasPrefix(duckdb, "STRUCT("), strings.HasPrefix(duckdb, "MAP("), strings.HasPrefix(duckdb, "UNION("):
		return "", "Postgres has no such type", "cast it to JSON: to_json(COLUMN)"
	case duckdb == "TIMESTAMP_NS":
		return "", "Postgres keeps microseconds", "cast it to TIMESTAMP to drop the nanoseconds"
	case duckdb == "TIME_NS":
		return "", "Postgres keeps microseconds", "cast it to TIME to drop the nanoseconds"
	case duckdb == `"NULL"`, duckdb == "NULL":
		return "", "it is NULL in every row and has no type", "give it a type: NULL::VARCHAR"
	}
	return "", "Postgres has no type that holds it exactly", "cast it to VARCHAR"
}

// elementType returns the element of a list or array type.
func elementType(duckdb string) (string, bool) {
	if !strings.HasSuffix(duckdb, "]") {
		return "", false
	}
	at := strings.LastIndexByte(duckdb, '[')
	if at < 0 || strings.Trim(duckdb[at+1:len(duckdb)-1], "0123456789") != "" {
		return "", false
	}
	return duckdb[:at], true
}

// untouched reports whether a column repeats a Postgres source's column, in that column's own type.
func untouched(c drover.Column) bool { return c.From != "" && c.Native != "" }

// objectType matches the types whose values are OIDs of catalog rows: moved to another database, they would silently mean another object, or none.
var objectType = regexp.MustCompile(`^reg(class|collation|config|dictionary|namespace|oper|operator|proc|procedure|role|type)(\[\])*$`)

// wireType returns the Postgres type in which a column's values arrive, and its collation if that is not the type's own.
func wireType(c drover.Column) (typ, collation string, err error) {
	if untouched(c) {
		if objectType.MatchString(c.Native) {
			e := refuse("column %s is %s, a number by which one database alone knows its object", c.Name, c.Native).
				WithHint("cast it in source.postgres.query: %s::text, or ::oid where source and target are one database", quote(c.Name))
			e.Column = c.Name
			return "", "", e
		}
		return c.Native, c.Collation, nil
	}
	typ, why, hint := postgresType(c.Type)
	if typ != "" {
		return typ, "", nil
	}
	is := c.Type
	if is == "" {
		is = c.Native
	}
	e := refuse("column %s is %s: %s", c.Name, is, why).WithHint("%s", hint)
	e.Column = c.Name
	return "", "", e
}
