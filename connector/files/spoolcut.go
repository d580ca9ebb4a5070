package files

import (
	"context"
	gojson "encoding/json"
	"fmt"
	"iter"
	"math"

	"github.com/droverdata/drover/connector"
)

const (
	// mergePartitions is about how many partitions a merge chunk holds at most: a writer keeps pages of every one.
	mergePartitions = 500
	// mergeParts is the most chunks that a range of much data is cut into, each of which leaves a file in the range's partitions.
	mergeParts = 4
)

// spoolRange is the bounds of a merge chunk: rows of the spools of the first stage's chunks From up to but not including To, whose hash is from Low
// up to but not including High. The chunks of a merge cover all chunks and all hashes, whatever there is of them by the time that they are read.
type spoolRange struct {
	Low  int   `json:"low"`
	High int   `json:"high"`
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// mergeRange is buckets from low up to but not including high.
type mergeRange struct {
	low, high        int
	rows, partitions int64
}

// mergeSums are all spools together.
type mergeSums struct {
	buckets     [buckets]bucket // Partitions are the most of any one spool
	bytes, rows int64
}

func (m *mergeSums) add(note spooled) {
	m.bytes += note.Size
	for _, b := range note.Buckets {
		sum := &m.buckets[b.Bucket%buckets]
		sum.Rows += b.Rows
		sum.Partitions = max(sum.Partitions, b.Partitions)
		m.rows += b.Rows
	}
}

// ranges joins neighbouring buckets up to so many rows. They cover all buckets.
func (m *mergeSums) ranges(most int64) []mergeRange {
	var out []mergeRange
	var r mergeRange
	for i, b := range m.buckets {
		if r.rows > 0 && b.Rows > 0 && (r.rows+b.Rows > most || r.partitions+b.Partitions > mergePartitions) {
			out = append(out, r)
			r = mergeRange{low: i}
		}
		r.high = i + 1
		r.rows += b.Rows
		r.partitions += b.Partitions
	}
	return append(out, r)
}

// Cut implements connector.Spools. A range that is much larger than wanted, because a partition is, is cut by the chunks that its rows come from.
func (p *spools) Cut(_ connector.Run, all iter.Seq2[connector.Receipt, error], bytes int64) ([]connector.Chunk, error) {
	var m mergeSums
	if err := eachSpool(all, func(_ int64, note spooled) { m.add(note) }); err != nil {
		return nil, err
	}
	if m.rows == 0 {
		return nil, nil
	}
	perRow := float64(m.bytes) / float64(m.rows)
	most := max(1, int64(float64(bytes)/perRow))
	var chunks []connector.Chunk
	for _, r := range m.ranges(most) {
		cuts := []int64{0}
		if r.rows > 2*most {
			var err error
			if cuts, err = cutByChunk(all, r, min(mergeParts, r.rows/most)); err != nil {
				return nil, err
			}
		}
		for i, from := range cuts {
			b := spoolRange{Low: r.low << hashShift, High: r.high << hashShift, From: from, To: math.MaxInt64}
			if i+1 < len(cuts) {
				b.To = cuts[i+1]
			}
			bounds, err := gojson.Marshal(b)
			if err != nil {
				return nil, err
			}
			rows := r.rows / int64(len(cuts))
			chunks = append(chunks, connector.Chunk{ID: int64(len(chunks)), Bounds: bounds, Rows: rows, Bytes: int64(float64(rows) * perRow)})
		}
	}
	for i := range chunks {
		chunks[i].Key = fmt.Sprintf("merge %d of %d", i+1, len(chunks))
	}
	return chunks, nil
}

// cutByChunk returns the first chunks of up to n parts of a range with about equally many rows; the first is 0.
func cutByChunk(all iter.Seq2[connector.Receipt, error], r mergeRange, n int64) ([]int64, error) {
	cuts := []int64{0}
	var passed int64
	err := eachSpool(all, func(chunk int64, note spooled) {
		// Before this spool, if the rows so far fill the parts so far.
		if passed > 0 && passed*n >= r.rows*int64(len(cuts)) {
			cuts = append(cuts, chunk)
		}
		for _, b := range note.Buckets {
			if b.Bucket >= r.low && b.Bucket < r.high {
				passed += b.Rows
			}
		}
	})
	return cuts, err
}

// eachSpool calls each with the spools that receipts name and the lowest chunk of each, in the order of chunks.
func eachSpool(all iter.Seq2[connector.Receipt, error], each func(chunk int64, note spooled)) error {
	for r, err := range all {
		if err != nil {
			return err
		}
		note, ok, err := spoolNote(r)
		if err != nil {
			return err
		}
		if ok {
			each(r.ChunkID, note)
		}
	}
	return nil
}

// Split implements connector.Splitter: by hash as long as there are several, then by spool.
func (*spools) Split(_ context.Context, state gojson.RawMessage, chunk connector.Chunk) ([]connector.Chunk, error) {
	st, b, err := decodeSpools(state, chunk)
	if err != nil {
		return nil, err
	}
	left, right := b, b
	if b.High-b.Low > 1 {
		middle := b.Low + (b.High-b.Low)/2
		left.High, right.Low = middle, middle
	} else {
		inside := st.within(b)
		if len(inside) < 2 {
			return nil, nil
		}
		middle := inside[len(inside)/2].Chunk
		left.To, right.From = middle, middle
	}
	var parts []connector.Chunk
	for i, half := range []spoolRange{left, right} {
		bounds, err := gojson.Marshal(half)
		if err != nil {
			return nil, err
		}
		parts = append(parts, connector.Chunk{Key: fmt.Sprintf("%s, part %d", chunk.Key, i+1), Bounds: bounds, Rows: chunk.Rows / 2, Bytes: chunk.Bytes / 2})
	}
	return parts, nil
}
