package postgres

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

const (
	// countedRows is the number of rows up to which counting all values costs nothing worth saving.
	countedRows = 10_000
	// rowsAStep is how many rows of an index are counted in the time that one step to its next value takes.
	rowsAStep = 100
)

// distinct lists the values of a column by stepping through an index from one to the next, NULL as nil and last, where that is cheaper than
// reading every row of it: where there is such an index, and the values are few. It does not count their rows. The method is known as a loose
// index scan, which Postgres's planner has not: https://wiki.postgresql.org/wiki/Loose_indexscan.
func (p *planner) distinct(by *column) (keys []*string, found bool, err error) {
	t := p.about.table
	if t == nil || t.rows < countedRows || t.inherits || t.rowSecurity || t.kind != "r" && t.kind != "m" || by.typ.base.send == "record_send" || !t.sorts(by.name) {
		return nil, false, nil
	}
	most := t.rows / rowsAStep
	name, from := "q."+quote(by.name), p.src.from(p.about)
	value := name + "::" + by.typ.castable() // the two parts of a recursion must agree to the modifier
	sql := fmt.Sprintf(`WITH RECURSIVE v(k) AS (
			(SELECT %[1]s FROM %[3]s WHERE %[2]s IS NOT NULL ORDER BY %[2]s LIMIT 1)
			UNION ALL
			SELECT (SELECT %[1]s FROM %[3]s WHERE %[2]s > v.k ORDER BY %[2]s LIMIT 1) FROM v WHERE v.k IS NOT NULL)
		SELECT k::text FROM v WHERE k IS NOT NULL
		UNION ALL SELECT NULL WHERE EXISTS (SELECT FROM %[3]s WHERE %[2]s IS NULL) LIMIT %[4]d`, value, name, from, most+1)
	rows, err := p.conn.Query(p.ctx, sql)
	if err != nil {
		return nil, false, wrap(err, "list the values of "+by.name)
	}
	keys, err = pgx.CollectRows(rows, pgx.RowTo[*string])
	return keys, err == nil && len(keys) > 0 && int64(len(keys)) <= most, wrap(err, "list the values of "+by.name)
}

// sorts returns whether an index holds all rows in the order of the column.
func (t *table) sorts(name string) bool {
	return slices.ContainsFunc(t.indexes, func(x index) bool {
		return x.method == "btree" && !x.partial && x.natural && len(x.columns) > 0 && x.columns[0] == name
	})
}
