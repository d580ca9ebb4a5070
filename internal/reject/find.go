package reject

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// culprit is a row that cannot be converted or stored, and why.
type culprit struct {
	row int64
	why *drover.Error
	// explained says that why names the step and the column, where that can be.
	explained bool
}

// finder looks for the rows of a relation that fail.
type finder struct {
	rel connector.Keeper
	// try converts and stores the rows that rel is limited to, and keeps nothing.
	try func(context.Context) error
	// most is how many culprits may be found.
	most int64
	// known are the rows that were found before, sorted: they are not tried again.
	known []int64
	found []culprit
	// untold says that the judge's word for the row it refused does not hold.
	untold bool
}

// find adds the culprits among so many rows. Where some fail, and hint is not nil, it may add some of them first. Of the b culprits among n rows that are left it tries
// about b log2(n/b) parts, the longest of them first.
func (f *finder) find(ctx context.Context, rows int64, try func(context.Context) error, hint func() error) error {
	if rows == 0 {
		return nil
	}
	f.try, f.known, f.untold = try, f.rows(), false
	why, at, err := f.part(ctx, 0, rows)
	if why == nil || err != nil {
		return err
	}
	if err := f.hopeless(ctx, rows); err != nil {
		return err
	}
	if hint != nil {
		if err := hint(); err != nil {
			return err
		}
		f.known = f.rows()
	}
	if hint != nil && len(f.known) > 0 {
		err = f.look(ctx, 0, rows)
	} else {
		err = f.within(ctx, 0, rows, why, at)
	}
	slices.SortFunc(f.found, func(a, b culprit) int { return cmp.Compare(a.row, b.row) })
	return err
}

// rows are the numbers of the culprits' rows, sorted.
func (f *finder) rows() []int64 {
	rows := make([]int64, len(f.found))
	for i, x := range f.found {
		rows[i] = x.row
	}
	slices.Sort(rows)
	return rows
}

// part tries the rows from..to-1 and returns why some of them fail, and the first of these where the judge tells, or -1.
func (f *finder) part(ctx context.Context, from, to int64) (why *drover.Error, at int64, err error) {
	f.rel.Limit(from, to, f.known)
	if err = f.try(ctx); err == nil {
		return nil, -1, nil
	}
	why, ok := connector.Rejectable(err)
	if !ok {
		return nil, -1, err
	}
	at = -1
	if told := (*connector.RowError)(nil); errors.As(err, &told) && !f.untold {
		at = f.nth(from, told.Row)
	}
	return why, at, nil
}

// nth is the number of the n-th row, from 0, of those from from on that are not known.
func (f *finder) nth(from, n int64) int64 {
	i, _ := slices.BinarySearch(f.known, from)
	at := from + n
	for ; i < len(f.known) && f.known[i] <= at; i++ {
		at++
	}
	return at
}

// look looks for culprits among the rows from..to-1.
func (f *finder) look(ctx context.Context, from, to int64) error {
	why, at, err := f.part(ctx, from, to)
	if why == nil || err != nil {
		return err
	}
	return f.within(ctx, from, to, why, at)
}

// within looks at rows that fail together, where the judge says at the row at.
func (f *finder) within(ctx context.Context, from, to int64, why *drover.Error, at int64) error {
	for at >= 0 && at < to && to-from > 1 {
		// A program that leaves rows out has the judge's count fall behind: the row at that place is then one that it left out, or took.
		alone, _, err := f.part(ctx, at, at+1)
		if err != nil {
			return err
		}
		if alone == nil {
			f.untold = true
			break
		}
		if err := f.add(culprit{row: at, why: alone}); err != nil {
			return err
		}
		// The judge took those before it. How far away the next one is may be seen from this one: what is sent beyond it is lost.
		span := max(4*(at+1-from), 64)
		from = at + 1
		for why = nil; why == nil; span *= 4 {
			if from >= to {
				return nil
			}
			end := min(to, from+span)
			if why, at, err = f.part(ctx, from, end); err != nil {
				return err
			}
			if why == nil {
				from = end
			}
		}
	}
	return f.halves(ctx, from, to, why)
}

// halves looks at both halves of rows that fail together.
func (f *finder) halves(ctx context.Context, from, to int64, why *drover.Error) error {
	if to-from == 1 {
		return f.add(culprit{row: from, why: why})
	}
	middle, before := from+(to-from)/2, len(f.found)
	if err := f.look(ctx, from, middle); err != nil {
		return err
	}
	if len(f.found) > before || to-middle == 1 {
		return f.look(ctx, middle, to)
	}
	return f.halves(ctx, middle, to, why) // the fault must be here
}

func (f *finder) add(x culprit) error {
	f.found = append(f.found, x)
	if int64(len(f.found)) > f.most {
		return f.tooMany(f.found[0].why)
	}
	return nil
}

// sampled is how many rows hopeless looks at. By Hoeffding's inequality the share of culprits among so many rows is by a half higher
// than that among all once in 10^13 times.
const sampled = 64

// hopeless fails where there are so many culprits that a few rows prove it: each of them would be tried alone until there are too many.
func (f *finder) hopeless(ctx context.Context, rows int64) error {
	if f.most < sampled || f.most >= rows/2 {
		return nil // too many are soon found, or nothing would prove it
	}
	needed := sampled/2 + sampled*f.most/rows + 1
	rng := rand.New(rand.NewPCG(uint64(rows), 0))
	var bad, good int64
	var first *drover.Error
	for good <= sampled-needed {
		row := rng.Int64N(rows)
		if _, found := slices.BinarySearch(f.known, row); found {
			good++
			continue
		}
		why, _, err := f.part(ctx, row, row+1)
		switch {
		case err != nil:
			return err
		case why == nil:
			good++
			continue
		case first == nil:
			first = why
		}
		if bad++; bad == needed {
			return f.tooMany(first)
		}
	}
	return nil
}

func (f *finder) tooMany(first *drover.Error) error {
	return &drover.Error{
		Kind: drover.Data, Code: connector.TooManyRejects, Column: first.Column, Sample: first.Sample,
		Message: fmt.Sprintf("more than %d rows were rejected, the most that rejects.max allows; the first: %s", f.most, first.Message),
	}
}
