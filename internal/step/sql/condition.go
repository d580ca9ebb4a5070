package sqlstep

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// Condition checks that text is a condition over one row of a relation named chunk with these columns, and returns it in parentheses with the
// columns that it reads. The session only parses and binds. Errors are like Compile's, with field as their place.
func Condition(ctx context.Context, s *duck.Session, text string, columns drover.Schema, field string) (sql string, reads []string, err error) {
	c, err := compile(ctx, newProver(s, 0), nil, columns)
	if err != nil {
		return "", nil, err
	}
	e, err := c.expression(ctx, text, field)
	if err != nil {
		return "", nil, err
	}
	if e.typ != "BOOLEAN" {
		return "", nil, drover.Errorf(drover.Invalid, "a condition must be BOOLEAN; this is %s", e.typ).WithField(field).
			WithHint("compare it with something, for example %s IS NOT NULL", shorten(text, 80))
	}
	if err := c.constants(ctx, e, text, field); err != nil {
		return "", nil, err
	}
	return e.sql, e.reads, nil
}

// constants finds constants that fail on every row, such as 'x' in id > 'x', by evaluating the expression for a row of NULLs, of which nothing
// else can fail to be converted. Nested values are left to the run: a NULL of theirs is more than a bit.
func (c *compiler) constants(ctx context.Context, e expr, text, field string) error {
	schema := c.schema()
	for _, name := range e.reads {
		if typ := schema[schema.Index(name)].Type; strings.ContainsAny(typ, "[(") && !strings.HasPrefix(typ, "DECIMAL") && !strings.HasPrefix(typ, "ENUM") {
			return nil
		}
	}
	rows := 1
	scan, remove, err := c.s.AddScan(blobs(schema), func() (duck.Filler, error) {
		return func(out duck.Chunk, projection []int) (int, error) {
			n := rows
			rows = 0
			for i := range projection {
				if n > 0 {
					duck.SetNull(out.Vector(i).WritableMask(), 0)
				}
			}
			return n, nil
		}, nil
	})
	if err != nil {
		return fmt.Errorf("declare the columns: %w", err)
	}
	defer remove()
	found, err := failure(c.s.Exec(ctx, selectWord+e.sql+" FROM (SELECT * FROM "+scan+") AS "+chunkName))
	if found == nil || found.Code != conversionError {
		return err
	}
	found.Kind, found.Offset = drover.Invalid, 0
	return place(found, field, 0, len(text))
}

// conversionError is DuckDB's name for a value that a type does not hold.
const conversionError = "Conversion Error"

// blobs gives columns that DuckDB has no type for the type of their bytes.
func blobs(columns drover.Schema) drover.Schema {
	out := make(drover.Schema, len(columns))
	for i, col := range columns {
		out[i] = drover.Column{Name: col.Name, Type: col.Type}
		if col.Type == "" {
			out[i].Type = "BLOB"
		}
	}
	return out
}
