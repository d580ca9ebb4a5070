package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

// The keys of chunks that stand for no value.
const (
	nullKey   = connector.NullKey
	othersKey = connector.OtherKey
	wholeKey  = connector.AllKey
)

// shownKey is a value as a chunk's key. One that reads like the key of a chunk without a value is quoted.
func shownKey(value string) string {
	if value == nullKey || value == othersKey || value == wholeKey {
		return strconv.Quote(value)
	}
	return value
}

// collated is an expression under the column's collation, which decides what is equal and what comes first.
func collated(c *column, expr string) string {
	if c.collation == "" {
		return expr
	}
	return expr + " COLLATE " + c.collation
}

// values cuts by the values that the column has. Their number of rows is estimated where an index lists them, else counted on the way.
func (p *planner) values(c drover.Chunking) error {
	by, err := chunkColumn(p.about, c.By)
	if err != nil {
		return err
	}
	keys, found, err := p.distinct(by)
	if err != nil {
		return err
	}
	if !found {
		return p.counted(by)
	}
	texts := make([]string, 0, len(keys))
	for _, key := range keys {
		if key != nil {
			texts = append(texts, *key)
		}
	}
	estimate, nulls, err := p.estimates(by, texts, true)
	if err != nil {
		return err
	}
	for _, key := range keys {
		n := nulls
		if key != nil {
			n = estimate(*key)
		}
		if ok, err := p.emitValue(by, key, n); err != nil || !ok {
			return err
		}
	}
	return nil
}

// counted cuts by the values of a column and counts their rows.
func (p *planner) counted(by *column) error {
	name := "q." + quote(by.name)
	order := ""
	if by.typ.ordered {
		order = " ORDER BY q.k NULLS LAST"
	}
	sql := fmt.Sprintf("SELECT q.k::text, q.n FROM (SELECT %s AS k, count(*) AS n FROM %s GROUP BY 1) AS q%s", name, p.src.from(p.about), order)
	rows, err := p.conn.Query(p.ctx, sql)
	if err != nil {
		return wrap(err, "list the values of "+by.name)
	}
	defer rows.Close()
	seen := false
	for rows.Next() {
		var key *string
		var n int64
		if err := rows.Scan(&key, &n); err != nil {
			return wrap(err, "list the values of "+by.name)
		}
		seen = true
		if ok, err := p.emitValue(by, key, n); err != nil || !ok {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return wrap(err, "list the values of "+by.name)
	}
	if !seen {
		// An empty source is one chunk too: it is data like any other.
		_, err = p.emit(bounds{}, wholeKey, 0)
	}
	return err
}

// emitValue yields the chunk of one value, nil for NULL.
func (p *planner) emitValue(by *column, key *string, rows int64) (bool, error) {
	if key == nil {
		return p.emit(bounds{By: by.name, Null: true}, nullKey, rows)
	}
	return p.emit(bounds{By: by.name, Key: key}, shownKey(*key), rows)
}

// keyList cuts by the values that the user's query lists, made distinct under the column's type and collation.
func (p *planner) keyList(c drover.Chunking) error {
	by, err := chunkColumn(p.about, c.By)
	if err != nil {
		return err
	}
	query := strings.TrimRight(c.Keys, " \t\r\n;")
	stmt, err := p.conn.PgConn().Prepare(p.ctx, "", query, nil)
	if err != nil {
		return keysError(wrap(err, "chunk.keys"))
	}
	if len(stmt.Fields) != 1 {
		return drover.Errorf(drover.Invalid, "chunk.keys must yield one column, the values of %s; it yields %d", by.name, len(stmt.Fields)).WithField("chunk.keys")
	}
	order := ""
	if by.typ.ordered {
		order = " ORDER BY s.k"
	}
	value := "l.k"
	if by.typ.base.wire == wireRaw || by.typ.base.send == "enum_send" {
		value += "::text" // the only way from one such type to another
	}
	sql := fmt.Sprintf("SELECT s.k::text FROM (SELECT DISTINCT %s AS k FROM (%s\n) AS l(k) WHERE l.k IS NOT NULL) AS s%s",
		collated(by, value+"::"+by.typ.castable()), query, order)
	rows, err := p.conn.Query(p.ctx, sql)
	if err != nil {
		return keysError(wrap(err, "chunk.keys"))
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return keysError(wrap(err, "chunk.keys"))
	}
	estimate, _, err := p.estimates(by, keys, false)
	if err != nil {
		return err
	}
	var listed int64
	for _, key := range keys {
		n := estimate(key)
		listed += n
		if ok, err := p.emit(bounds{By: by.name, Key: &key}, shownKey(key), n); err != nil || !ok {
			return err
		}
	}
	if c.Others == "ignore" {
		return nil
	}
	rest := int64(0)
	if t := p.about.table; t != nil {
		rest = max(t.rows-listed, 0)
	}
	_, err = p.emit(bounds{By: by.name, Others: keys}, othersKey, rest)
	return err
}

// keysError says that the list of keys is at fault.
func keysError(err error) error {
	var e *drover.Error
	if errors.As(err, &e) && e.Kind != drover.Transient && e.Kind != drover.Unreachable {
		e.Kind, e.Field = drover.Invalid, "chunk.keys"
	}
	return err
}

// shown turns v, the text output of a value of the column, into what a cast to text makes of it, which keys are.
func shown(by *column) string {
	switch by.typ.base.send {
	case "bpcharsend":
		return "rtrim(v, ' ')"
	case "boolsend":
		return "v::boolean::text"
	}
	return "v"
}

// estimates returns how many rows a value, and NULL, is likely to have, from the planner's statistics. all says that the column has just those values.
func (p *planner) estimates(by *column, keys []string, all bool) (of func(string) int64, nulls int64, err error) {
	t := p.about.table
	if t == nil || t.rows <= 0 {
		return func(string) int64 { return 0 }, 0, nil
	}
	rows, err := p.conn.Query(p.ctx, `
		SELECT `+shown(by)+`, f * $4::float8, CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * $4::float8 ELSE s.n_distinct END, coalesce(s.null_frac, 0)
		FROM pg_stats s LEFT JOIN LATERAL unnest(s.most_common_vals::text::text[], s.most_common_freqs) AS m(v, f) ON true
		WHERE s.schemaname = $1 AND s.tablename = $2 AND s.attname = $3
		ORDER BY s.inherited DESC`, t.schema, t.name, by.name, float64(t.rows))
	if err != nil {
		return nil, 0, wrap(err, "read the statistics of "+by.name)
	}
	defer rows.Close()
	common := map[string]int64{}
	rest, distinct := float64(t.rows), float64(len(keys))
	for rows.Next() {
		var value *string
		var n, d *float64
		var null float64
		if err := rows.Scan(&value, &n, &d, &null); err != nil {
			return nil, 0, wrap(err, "read the statistics of "+by.name)
		}
		if len(common) == 0 {
			nulls = int64(null * float64(t.rows))
			rest = float64(t.rows - nulls)
		}
		if d != nil && !all {
			distinct = max(*d, distinct)
		}
		if value != nil && n != nil {
			if _, ok := common[*value]; !ok {
				common[*value] = int64(*n)
				rest -= *n
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, 0, wrap(err, "read the statistics of "+by.name)
	}
	each := int64(max(rest, 0) / max(distinct-float64(len(common)), 1))
	return func(key string) int64 {
		if n, ok := common[key]; ok {
			return n
		}
		return each
	}, nulls, nil
}
