package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// side is one of the two tables.
type side struct {
	which  string // "left", "right" or "within"
	spec   drover.Source
	src    connector.Source
	texter connector.Texter // nil where the source is none
	schema drover.Schema
	// untyped is the columns whose types are guesses from texts.
	untyped map[string]bool
	// texts is the columns that are read as the system's text.
	texts   map[string]bool
	reading *reading
}

// reading is a side whose rows can be read.
type reading struct {
	src    connector.Source
	schema drover.Schema
	state  []byte
	chunks []connector.Chunk
	rels   []connector.Relation
}

// sideError says which side an error is about.
type sideError struct {
	side *side
	name string
	err  error
}

func (e *sideError) Error() string { return e.name + ": " + e.err.Error() }
func (e *sideError) Unwrap() error { return e.err }

func openSide(ctx context.Context, o Options, spec drover.Source, which string) (_ *side, err error) {
	s := &side{which: which, spec: spec, texts: map[string]bool{}, untyped: map[string]bool{}}
	if s.src, err = o.Registry.OpenSource(ctx, spec, o.env()); err != nil {
		return nil, err
	}
	if s.schema, err = s.src.Schema(ctx); err != nil {
		return nil, errors.Join(err, s.src.Close())
	}
	if t, ok := s.src.(connector.Texter); ok {
		s.texter = t
		untyped, err := t.Untyped(ctx)
		if err != nil {
			return nil, errors.Join(err, s.src.Close())
		}
		for _, c := range untyped {
			s.untyped[c] = true
		}
	}
	for _, c := range s.schema {
		if c.Type == "" || kindOfText(c).class == number && kindOf(c.Type).class == decimal && c.Native == "numeric" {
			s.texts[c.Name] = true // a numeric without precision may have any
		}
	}
	return s, nil
}

// env is what a side's connector may use: DuckDB has its own share of the budget already.
func (o Options) env() connector.Env {
	return connector.Env{Timezone: o.Timezone, TempDir: o.TempDir, Application: "drover/diff", Warn: o.Warn, Memory: o.Memory / 2}
}

func (s *side) name(o Options) string {
	switch s.which {
	case "left":
		return o.LeftName
	case "right":
		return o.RightName
	}
	return "the keys of the sample"
}

func (s *side) columnOf(p pair) drover.Column {
	if s.which == "left" {
		return p.left
	}
	return p.right
}

func (s *side) form(p pair) form {
	if s.which == "left" {
		return p.lf
	}
	return p.rf
}

// kind is a column's, as it is read.
func (s *side) kind(c drover.Column) kind {
	switch {
	case s.untyped[c.Name] && s.texts[c.Name]:
		return kind{class: text, typ: "VARCHAR"}
	case s.texts[c.Name]:
		return kindOfText(c)
	}
	return kindOf(duck.OpenLists(c.Type))
}

func (s *side) close() error { return s.src.Close() }

// begin makes the side's rows readable: all of one snapshot, where the source has such.
func (s *side) begin(ctx context.Context, o Options) (err error) {
	r := &reading{src: s.src}
	s.reading = r
	if s.texter != nil {
		var texts []string
		for _, c := range s.schema {
			if s.texts[c.Name] {
				texts = append(texts, c.Name)
			}
		}
		spec, err := s.texter.AsText(ctx, texts)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name(o), err)
		}
		if r.src, err = o.Registry.OpenSource(ctx, spec, o.env()); err != nil {
			return fmt.Errorf("%s: %w", s.name(o), err)
		}
	}
	if r.schema, err = r.src.Schema(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.name(o), err)
	}
	if r.state, err = r.src.Begin(ctx, drover.Chunking{}, nil); err != nil {
		return fmt.Errorf("%s: %w", s.name(o), err)
	}
	for c, err := range r.src.Chunks(ctx, drover.Chunking{}, r.state) {
		if err != nil {
			return fmt.Errorf("%s: %w", s.name(o), err)
		}
		r.chunks = append(r.chunks, c)
	}
	return nil
}

// end releases what begin made.
func (s *side) end() error {
	if s.reading == nil {
		return nil
	}
	r := s.reading
	s.reading = nil
	var errs []error
	for _, rel := range r.rels {
		errs = append(errs, rel.Close())
	}
	if r.src != s.src {
		errs = append(errs, r.src.Close())
	}
	return errors.Join(errs...)
}

// rows returns a SELECT of all rows with the source's columns, which may be scanned once. Those that do not meet where may be left out.
func (s *side) rows(ctx context.Context, session *duck.Session, columns []string, where []step.Condition) (string, error) {
	r := s.reading
	if len(r.chunks) == 0 {
		return "", drover.Errorf(drover.Refused, "there is nothing to read in %s", s.spec)
	}
	if len(r.chunks) == 1 && len(r.rels) > 0 {
		if n, ok := r.rels[0].(connector.Narrower); ok {
			n.Narrow(where)
		}
		return r.rels[0].Chunk(0), nil // of the snapshot that the relation holds
	}
	var schema drover.Schema
	for _, c := range r.schema {
		if slices.Contains(columns, c.Name) {
			schema = append(schema, c)
		}
	}
	rel, err := r.src.Open(ctx, session, r.schema, r.state, r.chunks)
	if err != nil {
		return "", err
	}
	r.rels = append(r.rels, rel)
	if checker, ok := rel.(connector.Checker); ok {
		if err := checker.Check(ctx, schema.Names()); err != nil {
			return "", err
		}
	}
	if len(r.chunks) == 1 {
		return rel.Chunk(0), nil
	}
	return rel.All(), nil
}
