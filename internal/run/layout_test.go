package run

import (
	"fmt"
	"testing"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/plan"
)

// sampled counts partitions as a sample of some chunks shows them: of(chunk, row) is the partition of a row.
func sampled(chunks, rows int, of func(chunk, row int) int) seen {
	s := seen{whole: true, by: map[string]*partition{}}
	for c := range chunks {
		s.chunks++
		inChunk := map[string]int64{}
		for r := range rows {
			inChunk[fmt.Sprint(of(c, r))]++
		}
		for k, n := range inChunk {
			if s.by[k] == nil {
				s.by[k] = &partition{}
			}
			s.by[k].rows += n
			s.by[k].chunks++
			s.pairs++
		}
	}
	return s
}

func TestEstimatesOfPartitions(t *testing.T) {
	for name, tc := range map[string]struct {
		seen               seen
		chunks, rows       int64
		least, most, files int64
	}{
		"every chunk has all":            {sampled(4, 1000, func(_, r int) int { return r % 50 }), 12, 12000, 50, 50, 200},
		"every chunk has its own":        {sampled(4, 1000, func(c, _ int) int { return c }), 365, 365000, 365, 365, 365},
		"every row has its own":          {sampled(4, 1000, func(c, r int) int { return c*1000 + r }), 12, 12000, 10000, 12000, 12000},
		"small chunks of few partitions": {sampled(64, 1, func(c, _ int) int { return c * 7 % 31 }), 40000, 40000, 31, 40, 124},
	} {
		t.Run(name, func(t *testing.T) {
			partitions, files := tc.seen.estimate(&Sample{Chunks: tc.chunks, Rows: tc.rows}, 4)
			if partitions < tc.least || partitions > tc.most || files < tc.files || files > tc.files*3/2 {
				t.Errorf("%d partitions, %d files", partitions, files)
			}
		})
	}
}

func TestASampleIsSpreadOverAllChunks(t *testing.T) {
	var s Sample
	for i := range int64(40_000) {
		s.Add(connector.Chunk{ID: i, Rows: 1, Bytes: 10})
	}
	some := s.some()
	if s.Chunks != 40_000 || s.Rows != 40_000 || len(some) != maxSample {
		t.Fatalf("%d chunks, %d rows, %d in the sample", s.Chunks, s.Rows, len(some))
	}
	for i, c := range some {
		if at := int64(i) * 40_000 / maxSample; c.ID < at-1000 || c.ID > at+1000 {
			t.Errorf("chunk %d of the sample is number %d", i, c.ID)
		}
	}
}

func TestAMergeMustLeaveAtMostHalfOfTheFiles(t *testing.T) {
	for _, tc := range []struct {
		layout plan.Layout
		merged bool
	}{
		{plan.Layout{Tasks: 40, Partitions: 500, Files: 20_000, Budget: 10_000}, true},
		{plan.Layout{Tasks: 4, Partitions: 50, Files: 200, Budget: 10_000}, false},
		{plan.Layout{Tasks: 40, Partitions: 20_000, Files: 21_000, Budget: 10_000}, false},
		{plan.Layout{Tasks: 40, Partitions: 500, Files: 20_000, Budget: 10_000, Unspoolable: "column x"}, false},
		{plan.Layout{Tasks: 40, Budget: 10_000}, false},
	} {
		if got := tc.layout.Merged(); got != tc.merged {
			t.Errorf("%s: merged is %t", tc.layout, got)
		}
	}
}
