package sqlstep

import (
	"strings"

	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// layer is one SELECT of the program, over the layer before it.
type layer struct {
	// items is the SELECT list. Identity says that it repeats the columns before it.
	items    []string
	identity bool
	where    []string
	// fence keeps conditions of later layers above this one. DuckDB merges nested conditions and orders them by cost, all but those
	// that it knows to raise errors; a fence needs no such knowledge. OFFSET 0 stops conditions and lets projections pass.
	fence bool
	// query is a sql step instead of items and where.
	query *query
}

// query is the SELECT of a sql step.
type query struct {
	columns []string // quoted
	// head and tail surround the input relation in a row-wise SELECT that yields columns and step.Tag, in any order.
	head, tail string
	// text is the SELECT as it was written, over the relation chunk.
	text string
	// materialize says that text may scan chunk more than once.
	materialize bool
}

// items is the SELECT list that repeats all columns.
func (c *compiler) items() []string {
	out := make([]string, len(c.columns))
	for i, col := range c.columns {
		out[i] = duck.Ident(col.Name)
	}
	return out
}

// project adds a layer that computes items, or puts them on top of a filter.
func (c *compiler) project(items []string) {
	if last := &c.layers[len(c.layers)-1]; last.identity {
		last.items, last.identity = items, false
		return
	}
	c.layers = append(c.layers, layer{items: items})
}

// keep adds a condition. guarded says that it must not meet rows that an earlier filter removed.
func (c *compiler) keep(condition string, guarded bool) {
	n := len(c.layers)
	if guarded && c.filtered {
		c.layers[n-1].fence = true
		c.filtered = false
	}
	if last := c.layers[n-1]; last.identity && !last.fence {
		c.layers[n-1].where = append(last.where, condition)
	} else {
		c.layers = append(c.layers, layer{items: c.items(), identity: true, where: []string{condition}})
	}
	c.filtered = true
}

// render writes the program.
func (c *compiler) render() string {
	tagged := c.opaque == ""
	relation, sql := step.Input(), ""
	for _, l := range c.layers {
		sql = l.render(relation, tagged)
		relation = "(\n" + sql + "\n)"
	}
	if tagged {
		return sql
	}
	return "SELECT " + strings.Join(c.items(), ", ") + ", " + step.Index() + "::BIGINT AS " + step.Tag + "\nFROM " + relation + " AS chunk"
}

func (l layer) render(relation string, tagged bool) string {
	if l.query != nil {
		return l.query.render(relation, tagged) + l.end()
	}
	return selectFrom(l.items, relation+" AS chunk", tagged) + l.end()
}

func (l layer) end() string {
	sql := ""
	if len(l.where) > 0 {
		sql = "\nWHERE " + strings.Join(l.where, " AND ")
	}
	if l.fence {
		sql += "\nOFFSET 0"
	}
	return sql
}

func (q *query) render(relation string, tagged bool) string {
	if tagged {
		return selectFrom(q.columns, "(\n"+q.head+relation+q.tail+"\n) AS chunk", true)
	}
	how := "NOT MATERIALIZED"
	if q.materialize {
		how = "MATERIALIZED"
	}
	// Since 1.4 DuckDB materializes a CTE unless it is told not to.
	return selectFrom(q.columns, "(\nWITH chunk AS "+how+" "+relation+"\nSELECT * FROM (\n"+q.text+"\n)\n) AS chunk", false)
}

func selectFrom(items []string, from string, tagged bool) string {
	sql := "SELECT " + strings.Join(items, ", ")
	if tagged {
		sql += ", " + step.Tag
	}
	return sql + "\nFROM " + from
}
