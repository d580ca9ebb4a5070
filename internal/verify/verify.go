// Package verify finds the rows in which two tables differ, whatever systems they are in. Neither side is held in memory: both are hashed by buckets
// of their keys first, and only the rows of buckets that differ are compared one by one.
package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/memory"
)

// Options say what to compare, and how.
type Options struct {
	Registry connector.Registry
	// Left and Right are read to their ends; LeftName and RightName are how they are called to the user, without secrets.
	Left, Right         drover.Source
	LeftName, RightName string
	// Key is the columns that say which rows belong together. It need not be unique.
	Key []string
	// Ignore is columns that are not compared; Skip are such as well, whether there or not.
	Ignore, Skip []string
	// LeftField is the left's place in a job; empty where there is none.
	LeftField string
	// Within limits the left: only rows whose key it has are compared. Nil compares all. Its columns are those of Key.
	Within drover.Source
	// RightTexts is columns of the right whose texts stand for values of the left's types.
	RightTexts []string
	// Tolerance is how far two floats may be apart: by Tolerance × max(1, |left|, |right|). 0 means that they must be equal.
	Tolerance float64
	// Samples is how many rows are shown at most of each of missing, extra and changed.
	Samples int
	// Memory is the budget of the process in bytes; what does not fit spills below TempDir.
	Memory   int64
	TempDir  string
	Timezone string
	Warn     func(format string, args ...any)
}

// Diff compares two tables row by row.
func Diff(ctx context.Context, o Options) (_ *Result, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	l, err := openSide(ctx, o, o.Left, "left")
	if err != nil {
		return nil, about(o.LeftName, o.LeftField, o.Left, err)
	}
	defer func() { err = errors.Join(err, l.close()) }()
	r, err := openSide(ctx, o, o.Right, "right")
	if err != nil {
		return nil, about(o.RightName, "", o.Right, err)
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for _, c := range r.schema {
		if contains(o.RightTexts, c.Name) && c.Type == "VARCHAR" {
			r.untyped[c.Name] = true
		}
	}
	var within *side
	if o.Within != nil {
		if within, err = openSide(ctx, o, o.Within, "within"); err != nil {
			return nil, about("the keys of the sample", "", o.Within, err)
		}
		defer func() { err = errors.Join(err, within.close()) }()
	}
	for {
		c, err := match(o, l, r)
		if err != nil {
			return nil, err
		}
		c.within = within
		found, err := c.run(ctx)
		if err == nil {
			return found, nil
		}
		if !c.readAsText(err) {
			return nil, err
		}
	}
}

// about names the side that an error is about, by its place in a job if it has one.
func about(name, place string, spec drover.Source, err error) error {
	var e *drover.Error
	if !errors.As(err, &e) || e.Field == "" {
		return fmt.Errorf("%s: %w", name, err)
	}
	named := *e
	if named.Field = ""; place != "" {
		connector := spec.Connector()
		named.Field = place + "." + connector + "." + strings.TrimPrefix(strings.TrimPrefix(e.Field, "source."), connector+".")
	} else if strings.HasPrefix(e.Field, "source.") {
		named.Hint = "" // it is about a job file
	}
	named.Message = name + ": " + e.Message
	return &named
}

func (o Options) check() error {
	switch {
	case len(o.Key) == 0:
		return drover.Errorf(drover.Invalid, "there is no key to find rows by").WithHint("name the columns that say which rows belong together: --key id")
	case o.Tolerance < 0 || math.IsNaN(o.Tolerance) || math.IsInf(o.Tolerance, 0):
		return drover.Errorf(drover.Invalid, "a tolerance of %v: it must be 0 or more", o.Tolerance).WithHint("--tolerance 1e-9")
	}
	for i, k := range o.Key {
		if slices.ContainsFunc(o.Key[:i], func(e string) bool { return strings.EqualFold(e, k) }) {
			return drover.Errorf(drover.Invalid, "the key names column %s twice", k)
		}
	}
	return nil
}

// pair is one column that both sides have.
type pair struct {
	left, right drover.Column
	key         bool
	// lf and rf bring the sides' values together.
	lf, rf form
	// float says that the tolerance applies.
	float bool
}

// comparison is one try to compare two sides.
type comparison struct {
	o    Options
	l, r *side
	// within holds the keys of the left that are compared; nil for all.
	within *side
	// pairs has the key's columns first, in the order of Options.Key.
	pairs []pair
	keys  int
	found *Result
	s     *duck.Session
	// span divides the keys into ranges; nil where they are no whole numbers, or no source could leave rows out.
	span *span
}

// match finds the columns to compare.
func match(o Options, l, r *side) (*comparison, error) {
	c := &comparison{o: o, l: l, r: r, found: &Result{Left: Side{Name: o.LeftName}, Right: Side{Name: o.RightName}}}
	for _, k := range o.Key {
		for _, s := range []*side{l, r} {
			if s.schema.Index(k) < 0 {
				err := drover.Errorf(drover.Invalid, "%s (%s) has no column %q, which the key names", s.which, s.name(o), k).
					WithHint("its columns are %s", strings.Join(s.schema.Names(), ", "))
				if s == l {
					err = err.WithField(o.LeftField)
				}
				return nil, err
			}
		}
		p, ok := c.pair(l.schema[l.schema.Index(k)], r.schema[r.schema.Index(k)])
		if !ok {
			return nil, drover.Errorf(drover.Invalid, "key column %s is %s in left and %s in right: no two rows could belong together", k, typeOf(p.left), typeOf(p.right)).
				WithHint("compare it under one type, for example by a file or a view that casts it")
		}
		p.key = true
		c.pairs = append(c.pairs, p)
	}
	c.keys = len(c.pairs)
	for _, i := range o.Ignore {
		if l.schema.Index(i) < 0 && r.schema.Index(i) < 0 {
			return nil, drover.Errorf(drover.Invalid, "neither side has a column %q to ignore", i)
		}
		if contains(o.Key, i) {
			return nil, drover.Errorf(drover.Invalid, "column %s is part of the key and cannot be ignored", i)
		}
	}
	for _, lc := range l.schema {
		if contains(o.Key, lc.Name) || contains(o.Ignore, lc.Name) || contains(o.Skip, lc.Name) {
			continue
		}
		i := r.schema.Index(lc.Name)
		if i < 0 {
			c.found.OnlyLeft = append(c.found.OnlyLeft, lc.Name)
			continue
		}
		p, ok := c.pair(lc, r.schema[i])
		if !ok {
			c.found.Types = append(c.found.Types, TypeDifference{Column: lc.Name, Left: typeOf(lc), Right: typeOf(r.schema[i])})
			continue
		}
		c.pairs = append(c.pairs, p)
	}
	for _, rc := range r.schema {
		if l.schema.Index(rc.Name) < 0 && !contains(o.Ignore, rc.Name) && !contains(o.Skip, rc.Name) {
			c.found.OnlyRight = append(c.found.OnlyRight, rc.Name)
		}
	}
	return c, nil
}

// pair brings two columns together, if that can be done.
func (c *comparison) pair(lc, rc drover.Column) (pair, bool) {
	p := pair{left: lc, right: rc}
	lu, ru := c.l.untyped[lc.Name], c.r.untyped[rc.Name]
	if lu && !ru { // texts mean values of the other's type
		c.l.texts[lc.Name] = true
	}
	if ru && !lu {
		c.r.texts[rc.Name] = true
	}
	lk, rk := c.l.kind(lc), c.r.kind(rc)
	if lk.class == serverText && rk.class == serverText && lc.Native != rc.Native {
		return p, false
	}
	var ok bool
	p.lf, p.rf, ok = forms(lk, rk, lu && !ru, ru && !lu)
	if !ok && lu && ru {
		// What one file's values suggest, another's do not.
		c.l.texts[lc.Name], c.r.texts[rc.Name] = true, true
		p.lf, p.rf, ok = as("VARCHAR"), as("VARCHAR"), true
	}
	numeric := func(k kind) bool { return exact(k) || k.class == float || k.class == text }
	p.float = ok && (lk.class == float && numeric(rk) || rk.class == float && numeric(lk))
	return p, ok
}

// contains reports whether names has a column, as DuckDB compares names.
func contains(names []string, column string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, column) })
}

// typeOf is a column's type in its own system's words.
func typeOf(c drover.Column) string {
	if c.Native != "" {
		return c.Native
	}
	return c.Type
}

// readAsText decides whether another try may mend an error: a value that DuckDB cannot hold is compared as its server's text.
func (c *comparison) readAsText(err error) bool {
	var e *sideError
	var d *drover.Error
	if !errors.As(err, &e) || !errors.As(err, &d) || d.Kind != drover.Data {
		return false
	}
	i := slices.IndexFunc(c.pairs, func(p pair) bool { return e.side.columnOf(p).Name == d.Column })
	if i < 0 || e.side.texter == nil || e.side.untyped[d.Column] || e.side.texts[d.Column] {
		return false
	}
	e.side.texts[d.Column] = true
	if e.side.kind(e.side.columnOf(c.pairs[i])).class == number {
		return true
	}
	o := c.l
	if e.side == c.l {
		o = c.r
	}
	if o.texter == nil || c.pairs[i].left.Native != c.pairs[i].right.Native {
		return false
	}
	o.texts[o.columnOf(c.pairs[i]).Name] = true
	return true
}

// run compares.
func (c *comparison) run(ctx context.Context) (_ *Result, err error) {
	c.s, err = duck.Open(ctx, duck.Options{
		Memory: memory.Divide(c.o.Memory).Duck, Threads: runtime.GOMAXPROCS(0), TempDir: c.o.TempDir, Timezone: c.o.Timezone,
	})
	if err != nil {
		return nil, err
	}
	defer c.s.Close()
	sides := []*side{c.l, c.r}
	if c.within != nil {
		sides = append(sides, c.within)
	}
	for _, s := range sides {
		if err := s.begin(ctx, c.o); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.end()) }()
	}
	if err := c.limit(ctx); err != nil {
		return nil, err
	}
	if err := c.hash(ctx); err != nil {
		return nil, err
	}
	if c.found.buckets > 0 {
		if err := c.compareRows(ctx); err != nil {
			return nil, err
		}
	}
	c.found.settle()
	return c.found, nil
}
