// Package sqlstep compiles steps that are SQL: everything that a job file offers but functions in other languages. It proves which
// programs are row-wise, follows columns from the source to the output, and finds the step behind a failure.
package sqlstep

import (
	"context"
	"fmt"
	"slices"
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
	// Opaque is the index of the first step that sees one chunk at a time, where the program is not row-wise.
	Opaque int
}

// Compile compiles steps over input, none of which calls a function; first is the place in the job of the first of them. The session only
// parses and binds; no data is read. An error that the user can mend is a *drover.Error of kind Invalid with the expression's place in the
// job: "steps[1].set.revenue".
func Compile(ctx context.Context, s *duck.Session, steps []drover.Step, first int, input drover.Schema) (Compiled, error) {
	p := newProver(s, first)
	c, err := compile(ctx, p, steps, input)
	if err != nil {
		return Compiled{}, err
	}
	out := c.finish()
	return out, fold(ctx, p, steps, input, out.Program)
}

// fold has DuckDB fold the program's constants, which binding leaves alone. It meets those that fail on every row: a > 'x' where a is a
// number. The input must be a relation of which DuckDB knows nothing, or it is folded away first.
func fold(ctx context.Context, p *prover, steps []drover.Step, input drover.Schema, program step.Program) error {
	columns := append(slices.Clone(input), drover.Column{Name: step.Tag, Type: "BIGINT"})
	for i := range columns {
		if columns[i].Type == "" {
			columns[i].Type = "BLOB"
		}
	}
	scan, remove, err := p.s.AddScan(columns, func() (duck.Filler, error) {
		return func(duck.Chunk, []int) (int, error) { return 0, nil }, nil
	})
	if err != nil {
		return fmt.Errorf("declare the source's columns: %w", err)
	}
	defer remove()
	prepare := func(_ context.Context, query string) (*drover.Error, error) {
		st, err := p.s.Prepare(query)
		if err != nil {
			return failure(err)
		}
		st.Close()
		return nil, nil
	}
	found, err := prepare(ctx, program.Chunk(scan, 0))
	if found == nil || err != nil {
		return err
	}
	at, err := newExplainer(p, steps, input).explain(ctx, scan, prepare)
	if err != nil {
		return err
	}
	if at == nil {
		at = found
	}
	at.Kind, at.Offset, at.Sample = drover.Invalid, 0, ""
	return at
}

// compiler is the state between two steps.
type compiler struct {
	s      *duck.Session
	prover *prover
	input  drover.Schema

	columns []column
	layers  []layer
	reads   map[string]bool // source columns, lower case
	// opaque says why the program must see whole chunks, and opaqueStep which step made it so, from 0.
	opaque     string
	opaqueStep int
	// number is the step that is being compiled, from 1.
	number int
	// filtered says that rows were removed since the last fence.
	filtered bool
	// where and rest are step.Program's Where and Rest.
	where []step.Condition
	rest  []string
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
		field := fmt.Sprintf("steps[%d].%s", p.first+i, st.Kind())
		c.number = p.first + i + 1
		if err := c.step(ctx, st, field); err != nil {
			return nil, err
		}
		if len(c.columns) == 0 {
			return nil, drover.Errorf(drover.Invalid, "step %d (%s) leaves no columns", c.number, st.Kind()).WithField(field)
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
	case "downcast":
		return c.downcast(st.Downcast, field)
	case "sql":
		return c.sql(ctx, st.SQL, field)
	}
	return drover.Errorf(drover.Invalid, "the step is empty").
		WithField(strings.TrimSuffix(field, ".")).WithHint("steps are select, drop, rename, filter, set, cast, downcast, sql and python")
}

func (c *compiler) finish() Compiled {
	out := Compiled{Program: step.Program{SQL: c.render(), RowWise: c.opaque == "", Why: c.opaque, Where: c.where, Rest: c.rest}, Opaque: c.opaqueStep}
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
