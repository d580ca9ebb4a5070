package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/droverdata/drover/connector"
)

// Split implements connector.Splitter. A range of a key is halved at the median of its rows, and so is a value's part of a table that
// has a key; a range of pages in the middle. What is left is not cut: a query, a table without a key, one page, one row.
func (s *source) Split(ctx context.Context, data json.RawMessage, chunk connector.Chunk) ([]connector.Chunk, error) {
	st, err := decodeSourceState(data)
	if err != nil || st.Spool != "" {
		return nil, err
	}
	var b bounds
	if err := json.Unmarshal(chunk.Bounds, &b); err != nil {
		return nil, fmt.Errorf("decode the bounds of chunk %s: %w", chunk.Key, err)
	}
	d, err := s.describe(ctx)
	if err != nil || d.table == nil {
		return nil, err
	}
	if b.Pages != nil {
		return splitPages(b, chunk, d.table.pages)
	}
	if d.table.inherits { // the key is not unique over its children: a median may leave nothing above it
		return nil, nil
	}
	if b.Columns == nil {
		if b.Columns = d.table.key(); b.Columns == nil {
			return nil, nil
		}
	}
	conn, err := s.begin(ctx, st.Snapshot)
	if err != nil {
		return nil, err
	}
	defer s.end(ctx, conn)
	p := planner{ctx: ctx, conn: conn, src: s, about: d}
	middle, rows, err := p.median(b)
	if err != nil || middle == nil {
		return nil, err
	}
	low, high := b, b
	low.Upto, high.After = middle, middle
	half := chunk.Bytes / 2
	return splitParts(chunk, []splitPart{{low, rangeKey(low.After, low.Upto), rows / 2, half}, {high, rangeKey(high.After, high.Upto), rows - rows/2, half}})
}

// median returns the key of the last row of the lower half, or nil where there is no upper half.
func (p *planner) median(b bounds) (key []string, rows int64, err error) {
	where, err := b.where(p.about)
	if err != nil {
		return nil, 0, err
	}
	from := p.src.from(p.about) + where
	if err := p.conn.QueryRow(p.ctx, "SELECT count(*) FROM "+from).Scan(&rows); err != nil {
		return nil, 0, wrap(err, "count the rows of a chunk")
	}
	if rows < 2 {
		return nil, rows, nil
	}
	texts := make([]string, len(b.Columns))
	for i, k := range quoteQ(b.Columns) {
		texts[i] = k + "::text"
	}
	key, err = p.one(fmt.Sprintf("SELECT array_to_json(ARRAY[%s])::text FROM %s ORDER BY %s OFFSET %d LIMIT 1",
		strings.Join(texts, ", "), from, strings.Join(quoteQ(b.Columns), ", "), rows/2-1))
	return key, rows, err
}

func splitPages(b bounds, chunk connector.Chunk, pages int64) ([]connector.Chunk, error) {
	from, to := b.Pages[0], b.Pages[1]
	if to < 0 {
		to = max(pages, from) // the second part keeps the open end
	}
	if to-from < 2 {
		return nil, nil
	}
	middle := from + (to-from)/2
	low, high := b, b
	low.Pages, high.Pages = &[2]int64{from, middle}, &[2]int64{middle, b.Pages[1]}
	list := []splitPart{{bounds: low}, {bounds: high}}
	for i := range list {
		list[i].rows, list[i].bytes = chunk.Rows/2, chunk.Bytes/2
		list[i].key = fmt.Sprintf("pages %d-", list[i].bounds.Pages[0])
		if end := list[i].bounds.Pages[1]; end >= 0 {
			list[i].key += fmt.Sprint(end - 1)
		}
	}
	return splitParts(chunk, list)
}

// splitPart is a piece of a chunk.
type splitPart struct {
	bounds      bounds
	key         string
	rows, bytes int64
}

// splitParts makes chunks. Where the whole was named by a value, the parts are named by it and their range.
func splitParts(whole connector.Chunk, list []splitPart) ([]connector.Chunk, error) {
	chunks := make([]connector.Chunk, len(list))
	for i, p := range list {
		key := p.key
		if p.bounds.By != "" {
			key = p.bounds.value() + " " + key
		}
		var err error
		if chunks[i], err = p.bounds.chunk(key, p.rows, p.bytes); err != nil {
			return nil, fmt.Errorf("split chunk %s: %w", whole.Key, err)
		}
	}
	return chunks, nil
}

// value names the value of a chunk by a column.
func (b bounds) value() string {
	switch {
	case b.Null:
		return nullKey
	case b.Key != nil:
		return shownKey(*b.Key)
	}
	return othersKey
}
