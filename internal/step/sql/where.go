package sqlstep

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/step"
)

// where returns the conjuncts of a filter that are plain enough for a source to apply, over source columns, and the others.
func where(n node, schema drover.Schema) (plain []step.Condition, rest []node) {
	if n.str("type") == "CONJUNCTION_AND" {
		for _, k := range n.kids("children") {
			p, r := where(k, schema)
			plain, rest = append(plain, p...), append(rest, r...)
		}
		return plain, rest
	}
	if c, ok := condition(n, schema); ok {
		return []step.Condition{c}, nil
	}
	return nil, []node{n}
}

// narrow notes what a filter says of the source's rows, and what only the program can tell of them.
func (c *compiler) narrow(ctx context.Context, filter node) error {
	plain, rest := where(filter, c.schema())
	c.where = append(c.where, plain...)
	for _, n := range rest {
		text, err := c.expressionText(ctx, n)
		if err != nil {
			return err
		}
		c.rest = append(c.rest, text)
	}
	return nil
}

var comparisons = map[string]string{
	"COMPARE_EQUAL": "=", "COMPARE_NOTEQUAL": "<>", "COMPARE_LESSTHAN": "<", "COMPARE_LESSTHANOREQUALTO": "<=",
	"COMPARE_GREATERTHAN": ">", "COMPARE_GREATERTHANOREQUALTO": ">=",
}

// turned are the comparisons with their sides exchanged.
var turned = map[string]string{"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// condition translates a whole expression; ok is false where a part of it has no counterpart.
func condition(n node, schema drover.Schema) (c step.Condition, ok bool) {
	switch n.str("class") {
	case "COLUMN_REF":
		name, typ := sourceColumn(n, schema)
		return step.Condition{Op: "true", Column: name}, typ == "BOOLEAN"
	case "CONJUNCTION":
		return several(strings.ToLower(strings.TrimPrefix(n.str("type"), "CONJUNCTION_")), n.kids("children"), schema)
	case "COMPARISON":
		op, l, r := comparisons[n.str("type")], n.kid("left"), n.kid("right")
		if l.str("class") != "COLUMN_REF" {
			op, l, r = turned[op], r, l
		}
		return leaf(op, l, []node{r}, schema)
	case "BETWEEN":
		low, okLow := leaf(">=", n.kid("input"), []node{n.kid("lower")}, schema)
		high, okHigh := leaf("<=", n.kid("input"), []node{n.kid("upper")}, schema)
		return step.Condition{Op: "and", Of: []step.Condition{low, high}}, okLow && okHigh
	case "OPERATOR":
		k := n.kids("children")
		if len(k) == 0 {
			return c, false
		}
		switch n.str("type") {
		case "OPERATOR_NOT":
			return several("not", k, schema)
		case "OPERATOR_IS_NULL":
			return leaf("is null", k[0], nil, schema)
		case "OPERATOR_IS_NOT_NULL":
			return leaf("is not null", k[0], nil, schema)
		case "COMPARE_IN":
			return leaf("in", k[0], k[1:], schema)
		case "COMPARE_NOT_IN":
			return leaf("not in", k[0], k[1:], schema)
		}
	}
	return c, false
}

func several(op string, kids []node, schema drover.Schema) (step.Condition, bool) {
	c := step.Condition{Op: op}
	for _, k := range kids {
		part, ok := condition(k, schema)
		if !ok {
			return c, false
		}
		c.Of = append(c.Of, part)
	}
	return c, true
}

func leaf(op string, column node, values []node, schema drover.Schema) (step.Condition, bool) {
	name, typ := sourceColumn(column, schema)
	c := step.Condition{Op: op, Column: name}
	if op == "" || name == "" {
		return c, false
	}
	for _, n := range values {
		v, ok := value(n, typ)
		if !ok {
			return c, false
		}
		c.Values = append(c.Values, v)
	}
	return c, true
}

// sourceColumn returns the source column that an expression repeats, and its type, or "".
func sourceColumn(n node, schema drover.Schema) (name, typ string) {
	parts := n.strs("column_names")
	if n.str("class") != "COLUMN_REF" || len(parts) != 1 {
		return "", ""
	}
	i := schema.Index(parts[0])
	if i < 0 {
		return "", ""
	}
	return schema[i].From, schema[i].Type
}

// texts are the types whose literals are texts: 'a', DATE '2024-01-01', or '2024-01-01' beside a column of the type.
var texts = map[string]bool{"VARCHAR": true, "DATE": true, "TIMESTAMP": true, "TIMESTAMP WITH TIME ZONE": true, "UUID": true}

// value translates a literal that is compared with a column of a type.
func value(n node, typ string) (step.Value, bool) {
	if b, ok := boolean(n); ok && typ == "BOOLEAN" {
		return step.Value{Type: typ, Text: b}, true
	}
	if kind, digits := fractional(typ); digits > 0 {
		text, ok := decimal(n, digits)
		return step.Value{Type: kind, Text: text}, ok
	}
	if n.str("class") == "CAST" && n.kid("cast_type").empty("type_info") && !n.flag("try_cast") {
		if to := n.kid("cast_type").str("id"); to != typ || !texts[to] || constantType(n.kid("child")) != "VARCHAR" {
			return step.Value{}, false
		}
		n = n.kid("child")
	}
	negative := n.str("class") == "FUNCTION" && n.str("function_name") == "-" && len(n.kids("children")) == 1
	if negative {
		n = n.kids("children")[0]
	}
	constant := n.kid("value")
	switch id := constantType(n); {
	case (id == "INTEGER" || id == "BIGINT") && integer(typ):
		v, _ := constant["value"].(json.Number)
		text := v.String()
		if negative {
			text = "-" + text
		}
		return step.Value{Type: "BIGINT", Text: text}, v != ""
	case negative:
	case id == "VARCHAR" && texts[typ]:
		text, ok := constant["value"].(string)
		return step.Value{Type: typ, Text: text}, ok
	}
	return step.Value{}, false
}

// fractional returns how a number is to be compared with a column of a type, DOUBLE or DECIMAL, and how many digits it may have: as many as become
// the same DOUBLE in every system.
func fractional(typ string) (kind string, digits int) {
	switch {
	case typ == "DOUBLE":
		return typ, 15
	case strings.HasPrefix(typ, "DECIMAL("):
		return "DECIMAL", 18
	}
	return "", 0
}

// decimal returns a number that is written without an exponent: 2, -1.50.
func decimal(n node, most int) (text string, ok bool) {
	sign := ""
	if n.str("class") == "FUNCTION" && n.str("function_name") == "-" && len(n.kids("children")) == 1 {
		n, sign = n.kids("children")[0], "-"
	}
	number, _ := n.kid("value")["value"].(json.Number)
	digits := number.String()
	if rest, negative := strings.CutPrefix(digits, "-"); negative && sign == "" {
		digits, sign = rest, "-"
	}
	scale := 0
	switch constantType(n) {
	case "INTEGER", "BIGINT":
	case "DECIMAL":
		info, _ := n.kid("value").kid("type").kid("type_info")["scale"].(json.Number)
		at, err := strconv.Atoi(info.String())
		if err != nil {
			return "", false
		}
		scale = at
	default:
		return "", false
	}
	if digits == "" || len(digits) > most || scale > most || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	if scale > 0 {
		digits = strings.Repeat("0", max(scale+1-len(digits), 0)) + digits
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	return sign + digits, true
}

// boolean returns true or false, which DuckDB parses as casts of the texts t and f.
func boolean(n node) (text string, ok bool) {
	child := n.kid("child")
	if n.str("class") != "CAST" || n.kid("cast_type").str("id") != "BOOLEAN" || n.flag("try_cast") || constantType(child) != "VARCHAR" {
		return "", false
	}
	text, ok = map[string]string{"t": "true", "f": "false"}[child.kid("value").str("value")]
	return text, ok
}

func integer(typ string) bool { return typ == "SMALLINT" || typ == "INTEGER" || typ == "BIGINT" }

// constantType returns the type of a constant that is not NULL, or "".
func constantType(n node) string {
	v := n.kid("value")
	if n.str("class") != "CONSTANT" || v.flag("is_null") {
		return ""
	}
	return v.kid("type").str("id")
}
