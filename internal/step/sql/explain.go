package sqlstep

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// maxSample and maxMessage bound what an error shows of a value and of DuckDB's message, in bytes.
const (
	maxSample  = 60
	maxMessage = 240
)

// Explain looks for the step and the column behind the failure of a chunk; steps and first are Compile's. relation yields schema's columns and step.Tag, and may be
// scanned any number of times; the session runs nothing else meanwhile. The answer is of kind Data with Field, Column and Sample
// filled where they are known, and nil where no step fails over relation.
//
// It runs ever longer prefixes of the steps until one fails, then the expressions of that step one by one, then the one at fault
// over ever fewer rows to find one. A failed chunk can afford that.
func Explain(ctx context.Context, s *duck.Session, steps []drover.Step, first int, schema drover.Schema, relation string) (*drover.Error, error) {
	return NewExplainer(s, steps, first, schema).Explain(ctx, relation)
}

// Explainer is Explain for many relations, one after the other.
type Explainer struct {
	p        *prover
	steps    []drover.Step
	schema   drover.Schema
	prefixes map[int]*compiler
	suspects map[int][]suspect
}

// NewExplainer returns an Explainer; its arguments are Explain's.
func NewExplainer(s *duck.Session, steps []drover.Step, first int, schema drover.Schema) *Explainer {
	return newExplainer(newProver(s, first), steps, schema)
}

func newExplainer(p *prover, steps []drover.Step, schema drover.Schema) *Explainer {
	return &Explainer{p: p, steps: steps, schema: schema, prefixes: map[int]*compiler{}, suspects: map[int][]suspect{}}
}

// Explain is the package's Explain for one more relation.
func (x *Explainer) Explain(ctx context.Context, relation string) (*drover.Error, error) {
	return x.explain(ctx, relation, func(ctx context.Context, query string) (*drover.Error, error) {
		return failure(x.p.s.Exec(ctx, query))
	})
}

// prefix compiles the first n steps, once.
func (x *Explainer) prefix(ctx context.Context, n int) (*compiler, error) {
	c := x.prefixes[n]
	if c == nil {
		var err error
		if c, err = compile(ctx, x.p, x.steps[:n], x.schema); err != nil {
			return nil, err
		}
		x.prefixes[n] = c
	}
	return c, nil
}

// try runs a query. An error of the query is the first result, one of anything else the second.
type try func(ctx context.Context, query string) (*drover.Error, error)

// failure sorts an error into try's results. All that runs here was bound before, so what is wrong with it is the data's or a constant's.
func failure(err error) (*drover.Error, error) {
	var e *drover.Error
	if errors.As(err, &e) && (e.Kind == drover.Data || e.Kind == drover.Invalid) {
		return e, nil
	}
	return nil, err
}

func (x *Explainer) explain(ctx context.Context, relation string, attempt try) (*drover.Error, error) {
	if c, err := x.prefix(ctx, 0); err != nil {
		return nil, err
	} else if unreadable, err := attempt(ctx, c.finish().Program.Over(relation)); unreadable != nil || err != nil {
		return nil, err // the source cannot be read: no step is to blame
	}
	for n := range x.steps {
		c, err := x.prefix(ctx, n+1)
		if err != nil {
			return nil, err
		}
		found, err := attempt(ctx, c.finish().Program.Chunk(relation, 0))
		if err != nil {
			return nil, err
		}
		if found != nil {
			return x.blame(ctx, n, relation, found, attempt)
		}
	}
	return nil, nil
}

// suspect is an expression of a step that may have failed.
type suspect struct {
	field, column, sql string
	reads              []string
}

// blame finds which expression of step n failed.
func (x *Explainer) blame(ctx context.Context, n int, relation string, found *drover.Error, attempt try) (*drover.Error, error) {
	st, place := x.steps[n], x.p.first+n
	out := *found
	out.Field = fmt.Sprintf("steps[%d].%s", place, st.Kind())
	c, err := x.prefix(ctx, n)
	if err != nil {
		return nil, err
	}
	if x.suspects[n] == nil {
		if x.suspects[n], err = c.suspects(ctx, st, out.Field); err != nil {
			return nil, err
		}
	}
	before := "(" + c.finish().Program.Chunk(relation, 0) + ") AS chunk"
	for _, part := range x.suspects[n] {
		found, err := attempt(ctx, "SELECT "+part.sql+" FROM "+before)
		if err != nil {
			return nil, err
		}
		if found == nil {
			continue
		}
		out = *found
		out.Field, out.Column = part.field, part.column
		if err := sample(ctx, x.p.s, part, before, &out); err != nil {
			return nil, err
		}
		break
	}
	out.Kind = drover.Data
	message, _, _ := strings.Cut(out.Message, "\n")
	message = shorten(message, maxMessage) // it repeats the value, which may be long
	out.Message = fmt.Sprintf("step %d (%s): %s", place+1, st.Kind(), message)
	if out.Code != "" {
		out.Message = fmt.Sprintf("step %d (%s): %s: %s", place+1, st.Kind(), out.Code, message)
	}
	return &out, nil
}

// suspects lists the expressions of a step over the compiler's columns.
func (c *compiler) suspects(ctx context.Context, st drover.Step, field string) ([]suspect, error) {
	var out []suspect
	add := func(field, column, text string) error {
		e, err := c.expression(ctx, text, field)
		if err != nil {
			return err
		}
		out = append(out, suspect{field: field, column: column, sql: e.sql, reads: e.reads})
		return nil
	}
	switch st.Kind() {
	case "filter":
		return out, add(field, "", st.Filter)
	case "set":
		for _, p := range st.Set {
			if err := add(field+"."+p.Key, p.Key, p.Value); err != nil {
				return nil, err
			}
		}
	case "cast":
		for _, p := range st.Cast {
			typ, err := c.typeName(ctx, p.Value, field+"."+p.Key)
			if err != nil {
				return nil, err
			}
			if err := add(field+"."+p.Key, p.Key, "CAST("+duck.Ident(p.Key)+" AS "+typ+")"); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// samples is the temporary table in which sample looks for a row.
const samples = "__drover_sample"

// sample finds a row on which x fails, and in it the value at fault: of the only column that x reads, or of the one whose value the
// message repeats. It halves the rows until one is left: DuckDB's TRY would find it in one pass, but where the expression has a coalesce or a
// CASE it corrupts memory (DuckDB 1.5.5).
func sample(ctx context.Context, s *duck.Session, x suspect, before string, out *drover.Error) error {
	if len(x.reads) == 0 {
		return nil
	}
	columns := make([]string, len(x.reads))
	for i, name := range x.reads {
		columns[i] = duck.Ident(name)
	}
	rows, err := failingRow(ctx, s, x.sql, "SELECT "+strings.Join(columns, ", ")+" FROM "+before)
	if err != nil || len(rows) == 0 {
		var e *drover.Error
		if err == nil || errors.As(err, &e) {
			return nil // the error goes without a sample
		}
		return err
	}
	guilty := -1
	for i, v := range rows[0] {
		if v != nil && *v != "" && strings.Contains(out.Message, *v) && (guilty < 0 || len(*v) > len(*rows[0][guilty])) {
			guilty = i
		}
	}
	if guilty < 0 && len(x.reads) == 1 {
		guilty = 0
	}
	if guilty >= 0 {
		out.Column = x.reads[guilty]
		if v := rows[0][guilty]; v != nil {
			out.Sample = shorten(*v, maxSample)
		}
	}
	return nil
}

// failingRow returns one row of query, as text, on which the expression fails; none if it does not fail.
func failingRow(ctx context.Context, s *duck.Session, expression, query string) (_ [][]*string, err error) {
	if rows, err := s.Texts(ctx, query+" LIMIT 2"); err != nil || len(rows) == 1 {
		return rows, err // it is known to fail
	}
	if err := s.Exec(ctx, "CREATE OR REPLACE TEMP TABLE "+samples+" AS "+query); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Exec(ctx, "DROP TABLE "+samples)) }()
	within := func(from, to int) string {
		return fmt.Sprintf("(SELECT * FROM %s WHERE rowid >= %d AND rowid < %d) AS chunk", samples, from, to)
	}
	fails := func(from, to int) (bool, error) {
		found, err := failure(s.Exec(ctx, "SELECT "+expression+" FROM "+within(from, to)))
		return found != nil, err
	}
	counted, err := s.Texts(ctx, "SELECT count(*) FROM "+samples)
	if err != nil {
		return nil, err
	}
	from, to := 0, 0
	if to, err = strconv.Atoi(*counted[0][0]); err != nil {
		return nil, err
	}
	if failed, err := fails(from, to); err != nil || !failed {
		return nil, err
	}
	for to-from > 1 {
		middle := (from + to) / 2
		failed, err := fails(from, middle)
		if err != nil {
			return nil, err
		}
		if failed {
			to = middle
		} else {
			from = middle
		}
	}
	return s.Texts(ctx, "SELECT * FROM "+within(from, to))
}
