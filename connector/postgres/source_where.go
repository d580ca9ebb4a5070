package postgres

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// Narrow implements connector.Narrower: the COPY statements leave out rows that the conditions rule out. A condition by which Postgres may
// mean anything else than DuckDB is left to the program.
func (r *relation) Narrow(conditions []step.Condition) {
	// Rows of a spool are in a file already. Behind a view or a query, a condition may be evaluated before those that keep it from failing.
	if r.spool != nil || !r.about.stored() && !r.src.spec.plain {
		return
	}
	for _, c := range conditions {
		if sql, ok := r.condition(c); ok {
			r.where = append(r.where, sql)
		}
	}
}

// Pushdown implements connector.Pusher: the COPY statements name the columns that are needed, and have the conditions that Narrow takes.
func (r *relation) Pushdown(_ context.Context, program step.Program, columns []string) (connector.Pushdown, error) {
	p := connector.Pushdown{How: "the source's COPY statements", Columns: columns, Of: len(r.columns)}
	if r.spool != nil {
		p.How, p.Columns = "the spool", nil
	}
	for _, c := range program.Where {
		n := len(r.where)
		if r.Narrow([]step.Condition{c}); len(r.where) > n {
			p.Filters = append(p.Filters, c.String())
		} else {
			p.Left = append(p.Left, c.String())
		}
	}
	p.Left = append(p.Left, program.Rest...)
	return p, nil
}

// narrowed adds the conditions to a FROM clause that may have a WHERE.
func (r *relation) narrowed(from, where string) string {
	conditions := r.where
	if where = strings.TrimPrefix(where, " WHERE "); where != "" {
		conditions = slices.Concat([]string{where}, conditions)
	}
	if len(conditions) == 0 {
		return from
	}
	return from + " WHERE " + strings.Join(conditions, " AND ")
}

// condition renders a condition over q, in parentheses where it needs them.
func (r *relation) condition(c step.Condition) (sql string, ok bool) {
	if c.Column == "" {
		parts := make([]string, len(c.Of))
		for i, of := range c.Of {
			if parts[i], ok = r.condition(of); !ok {
				return "", false
			}
		}
		switch {
		case (c.Op == "and" || c.Op == "or") && len(parts) > 0:
			return "(" + strings.Join(parts, " "+strings.ToUpper(c.Op)+" ") + ")", true
		case c.Op == "not" && len(parts) == 1:
			return "(NOT " + parts[0] + ")", true
		}
		return "", false
	}
	col := find(r.columns, c.Column)
	if col == nil {
		return "", false
	}
	name := "q." + quote(col.name)
	switch c.Op {
	case "is null":
		return "(" + isNull(col, name) + ")", true
	case "is not null":
		return "(NOT " + isNull(col, name) + ")", true
	case "true":
		return name, col.typ.base.wire == wireBool
	}
	values := make([]string, len(c.Values))
	for i, v := range c.Values {
		if values[i], ok = r.comparable(col, c.Op, v); !ok {
			return "", false
		}
	}
	switch c.Op {
	case "=", "<>", "<", "<=", ">", ">=":
		return "(" + name + " " + c.Op + " " + values[0] + ")", len(values) == 1
	case "in", "not in":
		return "(" + name + " " + strings.ToUpper(c.Op) + " (" + strings.Join(values, ", ") + "))", len(values) > 0
	}
	return "", false
}

// The texts of times that both systems read alike. A time with a zone must say its offset: the hours that a zone skips or
// repeats are each system's own choice.
var (
	dayText    = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	timeText   = regexp.MustCompile(`^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?$`)
	zoneText   = regexp.MustCompile(`^(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-]\d\d(?::\d\d)?|Z)$`)
	numberText = regexp.MustCompile(`^-?\d+(\.\d+)?$`)
	uuidText   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// comparable renders the literal that a column is compared with, where both systems compare alike: numbers, booleans, dates and
// times without exception, texts where equality is that of their bytes, and their order only where the bytes decide that too.
func (r *relation) comparable(c *column, op string, v step.Value) (sql string, ok bool) {
	equality := op == "=" || op == "<>" || op == "in" || op == "not in"
	t := c.typ.base
	switch t.wire {
	case wireInt2, wireInt4, wireInt8:
		_, err := strconv.ParseInt(v.Text, 10, 64)
		return "'" + v.Text + "'::int8", v.Type == "BIGINT" && err == nil
	case wireFloat8: // both call NaN the largest, and equal to itself
		return literal(v.Text) + "::float8", v.Type == "DOUBLE" && numberText.MatchString(v.Text)
	case wireNumeric:
		_, _, bound := precision(t.typmod) // values of others may have more digits than DuckDB can hold, which is an error and no reason to leave them out
		return literal(v.Text) + "::numeric", v.Type == "DECIMAL" && bound && numberText.MatchString(v.Text)
	case wireBool:
		return v.Text, v.Type == "BOOLEAN" && (v.Text == "true" || v.Text == "false")
	case wireDate:
		return literal(v.Text) + "::date", v.Type == "DATE" && dayText.MatchString(v.Text) && validTime(v.Text)
	case wireTimestamp:
		return literal(v.Text) + "::timestamp", v.Type == "TIMESTAMP" && (dayText.MatchString(v.Text) || timeText.MatchString(v.Text)) && validTime(v.Text)
	case wireTimestamptz:
		m := zoneText.FindStringSubmatch(v.Text)
		return literal(v.Text) + "::timestamptz", v.Type == "TIMESTAMP WITH TIME ZONE" && m != nil && validTime(m[1]) && (m[2] == "Z" || m[2][1:3] <= "14")
	case wireUUID:
		return literal(v.Text) + "::uuid", equality && v.Type == "UUID" && uuidText.MatchString(v.Text)
	case wireText:
		if v.Type != "VARCHAR" || strings.ContainsRune(v.Text, 0) || t.oid != oidText && t.oid != oidVarchar {
			return "", false
		}
		return literal(v.Text) + "::text", equality && c.bytewise || c.ordered && r.utf8
	}
	return "", false
}

// validTime reports whether a date or a time exists, in a year that both calendars have.
func validTime(text string) bool {
	layout := time.DateTime
	if len(text) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	at, err := time.Parse(layout, strings.Replace(text, "T", " ", 1))
	return err == nil && at.Year() > 0
}
