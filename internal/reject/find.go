package reject

import (
	"context"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// fault is a row that cannot be converted or stored, and why.
type fault struct {
	row int64
	why *drover.Error
}

// finder looks for the rows of a relation that fail.
type finder struct {
	rel connector.Keeper
	// try converts and stores the rows that rel is limited to, and keeps nothing.
	try func(context.Context) error
	// most is how many faults may be found.
	most   int64
	faults []fault
}

// find returns the faults among so many rows, which are known to have some, in the order of rows. Of b faults among n rows it tries about
// b log2(n/b) parts, the longest of them first.
func (f *finder) find(ctx context.Context, rows int64) ([]fault, error) {
	if rows == 0 {
		return nil, nil
	}
	err := f.halves(ctx, 0, rows)
	return f.faults, err
}

// look tries the rows from..to-1.
func (f *finder) look(ctx context.Context, from, to int64) error {
	f.rel.Limit(from, to, nil)
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
	f.faults = append(f.faults, fault{from, why})
	if int64(len(f.faults)) <= f.most {
		return nil
	}
	first := f.faults[0].why
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
	middle, before := from+(to-from)/2, len(f.faults)
	if err := f.look(ctx, from, middle); err != nil {
		return err
	}
	if len(f.faults) == before {
		return f.halves(ctx, middle, to) // the fault must be here
	}
	return f.look(ctx, middle, to)
}
