package step

import "strings"

// Condition is a filter over source columns that a source may apply before it hands rows over. The program applies it too: a source
// that cannot mean exactly the same leaves it alone.
//
// A leaf compares Column with Values: "=", "<>", "<", "<=", ">", ">=" with one, "in" and "not in" with some; "is null",
// "is not null" and "true" (a BOOLEAN column by itself) have none. "and" and "or" join Of, "not" negates its only one. NULLs follow
// SQL's three-valued logic: rows stay where the condition is true. Conditions have no order: a row that one leaves out never meets
// another, on which it might have failed.
type Condition struct {
	Op     string      `json:"op"`
	Column string      `json:"column,omitempty"`
	Values []Value     `json:"values,omitempty"`
	Of     []Condition `json:"of,omitempty"`
}

// Value is a literal as it is compared: the name of its DuckDB type, BIGINT for every integer, and its text. A text or a number that is compared
// with a column of another type has that column's type, DECIMAL without its width.
type Value struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// String is the condition as SQL, for people: names are not quoted.
func (c Condition) String() string {
	values := make([]string, len(c.Values))
	for i, v := range c.Values {
		values[i] = v.String()
	}
	switch {
	case c.Column == "" && c.Op == "not" && len(c.Of) == 1:
		return "NOT (" + c.Of[0].String() + ")"
	case c.Column == "":
		parts := make([]string, len(c.Of))
		for i, of := range c.Of {
			parts[i] = of.String()
		}
		return "(" + strings.Join(parts, " "+strings.ToUpper(c.Op)+" ") + ")"
	case c.Op == "true":
		return c.Column
	case c.Op == "in" || c.Op == "not in":
		return c.Column + " " + strings.ToUpper(c.Op) + " (" + strings.Join(values, ", ") + ")"
	case len(values) == 1:
		return c.Column + " " + c.Op + " " + values[0]
	}
	return c.Column + " " + strings.ToUpper(c.Op)
}

// String is the value as an SQL literal.
func (v Value) String() string {
	switch v.Type {
	case "BIGINT", "BOOLEAN", "DOUBLE", "DECIMAL":
		return v.Text
	}
	return "'" + strings.ReplaceAll(v.Text, "'", "''") + "'"
}
