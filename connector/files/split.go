package files

import (
	"context"
	gojson "encoding/json"
	"fmt"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
)

// Split implements connector.Splitter. A chunk of several files is halved between files, and one of a Parquet file between row groups. What
// is left is not cut: a value's rows, one row group, one file of another format.
func (s *source) Split(ctx context.Context, state gojson.RawMessage, chunk connector.Chunk) ([]connector.Chunk, error) {
	sv, err := decodeState(state)
	if err != nil {
		return nil, err
	}
	var b bounds
	if err := gojson.Unmarshal(chunk.Bounds, &b); err != nil {
		return nil, fmt.Errorf("decode the bounds of chunk %s: %w", chunk.Key, err)
	}
	var low, high []piece
	switch {
	case b.By != nil || len(b.Pieces) == 0:
		return nil, nil
	case len(b.Pieces) > 1:
		low, high = b.Pieces[:len(b.Pieces)/2], b.Pieces[len(b.Pieces)/2:]
	case sv.Format == formatParquet:
		err = s.with(ctx, func(session *duck.Session) error {
			low, high, err = halve(ctx, session, sv, b.Pieces[0])
			return err
		})
	}
	if err != nil || high == nil {
		return nil, err
	}
	var parts []connector.Chunk
	for i, pieces := range [][]piece{low, high} {
		c := connector.Chunk{Key: fmt.Sprintf("%s/%d", chunk.Key, i+1)}
		if c.Bounds, err = gojson.Marshal(bounds{Pieces: pieces}); err != nil {
			return nil, fmt.Errorf("encode the bounds of chunk %s: %w", c.Key, err)
		}
		for _, p := range pieces {
			c.Rows, c.Bytes = c.Rows+p.Rows, c.Bytes+p.Bytes
		}
		parts = append(parts, c)
	}
	return parts, nil
}

// halve cuts a piece of a Parquet file between two of its row groups; high is nil if it has but one.
func halve(ctx context.Context, session *duck.Session, sv *survey, p piece) (low, high []piece, err error) {
	path := p.path(sv.Roots)
	shapes, _, err := sv.shapes(ctx, session, []string{path})
	if err != nil || shadowed(shapes[0]) {
		return nil, nil, err
	}
	groups, err := rowGroups(ctx, session, path)
	if err != nil {
		return nil, nil, err
	}
	var inside []rowGroup
	var at int64
	for _, g := range groups {
		if at >= p.From && (p.To == 0 || at < p.To) {
			inside = append(inside, g)
		}
		at += g.rows
	}
	if len(inside) < 2 {
		return nil, nil, nil
	}
	a := piece{file: p.file, From: p.From, To: p.From}
	for _, g := range inside[:len(inside)/2] {
		a.To, a.Rows, a.Bytes = a.To+g.rows, a.Rows+g.rows, a.Bytes+g.bytes
	}
	z := piece{file: p.file, From: a.To, To: a.To}
	for _, g := range inside[len(inside)/2:] {
		z.To, z.Rows, z.Bytes = z.To+g.rows, z.Rows+g.rows, z.Bytes+g.bytes
	}
	return []piece{a}, []piece{z}, nil
}
