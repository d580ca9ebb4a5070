package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/vocabulary"
	"github.com/jackc/pgx/v5"
)

// designKey finds key and latest among the output's columns, and the unique index that ON CONFLICT needs. t is nil for a table that
// will be created, which gets the key as its primary key.
func (s *tableSink) designKey(ctx context.Context, conn *pgx.Conn, d *design, t *target, output drover.Schema) error {
	st := &d.state
	st.Ignore = s.spec.OnConflict == "ignore"
	if st.Ignore && s.spec.Latest != "" {
		return drover.Errorf(drover.Invalid, "latest updates rows that are there, and on_conflict: ignore keeps them").WithField("latest").
			WithHint("remove one of them")
	}
	find := func(field, name string) (*sinkColumn, error) {
		if i := output.Index(name); i >= 0 {
			return &st.Columns[i], nil
		}
		return nil, drover.Errorf(drover.Invalid, "%s names column %s, which the output does not have", field, name).WithField(field).
			WithHint("%s", vocabulary.DidYouMean(name, output.Names()))
	}
	if len(s.spec.Key) == 0 {
		return drover.Errorf(drover.Invalid, "mode upsert needs a key").WithField("key").WithHint("add key: [COLUMN], the columns that identify a row")
	}
	for _, name := range s.spec.Key {
		c, err := find("key", name)
		if err != nil {
			return err
		}
		if slices.Contains(st.Key, c.Name) {
			return drover.Errorf(drover.Invalid, "key names column %s twice", c.Name).WithField("key")
		}
		st.Key = append(st.Key, c.Name)
		if err := ordered(ctx, conn, "key", *c); err != nil {
			return err
		}
	}
	if s.spec.Latest != "" {
		c, err := find("latest", s.spec.Latest)
		if err != nil {
			return err
		}
		st.Latest = c.Name
		if err := ordered(ctx, conn, "latest", *c); err != nil {
			return err
		}
	}
	switch {
	case st.Ignore:
		d.note("rows whose key is there already are left as they are")
	case st.Latest != "":
		d.note("of the rows of one key, the one with the highest %s wins; NULL is lowest; of equal ones the one whose text is greater", st.Latest)
	}
	if t == nil {
		return nil
	}
	return uniqueIndex(ctx, conn, t, st.Key)
}

// ordered refuses a column whose type cannot be sorted.
func ordered(ctx context.Context, conn *pgx.Conn, field string, c sinkColumn) error {
	var ref typeRef
	if err := conn.QueryRow(ctx, `SELECT $1::regtype::oid`, c.Type).Scan(&ref.oid); err != nil {
		return wrap(err, "look up type "+c.Type)
	}
	ref.typmod = -1
	types, err := readTypes(ctx, conn, []typeRef{ref})
	if err != nil {
		return wrap(err, "look up type "+c.Type)
	}
	if types[0].ordered {
		return nil
	}
	return columnError(c.Name, "column %s cannot be %s: values of type %s have no order", c.Name, field, c.Type).WithField(field)
}

// uniqueIndex refuses a table without the unique index on key that ON CONFLICT needs.
func uniqueIndex(ctx context.Context, conn *pgx.Conn, t *target, key []string) error {
	tb := table{oid: t.OID}
	if err := tb.readIndexes(ctx, conn); err != nil {
		return wrap(err, "read the indexes of "+t.Name.String())
	}
	want := slices.Sorted(slices.Values(key))
	for _, x := range tb.indexes {
		if x.unique && !x.partial && slices.Equal(slices.Sorted(slices.Values(x.columns)), want) {
			return nil
		}
	}
	return refuse("%s has no unique index on (%s), so upsert cannot find a row by its key", t.Name, strings.Join(key, ", ")).WithField("key").
		WithHint("CREATE UNIQUE INDEX ON %s (%s)", t.Name.sql(), quoteAll(key))
}

// upsertSQL returns the statement that merges the rows of a temporary table, in the target's types, into the target. Rows go in
// sorted by key, so that two attempts lock them in one order (exactness.md 28). With latest the outcome is the highest row of each key
// under (latest, text of the row), in whatever order attempts commit.
func upsertSQL(st sinkState, from string) string {
	cols, key := quoteAll(names(st.Columns)), quoteAll(st.Key)
	distinct, order := "", key
	if st.Latest != "" {
		distinct = "DISTINCT ON (" + key + ") "
		order += ", " + quote(st.Latest) + " DESC NULLS LAST, " + rowText("", st) + " DESC"
	}
	sql := fmt.Sprintf("INSERT INTO %s AS t (%s) SELECT %s%s FROM %s ORDER BY %s ON CONFLICT (%s) DO ",
		st.Target.sql(), cols, distinct, cols, from, order, key)
	var sets []string
	for _, c := range st.Columns {
		if !slices.Contains(st.Key, c.Name) {
			sets = append(sets, quote(c.Name)+" = EXCLUDED."+quote(c.Name))
		}
	}
	if st.Ignore || len(sets) == 0 {
		return sql + "NOTHING"
	}
	sql += "UPDATE SET " + strings.Join(sets, ", ")
	if st.Latest == "" {
		return sql
	}
	return sql + " WHERE " + beats("EXCLUDED.", st)
}

// beats is the condition under which the row with a prefix takes the place of the row t.
func beats(prefix string, st sinkState) string {
	return fmt.Sprintf("(%[2]s%[1]s > t.%[1]s OR (t.%[1]s IS NULL AND %[2]s%[1]s IS NOT NULL)"+
		" OR (%[2]s%[1]s IS NOT DISTINCT FROM t.%[1]s AND %[3]s > %[4]s))", quote(st.Latest), prefix, rowText(prefix, st), rowText("t.", st))
}

// rowText is an expression for all of a row as text.
func rowText(prefix string, st sinkState) string {
	cols := make([]string, len(st.Columns))
	for i, c := range st.Columns {
		cols[i] = prefix + quote(c.Name)
	}
	return "ROW(" + strings.Join(cols, ", ") + `)::text COLLATE "C"`
}

// merge upserts the so many rows of a temporary table that holds them in the target's types.
func merge(ctx context.Context, tx pgx.Tx, st sinkState, from string, rows int64) error {
	nulls := make([]string, len(st.Key))
	for i, k := range st.Key {
		nulls[i] = quote(k) + " IS NULL"
	}
	var null bool
	err := tx.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM %s WHERE %s)", from, strings.Join(nulls, " OR "))).Scan(&null)
	if err != nil {
		return err
	}
	if null {
		e := drover.Errorf(drover.Data, "a row has NULL in its key (%s), so no later row could ever match it", strings.Join(st.Key, ", ")).
			WithHint("filter such rows out: filter: %s IS NOT NULL", st.Key[0])
		e.Code, e.Column = "23502", st.Key[0]
		return e
	}
	if st.Latest == "" {
		if err := refuseDuplicates(ctx, tx, st, from); err != nil {
			return err
		}
	}
	w, err := watchMerge(ctx, tx, st, from)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, upsertSQL(st, from))
	if err == nil && w != nil {
		return w.check(ctx, tx, tag.RowsAffected())
	}
	if n := tag.RowsAffected(); err == nil && !st.leavesRows() && n != rows {
		return refuseSkipped(ctx, tx, st, from, rows, n)
	}
	return err
}

// refuseDuplicates refuses rows that share a key where nothing says which of them wins.
func refuseDuplicates(ctx context.Context, tx pgx.Tx, st sinkState, from string) error {
	key := quoteAll(st.Key)
	var twice *string
	err := tx.QueryRow(ctx, fmt.Sprintf("SELECT (SELECT concat_ws(', ', %s) FROM %s GROUP BY %s HAVING count(*) > 1 LIMIT 1)", key, from, key)).Scan(&twice)
	if err != nil || twice == nil {
		return err
	}
	e := drover.Errorf(drover.Data, "two rows have the key (%s) = (%s)", strings.Join(st.Key, ", "), sample(*twice)).
		WithHint("say which row wins: latest: COLUMN")
	e.Code, e.Column, e.Sample = "21000", st.Key[0], sample(*twice)
	return e
}
