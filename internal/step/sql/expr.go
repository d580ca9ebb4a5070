package sqlstep

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/vocabulary"
)

// expr is one checked expression over the current columns.
type expr struct {
	sql  string // in parentheses
	typ  string
	node node
	// reads is the columns that it mentions; plain is that column if it is nothing else.
	reads []string
	plain bool
}

// selectWord precedes an expression where it is parsed and bound by itself.
const selectWord = "SELECT "

// expression checks that text is one row-wise expression over the current columns.
func (c *compiler) expression(ctx context.Context, text, field string) (expr, error) {
	bad := func(format string, args ...any) *drover.Error {
		return drover.Errorf(drover.Invalid, format, args...).WithField(field)
	}
	if err := embeddable(text, field); err != nil {
		return expr{}, err
	}
	trees, err := parse(ctx, c.s, selectWord+text)
	if err != nil {
		return expr{}, place(err, field, len(selectWord), len(text))
	}
	n, ok := single(trees)
	if !ok {
		return expr{}, bad("%q is not one expression", shorten(text, 80))
	}
	schema := c.schema()
	sc := scope{columns: schema, relation: chunkName}
	o, err := c.prover.expression(ctx, n, &sc)
	if err != nil {
		return expr{}, err
	}
	if o != nil {
		e := bad("%s", o.why)
		e.Hint = o.hint
		if o.unknown != "" {
			e = unknownColumn(o.unknown, schema).WithField(field)
		}
		if o.at >= len(selectWord) {
			e.Offset = o.at - len(selectWord) + 1
		}
		return expr{}, e
	}
	plain := c.plainRef(n, chunkName) >= 0
	for _, name := range sc.reads {
		if col := schema[schema.Index(name)]; col.Type == "" && !plain {
			return expr{}, c.untyped(col, field)
		}
	}
	if err := c.castsBetweenTypes(ctx, n, field); err != nil {
		return expr{}, err
	}
	sql := parenthesize(text)
	cols, err := c.s.Describe(ctx, selectWord+sql+" AS x FROM ("+placeholder(schema)+") AS chunk")
	if err != nil {
		return expr{}, place(err, field, len(selectWord)+1, len(text))
	}
	return expr{sql: sql, typ: cols[0].Type, node: n, reads: sc.reads, plain: plain}, nil
}

// single returns the expression of SELECT <expression> if the statements are nothing more than that.
func single(trees []node) (node, bool) {
	if len(trees) != 1 || trees[0].str("type") != "SELECT_NODE" {
		return nil, false
	}
	t := trees[0]
	items := t.kids("select_list")
	bare := len(items) == 1 && items[0].str("alias") == "" && t.kid("from_table").str("type") == "EMPTY" && plainSelect(t) && t.empty("where_clause")
	if !bare {
		return nil, false
	}
	return items[0], true
}

// plainSelect reports whether a SELECT has no clause but the list, FROM and WHERE.
func plainSelect(t node) bool {
	return t.str("type") == "SELECT_NODE" && t.empty("modifiers") && t.empty("group_expressions") && t.empty("group_sets") &&
		t.empty("having") && t.empty("qualify") && t.empty("sample") && t.kid("cte_map").empty("map") &&
		t.str("aggregate_handling") == "STANDARD_HANDLING"
}

// parenthesize puts an expression in parentheses; a comment at its end must not swallow the last one.
func parenthesize(text string) string {
	if strings.Contains(text, "--") {
		return "(" + text + "\n)"
	}
	return "(" + text + ")"
}

// embeddable refuses a text that cannot become a part of a program.
func embeddable(text, field string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return drover.Errorf(drover.Invalid, "the expression is empty").WithField(field)
	case strings.Contains(text, "/*drover:"):
		return drover.Errorf(drover.Invalid, "/*drover: is reserved").WithField(field).WithHint("remove the comment")
	case strings.ContainsRune(text, 0):
		return drover.Errorf(drover.Invalid, "a NUL character is not SQL").WithField(field)
	}
	return nil
}

// place gives an Invalid error of DuckDB its place in the job. shift is where the user's text of n bytes began in the SQL.
func place(err error, field string, shift, n int) error {
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Invalid {
		return fmt.Errorf("compile %s: %w", field, err)
	}
	out := *e
	out.Field = field
	if out.Offset > 0 {
		out.Offset -= shift
		if out.Offset < 1 || out.Offset > n+1 {
			out.Offset = 0
		}
	}
	// DuckDB's first line says what is wrong, the others what may have been meant.
	first, rest, _ := strings.Cut(out.Message, "\n")
	out.Message = strings.TrimRight(first, ".!")
	if out.Code != "" {
		out.Message = out.Code + ": " + out.Message
	}
	if out.Hint == "" && rest != "" {
		out.Hint = shorten(strings.Join(strings.Fields(rest), " "), 300)
	}
	return &out
}

func (c *compiler) filter(ctx context.Context, text, field string) error {
	e, err := c.expression(ctx, text, field)
	if err != nil {
		return err
	}
	if e.typ != "BOOLEAN" {
		return drover.Errorf(drover.Invalid, "a filter must be BOOLEAN; this is %s", e.typ).WithField(field).
			WithHint("compare it with something, for example %s IS NOT NULL", shorten(text, 80))
	}
	c.read(c.deps(e.reads))
	if err := c.narrow(ctx, e.node); err != nil {
		return err
	}
	c.keep(e.sql, !harmless(e.node, c.schema()))
	return nil
}

func (c *compiler) set(ctx context.Context, pairs []drover.Pair, field string) error {
	out, items := append([]column(nil), c.columns...), c.items()
	schema := c.schema()
	seen := map[string]bool{}
	for _, p := range pairs {
		at := field + "." + p.Key
		if seen[strings.ToLower(p.Key)] {
			return drover.Errorf(drover.Invalid, "column %q is set twice in one step", p.Key).WithField(vocabulary.Key(at)).
				WithHint("use a second set step")
		}
		seen[strings.ToLower(p.Key)] = true
		e, err := c.expression(ctx, p.Value, at)
		if err != nil {
			return err
		}
		name := p.Key
		i := schema.Index(name)
		if i < 0 {
			if err := c.fits(name, vocabulary.Key(at), nil); err != nil {
				return err
			}
		} else {
			name = c.columns[i].Name
		}
		col := c.computed(name, e)
		item := e.sql + " AS " + duck.Ident(name)
		if i < 0 {
			out, items = append(out, col), append(items, item)
		} else {
			out[i], items[i] = col, item
		}
	}
	c.columns = out
	c.project(items)
	return nil
}

// computed is the column of an expression. A plain reference repeats its column.
func (c *compiler) computed(name string, e expr) column {
	if e.plain {
		col := c.columns[c.plainRef(e.node, chunkName)]
		col.Name = name
		return col
	}
	return column{Column: drover.Column{Name: name, Type: e.typ}, deps: c.deps(e.reads)}
}

func (c *compiler) cast(ctx context.Context, pairs []drover.Pair, field string) error {
	out, items := append([]column(nil), c.columns...), c.items()
	done := map[int]bool{}
	for _, p := range pairs {
		at := field + "." + p.Key
		i, err := c.find(p.Key, vocabulary.Key(at))
		if err != nil {
			return err
		}
		if done[i] {
			return drover.Errorf(drover.Invalid, "column %q is cast twice in one step", p.Key).WithField(vocabulary.Key(at))
		}
		done[i] = true
		typ, err := c.typeName(ctx, p.Value, at)
		if err != nil {
			return err
		}
		col := out[i]
		if col.Type == "" {
			return c.untyped(col.Column, at)
		}
		if col.Type == typ {
			continue
		}
		if err := c.castable(ctx, col.Type, typ, at); err != nil {
			return err
		}
		out[i] = column{Column: drover.Column{Name: col.Name, Type: typ}, deps: col.deps}
		items[i] = "CAST(" + duck.Ident(col.Name) + " AS " + typ + ") AS " + duck.Ident(col.Name)
	}
	c.columns = out
	c.project(items)
	return nil
}

// typeName checks that text is a type and returns DuckDB's spelling of it.
func (c *compiler) typeName(ctx context.Context, text, field string) (string, error) {
	if err := embeddable(text, field); err != nil {
		return "", err
	}
	const before, after = "SELECT CAST(NULL AS ", ")"
	trees, err := parse(ctx, c.s, before+text+after)
	if err != nil {
		return "", place(err, field, len(before), len(text))
	}
	n, ok := single(trees)
	if !ok || n.str("class") != "CAST" || !n.kid("child").kid("value").flag("is_null") {
		return "", drover.Errorf(drover.Invalid, "%q is not a type", shorten(text, 80)).WithField(field)
	}
	cols, err := c.s.Describe(ctx, before+text+after+" AS x")
	if err != nil {
		return "", place(err, field, len(before), len(text))
	}
	return cols[0].Type, nil
}
