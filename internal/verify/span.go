package verify

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

const (
	// blocks is into how many ranges the values of a key's first column are divided, beside the buckets of its hash.
	blocks = 1 << 16
	// mostRanges is how many ranges are read again by themselves; where more differ, all rows are.
	mostRanges = 200
	// noBlock is the block of NULL.
	noBlock = blocks + 1
)

// span divides the values of the key's first column, whole numbers, into ranges, so that the second pass need not read what is equal: block i
// has those from low + i*width on. Blocks -1 and blocks have what is below and above: that low and high are right is not needed.
type span struct {
	low, width int64
	// ranges are those that differ, once they are known; nil where everything is read.
	ranges [][2]int64
	// null says that NULL is among what differs.
	null bool
}

// findSpan asks a side that knows for the range of the key. It returns nil where ranges are no use: no source can leave others out.
func (c *comparison) findSpan(ctx context.Context) *span {
	p := c.pairs[0]
	low, high, known := int64(math.MaxInt64), int64(math.MinInt64), false
	for _, s := range []*side{c.l, c.r} {
		column := s.columnOf(p)
		if k := s.kind(column); k.class != whole || k.digits > 19 {
			return nil
		}
		r, ok := s.reading.src.(connector.Ranger)
		if !ok {
			continue
		}
		if l, h, ok := r.Range(ctx, column.Name); ok {
			low, high, known = min(low, l), max(high, h), true
		}
	}
	if !known {
		return nil
	}
	return &span{low: low, width: int64((uint64(high)-uint64(low))/blocks) + 1}
}

// block is the block of a row of formed.
func (s *span) block() string {
	return fmt.Sprintf("(CASE WHEN k0 IS NULL THEN %d WHEN k0 < %d THEN -1 ELSE least(%d, (k0::HUGEINT - %[2]d::HUGEINT) // %[4]d) END)::INTEGER", noBlock, s.low, blocks, s.width)
}

// choose makes ranges of the blocks that differ, given as texts.
func (s *span) choose(list [][]*string) error {
	if len(list) == 0 || len(list) > mostRanges {
		return nil
	}
	s.ranges = [][2]int64{}
	for _, row := range list {
		b, err := strconv.ParseInt(*row[0], 10, 64)
		if err != nil {
			return fmt.Errorf("compare the hashes: %w", err)
		}
		if b == noBlock {
			s.null = true
			continue
		}
		r := [2]int64{math.MinInt64, math.MaxInt64}
		if b >= 0 {
			r[0], _ = s.at(b)
		}
		if next, ok := s.at(b + 1); ok && b < blocks {
			r[1] = next - 1
		}
		s.ranges = append(s.ranges, r)
	}
	return nil
}

// at is where a block begins; false where that is beyond all numbers.
func (s *span) at(block int64) (int64, bool) {
	above := uint64(math.MaxInt64) - uint64(s.low)
	over, distance := bits.Mul64(uint64(block), uint64(s.width))
	if over > 0 || distance > above {
		return math.MaxInt64, false
	}
	return int64(uint64(s.low) + distance), true
}

// conditions are what a source may leave out rows by; none where all are read.
func (s *span) conditions(column string) []step.Condition {
	if s == nil || s.ranges == nil {
		return nil
	}
	whole := func(n int64) []step.Value { return []step.Value{{Type: "BIGINT", Text: strconv.FormatInt(n, 10)}} }
	any := step.Condition{Op: "or"}
	for _, r := range s.ranges {
		any.Of = append(any.Of, step.Condition{Op: "and", Of: []step.Condition{
			{Op: ">=", Column: column, Values: whole(r[0])}, {Op: "<=", Column: column, Values: whole(r[1])},
		}})
	}
	if s.null {
		any.Of = append(any.Of, step.Condition{Op: "is null", Column: column})
	}
	return []step.Condition{any}
}

// where is conditions as DuckDB's, which leaves out row groups of Parquet by them.
func (s *span) where(column string) string {
	if s == nil || s.ranges == nil {
		return "true"
	}
	var parts []string
	for _, r := range s.ranges {
		parts = append(parts, fmt.Sprintf("(%s >= %d AND %[1]s <= %[3]d)", duck.Ident(column), r[0], r[1]))
	}
	if s.null {
		parts = append(parts, duck.Ident(column)+" IS NULL")
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}
