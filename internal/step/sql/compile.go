// Package sqlstep compiles steps that are SQL: everything that a job file offers but functions in other languages. It proves which
// programs are row-wise, follows columns from the source to the output, and finds the step behind a failure.
package sqlstep

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// Compiled is what steps come to over an input.
type Compiled struct {
	Program step.Program
	// Output is the program's columns without step.Tag. Columns that repeat a source column name it in From and keep its Native
	// type and NotNull.
	Output drover.Schema
	// Reads is the source columns that an expression needs, in source order. Columns outside it are moved, or dropped.
	Reads []string
}

// Compile compiles steps over input. The session only parses and binds; no data is read. An error that the user can mend is a
// *drover.Error of kind Invalid with the expression's place in the job: "steps[1].set.revenue".
func Compile(ctx context.Context, s *duck.Session, steps []drover.Step, input drover.Schema) (Compiled, error) {
	c, err := compile(ctx, newProver(s), steps, input)
	if err != nil {
		return Compiled{}, err
	}
	return c.finish(), nil
}

// compiler is the state between two steps.
type compiler struct {
	s      *duck.Session
	prover *prover
	input  drover.Schema

	columns []column
	layers  []layer
	reads   map[string]bool // source columns, lower case
	// opaque says why the program must see whole chunks, and number which step is being compiled, from 1.
	opaque string
	number int
	// filtered says that rows were removed since the last fence.
	filtered bool
}

// column is a column between two steps.
type column struct {
	drover.Column
	// deps is the source columns that its values come from.
	deps []string
}

func compile(ctx context.Context, p *prover, steps []drover.Step, input drover.Schema) (*compiler, error) {
	c := &compiler{s: p.s, prover: p, input: input, reads: map[string]bool{}}
	for _, col := range input {
		if err := c.fits(col.Name, "source", c.columns); err != nil {
			return nil, err
		}
		col.From = col.Name
		c.columns = append(c.columns, column{Column: col, deps: []string{col.Name}})
	}
	if len(input) == 0 {
		return nil, drover.Errorf(drover.Refused, "the source has no columns").WithField("source")
	}
	c.layers = []layer{{items: c.items(), identity: true}}
	for i, st := range steps {
		field := fmt.Sprintf("steps[%d].%s", i, st.Kind())
		c.number = i + 1
		if err := c.step(ctx, st, field); err != nil {
			return nil, err
		}
		if len(c.columns) == 0 {
			return nil, drover.Errorf(drover.Invalid, "step %d (%s) leaves no columns", i+1, st.Kind()).WithField(field)
		}
	}
	if c.opaque != "" {
		for _, col := range c.columns {
			if col.Type == "" {
				return nil, c.untyped(col.Column, "steps")
			}
		}
	}
	return c, nil
}

func (c *compiler) step(ctx context.Context, st drover.Step, field string) error {
	switch st.Kind() {
	case "select":
		return c.selectColumns(st.Select, field)
	case "drop":
		return c.drop(st.Drop, field)
	case "rename":
		return c.rename(st.Rename, field)
	case "filter":
		return c.filter(ctx, st.Filter, field)
	case "set":
		return c.set(ctx, st.Set, field)
	case "cast":
		return c.cast(ctx, st.Cast, field)
	case "sql":
		return c.sql(ctx, st.SQL, field)
	}
	return drover.Errorf(drover.Invalid, "the step is empty").
		WithField(strings.TrimSuffix(field, ".")).WithHint("steps are select, drop, rename, filter, set, cast and sql")
}

func (c *compiler) finish() Compiled {
	out := Compiled{Program: step.Program{SQL: c.render(), RowWise: c.opaque == "", Why: c.opaque}}
	for _, col := range c.columns {
		out.Output = append(out.Output, col.Column)
		if col.From == "" {
			c.read(col.deps)
		}
	}
	for _, col := range c.input {
		if c.reads[strings.ToLower(col.Name)] {
			out.Reads = append(out.Reads, col.Name)
		}
	}
	return out
}

func (c *compiler) read(sources []string) {
	for _, name := range sources {
		c.reads[strings.ToLower(name)] = true
	}
}

// schema is the columns between two steps, as expressions see them.
func (c *compiler) schema() drover.Schema {
	out := make(drover.Schema, len(c.columns))
	for i, col := range c.columns {
		out[i] = col.Column
	}
	return out
}

// deps returns the source columns behind columns of the current schema.
func (c *compiler) deps(names []string) []string {
	schema := c.schema()
	var out []string
	for _, name := range names {
		out = append(out, c.columns[schema.Index(name)].deps...)
	}
	return out
}

// placeholder is a SELECT of no rows with the columns of a schema. Columns without a DuckDB type are blobs in it.
func placeholder(schema drover.Schema) string {
	items := make([]string, len(schema))
	for i, col := range schema {
		typ := col.Type
		if typ == "" {
			typ = "BLOB"
		}
		items[i] = "NULL::" + typ + " AS " + duck.Ident(col.Name)
	}
	return "SELECT " + strings.Join(items, ", ") + " WHERE false"
}
