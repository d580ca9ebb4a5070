package sqlstep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
)

var (
	integers = []string{"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
	floats   = []string{"FLOAT", "DOUBLE"}
)

// harmless reports whether a condition cannot raise an error on any row, so that DuckDB may evaluate it in any order: unchanged columns
// compared with constants of their own kind, NULL tests, and NOT, AND and OR of these.
func harmless(n node, schema drover.Schema) bool {
	untouched := func(n node) string {
		parts := n.strs("column_names")
		if n.str("class") != "COLUMN_REF" || len(parts) != 1 {
			return ""
		}
		i := schema.Index(parts[0])
		if i < 0 || schema[i].From == "" {
			return ""
		}
		return schema[i].Type
	}
	switch n.str("class") {
	case "COLUMN_REF":
		return untouched(n) == "BOOLEAN"
	case "CONJUNCTION":
		return !slices.ContainsFunc(n.kids("children"), func(k node) bool { return !harmless(k, schema) })
	case "OPERATOR":
		k := n.kids("children")
		switch n.str("type") {
		case "OPERATOR_NOT":
			return harmless(k[0], schema)
		case "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL":
			return untouched(k[0]) != ""
		case "COMPARE_IN", "COMPARE_NOT_IN":
			return !slices.ContainsFunc(k[1:], func(v node) bool { return !alike(untouched(k[0]), v) })
		}
	case "COMPARISON":
		l, r := n.kid("left"), n.kid("right")
		return alike(untouched(l), r) || alike(untouched(r), l)
	case "BETWEEN":
		typ := untouched(n.kid("input"))
		return alike(typ, n.kid("lower")) && alike(typ, n.kid("upper"))
	}
	return false
}

// alike reports whether a column of type typ compares with a constant without a cast that could fail.
func alike(typ string, constant node) bool {
	if constant.str("class") != "CONSTANT" {
		return false
	}
	id := constant.kid("value").kid("type").str("id")
	switch {
	case slices.Contains(integers, typ):
		return id == "INTEGER" || id == "BIGINT"
	case slices.Contains(floats, typ):
		return id == "INTEGER" || id == "BIGINT" || id == "DECIMAL" || id == "DOUBLE"
	case typ == "VARCHAR":
		return id == "VARCHAR"
	}
	return false
}

// probes are values of types that not every type can be cast from. DuckDB binds every cast, and says only when it meets a
// value that a pair of types has none.
var probes = map[string][]string{
	"BOOLEAN": {"true", "false"}, "DATE": {"'2000-01-01'"}, "TIMESTAMP": {"'2000-01-01'"}, "TIMESTAMP WITH TIME ZONE": {"'2000-01-01'"},
	"TIME": {"'00:00:00'"}, "INTERVAL": {"'1 day'"}, "UUID": {"'00000000-0000-0000-0000-000000000001'"},
	"TINYINT": {"0", "1"}, "SMALLINT": {"0", "1"}, "INTEGER": {"0", "1"}, "BIGINT": {"0", "1"}, "HUGEINT": {"0", "1"},
	"UTINYINT": {"0", "1"}, "USMALLINT": {"0", "1"}, "UINTEGER": {"0", "1"}, "UBIGINT": {"0", "1"}, "FLOAT": {"0", "1"}, "DOUBLE": {"0", "1"},
}

// castable refuses a cast that no value survives.
func (c *compiler) castable(ctx context.Context, from, to, field string) error {
	values := probes[from]
	if strings.HasPrefix(from, "DECIMAL") {
		values = []string{"0"}
	}
	if values == nil {
		return nil
	}
	tries := make([]string, len(values))
	for i, v := range values {
		tries[i] = fmt.Sprintf("TRY_CAST(CAST(%s AS %s) AS %s) IS NOT NULL", v, from, to)
	}
	rows, err := c.s.Texts(ctx, "SELECT "+strings.Join(tries, " OR "))
	if err != nil {
		return place(err, field, 0, 0)
	}
	if *rows[0][0] != "true" {
		return drover.Errorf(drover.Invalid, "%s cannot be cast to %s", from, to).WithField(field).
			WithHint("compute it in a set step instead")
	}
	return nil
}

// castsBetweenTypes refuses a cast of a column, somewhere in an expression, that no value survives.
func (c *compiler) castsBetweenTypes(ctx context.Context, n node, field string) error {
	var err error
	walk(n, func(k node) bool {
		i := c.plainRef(k.kid("child"), chunkName)
		to := k.kid("cast_type")
		if err == nil && k.str("class") == "CAST" && !k.flag("try_cast") && i >= 0 && to.empty("type_info") {
			err = c.castable(ctx, c.columns[i].Type, to.str("id"), field)
			var e *drover.Error
			if errors.As(err, &e) {
				e.Offset = max(k.at()-len(selectWord)+1, 0)
			}
		}
		return true
	})
	return err
}
