package postgres

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// bounds is what a chunk reads. The zero value reads everything. Values are in Postgres's text output.
type bounds struct {
	// By is a column; one of Key, Null and Others says which of its values are meant.
	By     string   `json:"by,omitempty"`
	Key    *string  `json:"key,omitempty"`
	Null   bool     `json:"null,omitempty"`
	Others []string `json:"others,omitempty"` // NULL, and all values but these
	// Columns are a key, read behind After and up to Upto in its order. Either may be missing. Beside By they are a part of the value's rows.
	Columns []string `json:"columns,omitempty"`
	After   []string `json:"after,omitempty"`
	Upto    []string `json:"upto,omitempty"`
	// Pages are heap pages: from the first, up to but not with the second, which is -1 for no end.
	Pages *[2]int64 `json:"pages,omitempty"`
}

// where returns the bounds as a WHERE clause over q, or "".
func (b bounds) where(d *description) (string, error) {
	switch {
	case b.Pages != nil:
		where := fmt.Sprintf(" WHERE q.ctid >= '(%d,0)'::tid", b.Pages[0])
		if b.Pages[1] >= 0 {
			where += fmt.Sprintf(" AND q.ctid < '(%d,0)'::tid", b.Pages[1])
		}
		return where, nil
	case b.By == "":
		return b.whereRange(d, nil)
	}
	value, err := b.whereValue(d)
	if err != nil || b.Columns == nil {
		return value, err
	}
	var first []string
	if value != "" {
		first = []string{strings.TrimPrefix(value, " WHERE ")}
	}
	return b.whereRange(d, first)
}

// whereRange adds the range of the key to conditions.
func (b bounds) whereRange(d *description, conditions []string) (string, error) {
	types := make([]string, len(b.Columns))
	for i, name := range b.Columns {
		c := find(d.columns, name)
		if c == nil {
			return "", changed(name, "is gone since the run was planned")
		}
		types[i] = c.typ.castable()
	}
	if b.After != nil {
		conditions = append(conditions, row(quoteQ(b.Columns))+" > "+row(literals(b.After, types)))
	}
	if b.Upto != nil {
		conditions = append(conditions, row(quoteQ(b.Columns))+" <= "+row(literals(b.Upto, types)))
	}
	if conditions == nil {
		return "", nil
	}
	return " WHERE " + strings.Join(conditions, " AND "), nil
}

func (b bounds) whereValue(d *description) (string, error) {
	c := find(d.columns, b.By)
	if c == nil {
		return "", changed(b.By, "is gone since the run was planned")
	}
	name := "q." + quote(b.By)
	switch {
	case b.Null:
		return " WHERE " + isNull(c, name), nil
	case b.Key != nil:
		return " WHERE " + name + " = " + literal(*b.Key) + "::" + c.typ.castable(), nil
	}
	if len(b.Others) == 0 {
		return "", nil
	}
	// NOT IN over a list without NULLs, which the server hashes however long it is.
	return fmt.Sprintf(" WHERE (%s OR %s NOT IN (SELECT unnest(%s::text[])::%s))",
		isNull(c, name), name, literal(arrayText(b.Others)), c.typ.castable()), nil
}

// isNull is the condition that picks the NULLs of a column. IS NULL is true of a row whose fields all are NULL, which is a value.
func isNull(c *column, name string) string {
	if c.typ.base.send == "record_send" {
		return name + " IS NOT DISTINCT FROM NULL"
	}
	return name + " IS NULL"
}

// row joins expressions for a row comparison.
func row(expressions []string) string {
	if len(expressions) == 1 {
		return expressions[0]
	}
	return "(" + strings.Join(expressions, ", ") + ")"
}

func quoteQ(names []string) []string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "q." + quote(n)
	}
	return quoted
}

func literals(values, types []string) []string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = literal(v) + "::" + types[i]
	}
	return quoted
}

// arrayText is the text form of a one-dimensional array.
func arrayText(values []string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = `"` + escape.Replace(v) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}

// chunk makes a Chunk of bounds.
func (b bounds) chunk(key string, rows, bytes int64) (connector.Chunk, error) {
	data, err := json.Marshal(b)
	if err != nil {
		return connector.Chunk{}, fmt.Errorf("encode the bounds of chunk %s: %w", key, err)
	}
	return connector.Chunk{Key: key, Bounds: data, Rows: rows, Bytes: bytes}, nil
}

// chunkColumn finds the column that chunk.by names: exactly, or else without regard to case.
func chunkColumn(d *description, name string) (*column, error) {
	if c := find(d.columns, name); c != nil {
		return c, nil
	}
	var names []string
	for i, c := range d.columns {
		if strings.EqualFold(c.name, name) {
			return &d.columns[i], nil
		}
		names = append(names, c.name)
	}
	return nil, drover.Errorf(drover.Invalid, "chunk.by names a column %q that the source does not have", name).
		WithField("chunk.by").WithHint("its columns are %s", strings.Join(names, ", "))
}
