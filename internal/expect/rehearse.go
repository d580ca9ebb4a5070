package expect

import (
	"slices"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/exact"
)

// Held returns the columns of the output that expectations look at, in single rows, and those by which such rows are shown.
func Held(bound []Bound, output drover.Schema) drover.Schema {
	c := checker{Staged: Staged{Output: output}, all: bound}
	var names []string
	for _, b := range bound {
		if b.breaks != "" {
			names = append(append(names, b.columns...), c.shown(b)...)
		}
	}
	held := slices.DeleteFunc(slices.Clone(output), func(c drover.Column) bool { return !slices.Contains(names, c.Name) })
	if len(held) == 0 {
		return output[:1]
	}
	return held
}

// OfSingleRows reports whether some of the expectations can be checked row by row.
func OfSingleRows(bound []Bound) bool {
	return slices.ContainsFunc(bound, func(b Bound) bool { return b.breaks != "" })
}

// Merge adds what another part of the rows breaks.
func Merge(broken, more []Broken) []Broken {
	for _, m := range more {
		i := slices.IndexFunc(broken, func(b Broken) bool { return b.Field == m.Field })
		if i < 0 {
			broken = append(broken, m)
			continue
		}
		switch b := &broken[i]; {
		case b.Rows == 0: // it could not be evaluated
		case m.Rows == 0:
			*b = m
		default:
			b.Rows += m.Rows
			b.Samples = append(slices.Clone(b.Samples), m.Samples...)
		}
	}
	return broken
}

// Totals is what a dry run knows of its rows, which nobody can look at together.
type Totals struct {
	Rows    int64
	Sources []Source
	// Broken is what its parts broke, merged.
	Broken []Broken
	// Part says that there are more rows, of chunks that were left out.
	Part bool
}

// Check returns what the rows break, and the expectations that cannot be checked, as texts.
func (t Totals) Check(all []Bound) (broken []Broken, left []string, err error) {
	for _, b := range all {
		var found *Broken
		switch b.Kind() {
		case "rows":
			if t.Part {
				left = append(left, b.String())
				continue
			}
			ok, err := b.RowsHold(t.Rows)
			if err != nil {
				return nil, nil, err
			}
			if !ok {
				found = &Broken{Message: thereAre(t.Rows)}
			}
		case "sum_equals_source":
			written := make([]exact.Sum, len(b.sums))
			for i, c := range b.sums {
				s, err := sourceOf(t.Sources, c)
				if err != nil {
					return nil, nil, err
				}
				written[i] = s.Out
			}
			if found, err = compareSums(b.sums, written, t.Sources); err != nil {
				return nil, nil, err
			}
		case "unique":
			left = append(left, b.String())
		default:
			found = t.single(b)
		}
		if found != nil {
			found.Expectation, found.Field = b.String(), b.field
			broken = append(broken, *found)
		}
	}
	return broken, left, nil
}

// single is what an expectation of single rows found in the parts together.
func (t Totals) single(b Bound) *Broken {
	i := slices.IndexFunc(t.Broken, func(f Broken) bool { return f.Field == b.field })
	if i < 0 {
		return nil
	}
	found := t.Broken[i]
	if found.Rows > 0 {
		found.Message = b.message(found.Rows)
	}
	// Parts end in any order, and show some of their rows each.
	found.Samples = slices.Clone(found.Samples)
	slices.Sort(found.Samples)
	found.Samples = found.Samples[:min(len(found.Samples), mostSamples)]
	return &found
}
