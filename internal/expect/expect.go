// Package expect checks a job's expectations against the rows that a run has staged.
package expect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	sqlstep "github.com/droverdata/drover/internal/step/sql"
	"github.com/droverdata/drover/internal/vocabulary"
)

// Broken is an expectation that does not hold.
type Broken struct {
	// Expectation is drover.Expectation.String, and Field its place in the job.
	Expectation string `json:"expectation"`
	Field       string `json:"field"`
	// Message says what is wrong, in a few words.
	Message string `json:"message"`
	// Rows is how many rows break it; 0 for an expectation of all rows together.
	Rows int64 `json:"rows,omitempty"`
	// Samples are some of those rows, or of the values that they share: "id=17, state=NULL".
	Samples []string `json:"samples,omitempty"`
}

// Bound is an expectation that fits the rows' columns.
type Bound struct {
	drover.Expectation
	field string
	// breaks is the condition of the rows that break an expectation of single rows.
	breaks string
	// columns are those that it reads, in their own spelling.
	columns []string
	// sums are what is to be added up, here and in the source.
	sums []connector.SumColumn
}

// Bind checks expectations against the columns of the source and of the output. The session only parses and binds. An error that the user can mend is a
// *drover.Error of kind Invalid with its place in the job.
func Bind(ctx context.Context, s *duck.Session, all []drover.Expectation, input, output drover.Schema) ([]Bound, error) {
	bound := make([]Bound, len(all))
	for i, e := range all {
		b := Bound{Expectation: e, field: fmt.Sprintf("expect[%d].%s", i, e.Kind())}
		var err error
		switch e.Kind() {
		case "not_null":
			b.columns, err = columns(e.NotNull, output, b.field, true)
			b.breaks = join(b.columns, "%s IS NULL", " OR ")
		case "unique":
			b.columns, err = columns(e.Unique, output, b.field, false)
		case "accepted_values":
			err = b.accepted(ctx, s, output)
		case "sum_equals_source":
			b.sums, err = sumColumns(e.SumEqualsSource, input, output, b.field)
		case "check":
			var condition string
			condition, b.columns, err = sqlstep.Condition(ctx, s, e.Check, output, b.field)
			b.breaks = "NOT " + condition
		}
		if err != nil {
			return nil, err
		}
		bound[i] = b
	}
	return bound, nil
}

// columns returns the output's spelling of names. untyped says that a column may be one that DuckDB has no type for.
func columns(names []string, output drover.Schema, field string, untyped bool) ([]string, error) {
	out := make([]string, len(names))
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", field, i)
		c, err := column(name, output, at, untyped)
		if err != nil {
			return nil, err
		}
		out[i] = c.Name
	}
	return out, nil
}

func column(name string, output drover.Schema, field string, untyped bool) (drover.Column, error) {
	i := output.Index(name)
	if i < 0 {
		err := drover.Errorf(drover.Invalid, "column %q does not exist in the output", name).WithField(field)
		if near := vocabulary.Nearest(name, output.Names()); near != "" {
			return drover.Column{}, err.WithHint("Did you mean %q?", near)
		}
		return drover.Column{}, err.WithHint("its columns are %s", strings.Join(output.Names(), ", "))
	}
	if c := output[i]; c.Type != "" || untyped {
		return c, nil
	}
	err := drover.Errorf(drover.Invalid, "column %s cannot be compared: %s has no exact counterpart in DuckDB", name, output[i].Native).WithField(field).
		WithHint("expect not_null of it alone, or cast it in source.postgres.query, for example %s::text", duck.Ident(name))
	err.Column = name
	return drover.Column{}, err
}

// accepted binds accepted values: each must be a value of the column's type.
func (b *Bound) accepted(ctx context.Context, s *duck.Session, output drover.Schema) error {
	var conditions []string
	for _, a := range b.AcceptedValues {
		at := b.field + "." + a.Column
		c, err := column(a.Column, output, vocabulary.Key(at), false)
		if err != nil {
			return err
		}
		values := make([]string, len(a.Values))
		for i, v := range a.Values {
			values[i] = "CAST(" + duck.Literal(v) + " AS " + c.Type + ")"
			if err := s.Exec(ctx, "SELECT "+values[i]); err != nil {
				if ctx.Err() != nil || drover.KindOf(err) == "" {
					return fmt.Errorf("convert an accepted value: %w", err)
				}
				return drover.Errorf(drover.Invalid, "%q is no value of column %s, which is %s", v, c.Name, c.Type).WithField(fmt.Sprintf("%s[%d]", at, i))
			}
		}
		b.columns = append(b.columns, c.Name)
		conditions = append(conditions, duck.Ident(c.Name)+" NOT IN ("+strings.Join(values, ", ")+")")
	}
	b.breaks = strings.Join(conditions, " OR ")
	return nil
}

// join writes each column by format and puts sep between them.
func join(columns []string, format, sep string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = fmt.Sprintf(format, duck.Ident(c))
	}
	return strings.Join(parts, sep)
}

// Staged is rows to check.
type Staged struct {
	Session       *duck.Session
	Input, Output drover.Schema
	// Sources are the sums that the rows' source has.
	Sources []Source
	// Part says that these are some of the rows: only expectations of single rows are checked.
	Part bool
	// Relation returns a parenthesised SELECT of all rows, with Output's columns, to be read once.
	Relation func() string
}

// Check returns the number of rows and the expectations that they break, in order. An expectation that DuckDB cannot evaluate, because a
// value makes it fail, is broken too.
func Check(ctx context.Context, rows Staged, all []drover.Expectation) (int64, []Broken, error) {
	bound, err := Bind(ctx, rows.Session, all, rows.Input, rows.Output)
	if err != nil {
		return 0, nil, err
	}
	c := checker{Staged: rows, all: bound}
	n, found, err := c.counts(ctx)
	if err != nil {
		return 0, nil, err
	}
	var broken []Broken
	for i, b := range bound {
		if rows.Part && b.breaks == "" {
			continue
		}
		f, err := c.judge(ctx, b, n, found[i])
		if err != nil {
			return 0, nil, err
		}
		if f != nil {
			f.Expectation, f.Field = b.String(), b.field
			broken = append(broken, *f)
		}
	}
	return n, broken, nil
}

type checker struct {
	Staged
	all []Bound
}

// count is how many rows break an expectation of single rows, or why nobody knows.
type count struct {
	rows   int64
	failed string
}

// counts reads the rows once for the expectations of all rows and of single ones. Where one of these fails to be evaluated, each is tried by
// itself.
func (c checker) counts(ctx context.Context) (int64, []count, error) {
	out := make([]count, len(c.all))
	var at []int
	for i, b := range c.all {
		if b.breaks != "" {
			at = append(at, i)
		}
	}
	total, counted, err := c.pass(ctx, at)
	if err == nil {
		for k, i := range at {
			out[i].rows = counted[k]
		}
		return total, out, nil
	}
	if !ofData(ctx, err) {
		return 0, nil, err
	}
	if total, _, err = c.pass(ctx, nil); err != nil {
		return 0, nil, err
	}
	for _, i := range at {
		_, counted, err := c.pass(ctx, []int{i})
		switch {
		case err == nil:
			out[i].rows = counted[0]
		case ofData(ctx, err):
			out[i].failed = firstLine(err.Error())
		default:
			return 0, nil, err
		}
	}
	return total, out, nil
}

// ofData tells a value that an expectation cannot be evaluated for from any other failure.
func ofData(ctx context.Context, err error) bool {
	return ctx.Err() == nil && drover.KindOf(err) == drover.Data
}

// pass counts all rows, and those that break some of the expectations.
func (c checker) pass(ctx context.Context, some []int) (total int64, counted []int64, err error) {
	list := []string{"count(*)"}
	for _, i := range some {
		list = append(list, "count(*) FILTER (WHERE "+c.all[i].breaks+")")
	}
	numbers, err := c.numbers(ctx, "SELECT "+strings.Join(list, ", ")+" FROM "+c.Relation()+" AS chunk")
	if err != nil {
		return 0, nil, err
	}
	return numbers[0], numbers[1:], nil
}

// numbers returns the one row of a query, of BIGINTs.
func (c checker) numbers(ctx context.Context, query string) ([]int64, error) {
	rows, err := c.Session.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	chunk, err := rows.Next()
	if err != nil {
		return nil, err
	}
	if chunk.Rows() != 1 {
		return nil, errors.New("an aggregate returned no row")
	}
	out := make([]int64, chunk.Columns())
	for i := range out {
		out[i] = duck.Data[int64](chunk.Vector(i))[0]
	}
	return out, nil
}

// judge returns what is wrong, or nil.
func (c checker) judge(ctx context.Context, b Bound, total int64, found count) (*Broken, error) {
	if found.failed != "" {
		return &Broken{Message: "it cannot be evaluated: " + found.failed}, nil
	}
	switch b.Kind() {
	case "rows":
		ok, err := b.RowsHold(total)
		if ok || err != nil {
			return nil, err
		}
		return &Broken{Message: thereAre(total)}, nil
	case "unique":
		return c.unique(ctx, b)
	case "sum_equals_source":
		return c.sums(ctx, b)
	}
	if found.rows == 0 {
		return nil, nil
	}
	samples, err := c.samples(ctx, c.shown(b), "SELECT * FROM "+c.Relation()+" AS chunk WHERE "+b.breaks)
	return &Broken{Message: b.message(found.rows), Rows: found.rows, Samples: samples}, err
}

// message says how many single rows break it.
func (b Bound) message(rows int64) string {
	what := map[string]string{"not_null": " with NULL", "accepted_values": " with another value", "check": " for which it is false"}
	return plural(rows, "row") + what[b.Kind()]
}

// times is the column that says how many rows have a value.
const times = "__drover_times"

// unique groups the rows by their values; DuckDB spills to disk what exceeds its memory.
func (c checker) unique(ctx context.Context, b Bound) (*Broken, error) {
	list := join(b.columns, "%s", ", ")
	twice := func() string {
		return fmt.Sprintf("SELECT %s, count(*) AS %s FROM %s AS chunk WHERE %s GROUP BY %s HAVING count(*) > 1",
			list, times, c.Relation(), join(b.columns, "%s IS NOT NULL", " AND "), list)
	}
	n, err := c.numbers(ctx, fmt.Sprintf("SELECT count(*), coalesce(sum(%s), 0)::BIGINT FROM (%s)", times, twice()))
	if err != nil {
		if ofData(ctx, err) {
			return &Broken{Message: "it cannot be evaluated: " + firstLine(err.Error())}, nil
		}
		return nil, err
	}
	if n[0] == 0 {
		return nil, nil
	}
	samples, err := c.samples(ctx, append(slices.Clone(b.columns), times), twice())
	return &Broken{
		Message: fmt.Sprintf("%s share %s", plural(n[1], "row"), plural(n[0], "value")), Rows: n[1], Samples: samples,
	}, err
}

func thereAre(rows int64) string {
	if rows == 1 {
		return "there is 1 row"
	}
	return "there are " + plural(rows, "row")
}
