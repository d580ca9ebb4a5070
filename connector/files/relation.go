package files

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// relation implements connector.Relation. It is SQL over DuckDB's readers; nothing is read before a query runs.
type relation struct {
	source  *source
	ctx     context.Context
	session *duck.Session
	schema  drover.Schema
	sv      *survey
	chunks  []bounds
	shapes  []shape
	kind    map[string]int // path -> shape
	arrow   map[string]string
	all     []piece // for chunks by key: every file
	// counted is set where rows are counted as they pass: where there is no footer that knows.
	counted bool
	counts  []func() []int64
	closers []func() error
}

// Open implements connector.Source.
func (s *source) Open(ctx context.Context, session *duck.Session, schema drover.Schema, state gojson.RawMessage, chunks []connector.Chunk) (connector.Relation, error) {
	sv, err := decodeState(state)
	if err != nil {
		return nil, err
	}
	r := &relation{source: s, ctx: ctx, session: session, schema: schema, sv: sv, counted: sv.Format != formatParquet}
	var pieces []piece
	for _, c := range chunks {
		var b bounds
		if err := gojson.Unmarshal(c.Bounds, &b); err != nil {
			return nil, fmt.Errorf("decode the bounds of chunk %d: %w", c.ID, err)
		}
		r.chunks = append(r.chunks, b)
		pieces = append(pieces, b.Pieces...)
		if b.By != nil && schema.Index(b.By.Column) < 0 {
			return nil, drover.Errorf(drover.Refused, "the source has no column %s any more, by which it was cut into chunks", b.By.Column).
				WithHint("start a new run: drover run JOB.yaml --new")
		}
		if b.By != nil && r.all == nil {
			r.counted = true
			if r.all, err = s.unchanged(ctx, sv); err != nil {
				return nil, err
			}
			pieces = append(pieces, r.all...)
		}
	}
	return r, s.prepare(ctx, r, pieces)
}

// openAll is a relation over every file, as one chunk.
func (s *source) openAll(ctx context.Context, session *duck.Session, schema drover.Schema, sv *survey) (*relation, error) {
	all, err := s.unchanged(ctx, sv)
	if err != nil {
		return nil, err
	}
	r := &relation{source: s, ctx: ctx, session: session, schema: schema, sv: sv, all: all}
	return r, s.prepare(ctx, r, all)
}

// unchanged lists the files again and refuses when they are not the ones that were surveyed.
func (s *source) unchanged(ctx context.Context, sv *survey) ([]piece, error) {
	digest := newDigest()
	var all []piece
	newest := piece{}
	err := s.batches(ctx, sv, false, func(batch []file) error {
		for _, f := range batch {
			digest.add(f)
			p := piece{file: f, Bytes: f.Size}
			if f.MTime > newest.MTime {
				newest = p
			}
			all = append(all, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if digest.sum() != sv.Digest {
		name := "none is left"
		if len(all) > 0 {
			name = "the newest of them is " + newest.path(sv.Roots)
		}
		return nil, drover.Errorf(drover.Refused, "the files have changed since the run was planned: %d then, %d now; %s", sv.Files, len(all), name).
			WithHint("start a new run: drover run JOB.yaml --new")
	}
	return all, nil
}

// prepare checks that the files are the planned ones and finds out how each is to be read.
func (s *source) prepare(ctx context.Context, r *relation, pieces []piece) error {
	r.kind = map[string]int{}
	var paths []string
	for _, p := range pieces {
		name := p.path(r.sv.Roots)
		if _, ok := r.kind[name]; ok {
			continue
		}
		o, err := s.store.Stat(ctx, name)
		if err != nil {
			return drover.Errorf(drover.Refused, "%s cannot be read any more: %w", name, err).
				WithHint("restore it, or start a new run: drover run JOB.yaml --new")
		}
		if o.Size != p.Size || o.ModTime.UnixNano() != p.MTime {
			return drover.Errorf(drover.Refused, "%s has changed since the run was planned: it had %d bytes, last written at %s, and has %d now, last written at %s",
				name, p.Size, moment(p.MTime), o.Size, moment(o.ModTime.UnixNano())).
				WithHint("start a new run: drover run JOB.yaml --new; --retry-errors fails again unless size and time are restored")
		}
		r.kind[name] = 0
		paths = append(paths, name)
	}
	err := s.shape(ctx, r, paths)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	return nil
}

// moment is a file's time as text, to the nanosecond.
func moment(nanos int64) string { return time.Unix(0, nanos).UTC().Format(time.RFC3339Nano) }

func (s *source) shape(ctx context.Context, r *relation, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	switch r.sv.Format {
	case formatParquet:
		shapes, at, err := r.sv.shapes(ctx, r.session, paths)
		if err != nil {
			return err
		}
		r.shapes = shapes
		for i, p := range paths {
			r.kind[p] = at[i]
		}
	case formatCSV:
		for _, p := range paths {
			_, sh, err := csvHead(ctx, s.store, p, r.sv.Dialect.Delimiter, r.sv.Dialect.Header)
			if err != nil {
				return err
			}
			r.add(p, sh)
		}
	case formatJSON:
		r.shapes = []shape{shape(r.sv.Keys)}
	case formatArrow:
		r.arrow = map[string]string{}
		for _, p := range paths {
			sql, sh, remove, err := addArrow(ctx, s.store, r.session, p)
			if err != nil {
				return err
			}
			r.closers = append(r.closers, remove)
			r.arrow[p] = sql
			r.add(p, sh)
		}
	}
	return nil
}

// add records a file's shape, sharing equal ones.
func (r *relation) add(path string, sh shape) {
	i := slices.IndexFunc(r.shapes, func(o shape) bool { return slices.Equal(o, sh) })
	if i < 0 {
		i = len(r.shapes)
		r.shapes = append(r.shapes, sh)
	}
	r.kind[path] = i
}

// part is a piece and the chunk that its rows belong to.
type part struct {
	piece
	tag int
}

func (r *relation) everything() []part {
	parts := make([]part, len(r.all))
	for i, p := range r.all {
		parts[i] = part{piece: p}
	}
	return parts
}

// Chunk implements connector.Relation.
func (r *relation) Chunk(i int) string { return r.tally(r.of([]int{i})) }

// All implements connector.Relation.
func (r *relation) All() string {
	all := make([]int, len(r.chunks))
	for i := range all {
		all[i] = i
	}
	return r.tally(r.of(all))
}

// of returns the SELECT of some chunks.
func (r *relation) of(chunks []int) string {
	var parts []part
	var keyed []int
	for _, i := range chunks {
		if r.chunks[i].By != nil {
			keyed = append(keyed, i)
			continue
		}
		for _, p := range r.chunks[i].Pieces {
			parts = append(parts, part{p, i})
		}
	}
	var selects []string
	if len(parts) > 0 || len(keyed) == 0 {
		selects = append(selects, r.union(parts))
	}
	if len(keyed) > 0 {
		selects = append(selects, r.byKey(keyed)...)
	}
	return "(" + strings.Join(selects, "\nUNION ALL\n") + ")"
}

// tally wraps a SELECT so that its rows are counted by chunk, where no footer knows their number.
func (r *relation) tally(sql string) string {
	if !r.counted {
		return sql
	}
	const twin = "__drover_counted"
	counted, counts, remove := r.session.AddTally("SELECT *, "+tagIdent()+" AS "+duck.Ident(twin)+" FROM "+sql, twin, len(r.chunks))
	r.counts = append(r.counts, counts)
	r.closers = append(r.closers, func() error { remove(); return nil })
	return "(" + counted + ")"
}

// Count implements connector.Relation. Bytes are the files' own, compressed; those of a chunk by key are its estimated share.
func (r *relation) Count(i int) connector.Count {
	var c connector.Count
	for _, p := range r.chunks[i].Pieces {
		c.Rows += p.Rows
		c.Bytes += p.Bytes
	}
	if by := r.chunks[i].By; by != nil {
		c.Bytes = by.Bytes
	}
	if r.counted {
		c.Rows = 0
		for _, counts := range r.counts {
			c.Rows += counts()[i]
		}
		return c // filters were pushed below the counting
	}
	c.Scanned = new(c.Rows)
	return c
}

// Recount implements connector.Recounter.
func (r *relation) Recount() { r.counts = nil }

// Close implements connector.Relation.
func (r *relation) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c())
	}
	r.closers = nil
	return errors.Join(errs...)
}

func tagIdent() string { return duck.Ident(step.Tag) }
