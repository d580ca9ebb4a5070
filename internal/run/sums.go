package run

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/ledger"
)

// shownChunks is how many of the chunks whose sums differ are named.
const shownChunks = 3

// sources adds up what the receipts say of the columns that expectations have added up. A chunk has one receipt, whatever was retried or split.
func (r *runner) sources(ctx context.Context) ([]expect.Source, error) {
	columns := expect.SumColumns(r.bound.Expect)
	if len(columns) == 0 {
		return nil, nil
	}
	out := make([]expect.Source, len(columns))
	var named []differing
	for i, c := range columns {
		out[i] = expect.Source{Source: c.Source, Column: c.Column}
	}
	for receipt, err := range r.ledger.Receipts(ctx, r.run.UID, 0) {
		if err != nil {
			return nil, fmt.Errorf("read the receipts from the ledger: %w", err)
		}
		for i := range out {
			s, ok := sumOf(receipt, out[i].Source, out[i].Column)
			if !ok {
				return nil, r.unsummed(out[i].Column)
			}
			o := &out[i]
			o.In, o.Out, o.Chunks, o.Rejected = o.In.Plus(s.In), o.Out.Plus(s.Out), o.Chunks+1, o.Rejected+receipt.RowsRejected
			if s.In.Equal(s.Out) {
				continue
			}
			if o.Differ++; o.Differ <= shownChunks {
				named = append(named, differing{receipt.ChunkID, o, fmt.Sprintf("%s read, %s written", s.In, s.Out)})
			}
		}
	}
	return out, r.nameChunks(ctx, named)
}

// differing is a chunk that was written with another sum than it was read with.
type differing struct {
	id   int64
	of   *expect.Source
	text string
}

// nameChunks makes samples of the chunks that differ, in the order of their IDs.
func (r *runner) nameChunks(ctx context.Context, all []differing) error {
	if len(all) == 0 {
		return nil
	}
	by := "chunk "
	if r.by(0) != "" {
		by = r.by(0) + "="
	}
	last := slices.MaxFunc(all, func(a, b differing) int { return cmp.Compare(a.id, b.id) }).id
	for c, err := range r.ledger.Chunks(ctx, r.run.UID, ledger.ChunkFinished) {
		if err != nil {
			return fmt.Errorf("read the chunks from the ledger: %w", err)
		}
		for _, d := range all {
			if d.id == c.ID {
				d.of.Samples = append(d.of.Samples, by+human.Key(c.Key)+": "+d.text)
			}
		}
		if c.ID >= last {
			return nil
		}
	}
	return nil
}

// sumOf finds a column's sums in a receipt.
func sumOf(receipt connector.Receipt, source, column string) (connector.Summed, bool) {
	k := slices.IndexFunc(receipt.Sums, func(s connector.Summed) bool { return s.Source == source && s.Column == column })
	if k < 0 {
		return connector.Summed{}, false
	}
	return receipt.Sums[k], true
}

// unsummed is the error of an expectation that came after chunks had been read without it.
func (r *runner) unsummed(column string) error {
	return drover.Errorf(drover.Refused, "the source's sum of %s is not known: chunks of run %s were read before the job expected it", column, r.run.ID).
		WithField("expect").WithHint("start afresh with --new, or remove sum_equals_source: %s", column)
}
