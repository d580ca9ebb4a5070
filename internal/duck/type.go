package duck

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	db "github.com/duckdb/duckdb-go-bindings"
)

// Ident quotes an identifier.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Literal quotes a text.
func Literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// OpenLists is a type's SQL spelling with a list of any size for each list of a fixed one, at any depth.
func OpenLists(typ string) string {
	var b strings.Builder
	var quote rune // of the name or the text that we are in
	size := false
	for _, c := range typ {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0 // of a doubled quote, the second opens it again
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '[':
			size = true
		case c == ']':
			size = false
		case size:
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// logicalType turns a type's SQL spelling into DuckDB's type object, which the caller destroys.
func (s *Session) logicalType(name string) (db.LogicalType, error) {
	st, err := s.Prepare("SELECT CAST(NULL AS " + name + ")")
	if err != nil {
		return db.LogicalType{}, fmt.Errorf("type %s: %w", name, err)
	}
	defer st.Close()
	return db.PreparedStatementColumnLogicalType(st.st, 0), nil
}

// Describe returns the columns of a SELECT, without running it. Errors carry the offset of DuckDB's caret in sql.
func (s *Session) Describe(ctx context.Context, sql string) (drover.Schema, error) {
	const verb = "DESCRIBE "
	rows, err := s.Query(ctx, verb+sql)
	if err != nil {
		var e *drover.Error
		if errors.As(err, &e) && e.Offset > 0 {
			e.Offset = max(e.Offset-len(verb), 0)
		}
		return nil, err
	}
	defer rows.Close()
	var schema drover.Schema
	for {
		c, err := rows.Next()
		if err != nil {
			return nil, err
		}
		if c.Rows() == 0 {
			return schema, nil
		}
		names, types := Data[String](c.Vector(0)), Data[String](c.Vector(1))
		for i := range c.Rows() {
			schema = append(schema, drover.Column{Name: string(names[i].Bytes()), Type: string(types[i].Bytes())})
		}
	}
}
