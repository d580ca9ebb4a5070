package calls

import (
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/droverdata/drover/internal/duck"
)

// answer is the rows that a function returned for some chunks, those of one after those of another. It has no rows at the end of a scan.
type answer struct {
	rows  array.RecordReader
	parts []part
}

// part is how many rows are a chunk's, at most.
type part struct{ chunk, rows int }

// whole are the parts of one chunk's answer.
func whole(chunk int) []part { return []part{{chunk, math.MaxInt}} }

// scan is one running scan of answers.
type scan struct {
	*relation
	more func() (answer, error)

	// current is the answer that is read, parts those of its rows that were not yet taken.
	current answer
	filler  *duck.ArrowFiller
	batch   arrow.RecordBatch
	at      int64
}

func (s *scan) fill(out duck.Chunk, projection []int) (int, error) {
	for s.batch == nil || s.at == s.batch.NumRows() {
		more, err := s.next()
		if err != nil || !more {
			s.close()
			return 0, err
		}
	}
	end := min(s.at+duck.VectorSize, s.batch.NumRows())
	rows := s.batch.NewSlice(s.at, end)
	defer rows.Release()
	n := int(end - s.at)
	s.at = end
	data, tags := slices.Clone(projection), s.tags(n)
	tag := len(s.columns) - 1
	for v, column := range data {
		if column == tag {
			data[v] = -1
			copy(duck.Data[int64](out.Vector(v)), tags)
		}
	}
	if err := s.filler.Fill(out, data, rows); err != nil {
		return 0, fmt.Errorf("take over a function's answer: %w", err)
	}
	return n, nil
}

// tags are the chunks of the next n rows.
func (s *scan) tags(n int) []int64 {
	tags := make([]int64, n)
	parts := s.current.parts
	for i := range tags {
		for parts[0].rows == 0 {
			parts = parts[1:]
		}
		tags[i] = int64(parts[0].chunk)
		parts[0].rows--
	}
	s.current.parts = parts
	return tags
}

// next goes to the next batch of the answers.
func (s *scan) next() (bool, error) {
	for {
		if rows := s.current.rows; rows != nil {
			if rows.Next() {
				s.batch, s.at = rows.RecordBatch(), 0
				return true, nil
			}
			if rows.Err() != nil {
				return false, fmt.Errorf("read a function's answer: %w", rows.Err())
			}
		}
		s.close()
		var err error
		if s.current, err = s.more(); err != nil || s.current.rows == nil {
			return false, err
		}
		if s.filler, err = s.out.NewArrowFiller(s.current.rows.Schema()); err != nil {
			return false, err
		}
	}
}

func (s *scan) close() {
	if s.filler != nil {
		s.filler.Close()
	}
	if s.current.rows != nil {
		s.current.rows.Release()
	}
	s.filler, s.current, s.batch = nil, answer{}, nil
}
