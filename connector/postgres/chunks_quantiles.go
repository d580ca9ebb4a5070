package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// ordinary are the types whose values have one order, whatever the collation or the index.
var ordinary = []wire{wireInt2, wireInt4, wireInt8, wireDate, wireTimestamp, wireTimestamptz, wireUUID}

// chunkSize is how large the chunks of a table are.
func chunkSize(bytes int64) int64 { return min(chunkBytes, max(leastChunk, bytes/mostSmall)) }

// quantiles cuts a table by the histogram that ANALYZE has made of its key, at no cost, where stepping through the index has to pass every row.
// The chunks cover every value all the same, but are about equal only. done is false where there is no histogram, where it is too coarse,
// or where the table has changed much since.
func (p *planner) quantiles(key []string) (done bool, err error) {
	t := p.about.table
	c := find(t.columns, key[0])
	if len(key) != 1 || t.kind != "r" || t.inherits || c == nil || !slices.Contains(ordinary, c.typ.base.wire) {
		return false, nil
	}
	ends, err := p.histogram(c)
	size := chunkSize(t.bytes)
	count := min(int((t.bytes+size-1)/size), len(ends)-1)
	if err != nil || count < 2 || t.bytes/int64(count) > 2*chunkBytes {
		return false, err
	}
	var after []string
	for i := range count {
		var upto []string
		if i < count-1 {
			upto = []string{ends[(i+1)*(len(ends)-1)/count]}
		}
		ok, err := p.emit(bounds{Columns: key, After: after, Upto: upto}, rangeKey(after, upto), max(t.rows, 0)/int64(count))
		if err != nil || !ok {
			return true, err
		}
		after = upto
	}
	return true, nil
}

// histogram returns the ends of the ranges of equally many rows into which ANALYZE has divided a column's values, each larger than the one before; none where
// the table is more than a tenth larger or smaller than it was then. Chunks that overlap would load rows twice, so the server sorts the values once
// more, as it will compare them.
func (p *planner) histogram(c *column) (ends []string, err error) {
	var text string
	err = p.conn.QueryRow(p.ctx, fmt.Sprintf(`
		SELECT array_to_json(ARRAY(SELECT h.v::text FROM (SELECT DISTINCT unnest(s.histogram_bounds::text::%s[]) AS v) h ORDER BY h.v))::text
		FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
			JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = $2 AND NOT s.inherited
		WHERE t.oid = $1 AND s.histogram_bounds IS NOT NULL
			AND abs(pg_relation_size(t.oid) / current_setting('block_size')::int8 - t.relpages) * 10 <= t.relpages`, c.typ.castable()),
		p.about.table.oid, c.name).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap(err, "read the statistics of "+p.about.table.name)
	}
	if err := json.Unmarshal([]byte(text), &ends); err != nil {
		return nil, fmt.Errorf("read the statistics of %s: %w", p.about.table.name, err)
	}
	return ends, nil
}
