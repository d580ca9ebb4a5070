package reject

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// culprit is a row that cannot be converted or stored, and why.
type culprit struct {
	row int64
	why *drover.Error
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
}

// find adds the culprits among so many rows. Of b culprits among n rows it tries about b log2(n/b) parts, the longest of them first.
func (f *finder) find(ctx context.Context, rows int64, try func(context.Context) error) error {
	if rows == 0 {
		return nil
	}
	f.try, f.known = try, f.rows()
	if err := f.look(ctx, 0, rows); err != nil {
		return err
	}
	slices.SortFunc(f.found, func(a, b culprit) int { return cmp.Compare(a.row, b.row) })
	return nil
}

// rows are the numbers of the culprits' rows.
func (f *finder) rows() []int64 {
	rows := make([]int64, len(f.found))
	for i, x := range f.found {
		rows[i] = x.row
	}
	return rows
}

// look tries the rows from..to-1.
func (f *finder) look(ctx context.Context, from, to int64) error {
	f.rel.Limit(from, to, f.known)
	err := f.try(ctx)
	if err == nil {
		return nil
	}
	why, ok := connector.Rejectable(err)
	if !ok {
		return err
	}
	if to-from > 1 {
		return f.halves(ctx, from, to)
	}
	f.found = append(f.found, culprit{from, why})
	if int64(len(f.found)) <= f.most {
		return nil
	}
	first := f.found[0].why
	return &drover.Error{
		Kind: drover.Data, Code: connector.TooManyRejects, Column: first.Column, Sample: first.Sample,
		Message: fmt.Sprintf("more than %d rows were rejected, the most that rejects.max allows; the first: %s", f.most, first.Message),
	}
}

// halves looks at both halves of rows that fail together.
func (f *finder) halves(ctx context.Context, from, to int64) error {
	if to-from == 1 {
		return f.look(ctx, from, to)
	}
	middle, before := from+(to-from)/2, len(f.found)
	if err := f.look(ctx, from, middle); err != nil {
		return err
	}
	if len(f.found) == before {
		return f.halves(ctx, middle, to) // the fault must be here
	}
	return f.look(ctx, middle, to)
}
