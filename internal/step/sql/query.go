package sqlstep

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// chunkName is the relation that a sql step reads.
const chunkName = "chunk"

// sql compiles one SELECT over chunk.
func (c *compiler) sql(ctx context.Context, text, field string) error {
	if err := embeddable(text, field); err != nil {
		return err
	}
	text = strings.TrimRight(text, "; \t\r\n")
	trees, err := parse(ctx, c.s, text)
	if err != nil {
		return place(err, field, 0, len(text))
	}
	if len(trees) != 1 {
		return drover.Errorf(drover.Invalid, "a sql step is one SELECT; here are %d statements", len(trees)).WithField(field).
			WithHint("write each as a step of its own")
	}
	tree := trees[0]
	uses, err := inspect(tree, field)
	if err != nil {
		return err
	}
	output, err := c.bind(ctx, text, field)
	if err != nil {
		return err
	}
	q := &query{text: text}
	for _, col := range output {
		q.columns = append(q.columns, duck.Ident(col.Name))
	}

	sc := scope{columns: c.schema(), relation: chunkName}
	why, err := c.proveQuery(ctx, tree, &sc)
	if err != nil {
		return err
	}
	if why == "" {
		if q.head, q.tail, err = c.splice(ctx, text, tree); err != nil {
			return err
		}
		if q.head == "" && q.tail == "" {
			why = "its SELECT cannot be taken apart"
		}
	}
	if why != "" {
		return c.opaqueQuery(ctx, q, uses, output, tree, why, field)
	}
	if err := c.adopt(ctx, tree, output, field); err != nil {
		return err
	}
	c.layers = append(c.layers, layer{query: q})
	return nil
}

// opaqueQuery adds a SELECT that must see one whole chunk.
func (c *compiler) opaqueQuery(ctx context.Context, q *query, uses tables, output drover.Schema, tree node, why, field string) error {
	for _, col := range c.columns {
		if col.Type == "" {
			e := c.untyped(col.Column, field)
			e.Message = fmt.Sprintf("column %q cannot pass a step that sees whole chunks (%s): it has no exact counterpart in DuckDB", col.Name, why)
			e.Hint = "drop it in an earlier step, or " + e.Hint
			return e
		}
	}
	const before = "SELECT * FROM (\n"
	trees, err := parse(ctx, c.s, before+q.text+"\n)")
	if err != nil {
		return place(err, field, len(before), len(q.text))
	}
	if len(trees) != 1 || !same(trees[0].kid("from_table").kid("subquery").kid("node"), tree) {
		return drover.Errorf(drover.Invalid, "this SELECT means something else in parentheses").WithField(field).
			WithHint("remove comments and semicolons after it")
	}
	q.materialize = uses.chunk > 1 || uses.indirect
	if c.opaque == "" {
		c.opaqueStep = c.number - 1
		c.opaque = fmt.Sprintf("step %d (sql): %s", c.number, why)
	}
	for _, col := range c.columns {
		c.read(col.deps)
	}
	all := c.deps(c.schema().Names())
	c.columns = nil
	for _, col := range output {
		c.columns = append(c.columns, column{Column: col, deps: all})
	}
	c.layers = append(c.layers, layer{query: q})
	c.filtered = true // a HAVING or an outer WHERE is a filter too
	return nil
}

// bind has DuckDB bind text over the current columns and returns its columns.
func (c *compiler) bind(ctx context.Context, text, field string) (_ drover.Schema, err error) {
	if err := c.s.Exec(ctx, "CREATE OR REPLACE TEMP VIEW chunk AS "+placeholder(c.schema())); err != nil {
		return nil, fmt.Errorf("declare the columns of %s: %w", field, err)
	}
	defer func() {
		if dropErr := c.s.Exec(ctx, "DROP VIEW temp.chunk"); dropErr != nil && err == nil {
			err = fmt.Errorf("forget the columns of %s: %w", field, dropErr)
		}
	}()
	st, err := c.s.Prepare(text)
	if err != nil {
		return nil, place(err, field, 0, len(text))
	}
	names := st.Names()
	st.Close()
	var seen []column
	for _, name := range names {
		if err := c.fits(name, field, seen); err != nil {
			return nil, err
		}
		seen = append(seen, column{Column: drover.Column{Name: name}})
	}
	const before = "SELECT * FROM (\n"
	output, err := c.s.Describe(ctx, before+text+"\n)")
	if err != nil {
		return nil, place(err, field, len(before), len(text))
	}
	return output, nil
}

// proveQuery returns why a SELECT is not row-wise, or "". It notes in sc the columns that are read, stars aside.
func (c *compiler) proveQuery(ctx context.Context, t node, sc *scope) (string, error) {
	switch {
	case t.str("type") != "SELECT_NODE":
		return "it combines several SELECTs", nil
	case !t.kid("cte_map").empty("map"):
		return "it has a WITH clause", nil
	case len(t.kids("group_expressions")) > 0 || !t.empty("having") || t.str("aggregate_handling") != "STANDARD_HANDLING":
		return "it groups rows", nil
	case !t.empty("qualify"):
		return "QUALIFY compares rows", nil
	case !t.empty("modifiers"):
		return "ORDER BY, DISTINCT and LIMIT look at all rows", nil
	}
	from := t.kid("from_table")
	switch {
	case from.str("type") != "BASE_TABLE":
		return "it reads more than the rows of chunk", nil
	case !from.empty("sample") || !t.empty("sample"):
		return "it takes a sample", nil
	case !from.empty("column_name_alias") || !from.empty("at_clause"):
		return "it renames the columns of chunk", nil
	case !plainSelect(t):
		return "it is more than a list, FROM and WHERE", nil
	}
	if alias := from.str("alias"); alias != "" {
		sc.relation = alias
	}
	for _, item := range t.kids("select_list") {
		if alias := item.str("alias"); alias != "" {
			sc.aliases = append(sc.aliases, alias)
		}
	}
	check := func(n node) (string, error) {
		o, err := c.prover.expression(ctx, n, sc)
		if o != nil && o.unknown != "" {
			return fmt.Sprintf("%s is not a column", o.unknown), err
		}
		return o.text(), err
	}
	for _, item := range t.kids("select_list") {
		exprs := []node{item}
		if plainStar(item, sc.relation) {
			exprs = nil
			for _, r := range item.kids("replace_list") {
				exprs = append(exprs, r.kid("value"))
			}
		}
		for _, e := range exprs {
			if why, err := check(e); why != "" || err != nil {
				return why, err
			}
		}
	}
	if where := t.kid("where_clause"); where != nil {
		return check(where)
	}
	return "", nil
}

// plainStar reports whether an item is * or chunk.*, with EXCLUDE, REPLACE and RENAME or without.
func plainStar(n node, relation string) bool {
	return n.str("class") == "STAR" && !n.flag("columns") && n.empty("expr") &&
		(n.str("relation_name") == "" || strings.EqualFold(n.str("relation_name"), relation))
}

// adopt makes the columns of a row-wise SELECT the current ones.
func (c *compiler) adopt(ctx context.Context, t node, output drover.Schema, field string) error {
	relation := chunkName
	if alias := t.kid("from_table").str("alias"); alias != "" {
		relation = alias
	}
	var items []item
	for _, n := range t.kids("select_list") {
		if plainStar(n, relation) {
			items = append(items, c.expand(n)...)
		} else {
			items = append(items, item{expr: n, column: c.plainRef(n, relation)})
		}
	}
	if len(items) != len(output) {
		return fmt.Errorf("compile %s: DuckDB sees %d columns where drover sees %d", field, len(output), len(items))
	}
	aliases := make([]string, 0, len(output))
	for _, n := range t.kids("select_list") {
		aliases = append(aliases, n.str("alias"))
	}
	reads := func(n node) ([]string, error) {
		sc := scope{columns: c.schema(), relation: relation, aliases: aliases}
		if _, err := c.prover.expression(ctx, n, &sc); err != nil {
			return nil, err
		}
		for _, name := range sc.reads {
			if col := sc.columns[sc.columns.Index(name)]; col.Type == "" {
				return nil, c.untyped(col, field)
			}
		}
		if sc.usedName {
			// An alias stands for another item; which one hardly matters, so all count.
			for _, other := range t.kids("select_list") {
				sub := scope{columns: c.schema(), relation: relation, aliases: aliases}
				if _, err := c.prover.expression(ctx, other, &sub); err != nil {
					return nil, err
				}
				sc.reads = append(sc.reads, sub.reads...)
			}
		}
		return c.deps(sc.reads), nil
	}
	filter := t.kid("where_clause")
	if filter != nil {
		deps, err := reads(filter)
		if err != nil {
			return err
		}
		c.read(deps)
		if err := c.narrow(ctx, filter); err != nil {
			return err
		}
	}
	columns := make([]column, len(output))
	for i, it := range items {
		if it.column >= 0 {
			columns[i] = c.columns[it.column]
			columns[i].Name = output[i].Name
			continue
		}
		deps, err := reads(it.expr)
		if err != nil {
			return err
		}
		columns[i] = column{Column: output[i], deps: deps}
	}
	if filter != nil {
		if c.filtered && !harmless(filter, c.schema()) {
			c.layers[len(c.layers)-1].fence = true
		}
		c.filtered = true
	}
	c.columns = columns
	return nil
}

// item is one column of a row-wise SELECT: a column of chunk repeated, or -1 and an expression.
type item struct {
	expr   node
	column int
}

// plainRef returns the column that an expression repeats, or -1.
func (c *compiler) plainRef(n node, relation string) int {
	parts := n.strs("column_names")
	if n.str("class") != "COLUMN_REF" {
		return -1
	}
	schema := c.schema()
	if len(parts) == 2 && strings.EqualFold(parts[0], relation) && schema.Index(parts[0]) < 0 {
		parts = parts[1:]
	}
	if len(parts) != 1 {
		return -1
	}
	return schema.Index(parts[0])
}

// expand lists the columns of a star.
func (c *compiler) expand(n node) []item {
	excluded := n.strs("exclude_list")
	for _, q := range n.kids("qualified_exclude_list") {
		excluded = append(excluded, q.str("column"))
	}
	var out []item
	for i, col := range c.columns {
		is := func(name string) bool { return strings.EqualFold(name, col.Name) }
		if slices.ContainsFunc(excluded, is) {
			continue
		}
		it := item{column: i}
		for _, r := range n.kids("replace_list") {
			if is(r.str("key")) {
				it.expr = r.kid("value")
				it.column = c.plainRef(it.expr, chunkName)
			}
		}
		out = append(out, it)
	}
	return out
}
