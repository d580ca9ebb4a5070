package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// statements returns the COPY statements that read columns of chunks, and how many fields their tuples have.
//
// Each chunk is a statement of its own where an index finds its rows. Chunks by a column without one share a statement, so that
// a task scans the table once; each of its rows says in a last field which chunk it belongs to.
func (r *relation) statements(columns, chunks []int) (list []statement, fields int, err error) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = "q." + quote(r.columns[c].name)
	}
	shared := r.sharing(chunks)
	for _, c := range chunks {
		if shared != nil && r.chunks[c].Key != nil && r.chunks[c].Columns == nil {
			continue
		}
		where, err := r.chunks[c].where(r.about)
		if err != nil {
			return nil, 0, err
		}
		selects := names
		if shared != nil { // all tuples of a stream have the same fields
			selects = append(names[:len(names):len(names)], fmt.Sprintf("%d::int4", c))
		}
		list = append(list, statement{chunk: c, sql: r.copyOf(selects, r.src.from(r.about)+where)})
	}
	if shared == nil {
		return list, len(columns), nil
	}
	sql, err := r.together(names, shared)
	if err != nil {
		return nil, 0, err
	}
	return append(list, statement{chunk: manyChunks, sql: sql}), len(columns) + 1, nil
}

func (r *relation) copyOf(selects []string, from string) string {
	return "COPY (SELECT " + strings.Join(selects, ", ") + " FROM " + from + ") TO STDOUT (FORMAT binary)"
}

// sharing returns the chunks that are better read by one statement, or nil.
func (r *relation) sharing(chunks []int) []int {
	var keyed []int
	for _, c := range chunks {
		if b := r.chunks[c]; b.Key != nil && b.Columns == nil && (r.about.table == nil || !r.about.table.ledBy(b.By)) {
			keyed = append(keyed, c)
		}
	}
	if len(keyed) < 2 {
		return nil
	}
	return keyed
}

// together is the statement that reads chunks of single values in one pass: a join with the list of the values.
func (r *relation) together(names []string, chunks []int) (string, error) {
	by := r.chunks[chunks[0]].By
	c := find(r.about.columns, by)
	if c == nil {
		return "", changed(by, "is gone since the run was planned")
	}
	values, numbers := make([]string, len(chunks)), make([]string, len(chunks))
	for i, n := range chunks {
		values[i], numbers[i] = *r.chunks[n].Key, fmt.Sprint(n)
	}
	list := fmt.Sprintf("(SELECT v::%s AS v, n FROM unnest(%s::text[], '{%s}'::int4[]) AS l(v, n)) AS drover_keys",
		c.typ.castable(), literal(arrayText(values)), strings.Join(numbers, ","))
	selects := append(names[:len(names):len(names)], "drover_keys.n")
	return r.copyOf(selects, r.src.from(r.about)+" JOIN "+list+" ON "+pgx.Identifier{"q", by}.Sanitize()+" = drover_keys.v"), nil
}
