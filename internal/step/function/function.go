// Package function is what runs a user's function on one chunk at a time.
package function

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
)

// Chunk is what a function may know of the chunk whose rows it receives.
type Chunk struct {
	ID  int64  `json:"id"`
	Key string `json:"key"`
	Run string `json:"run"`
	Job string `json:"job"`
}

// Function is a user's function in a process that keeps it ready. It is called from one goroutine at a time.
type Function interface {
	// Call hands over the rows of one chunk, which it reads to their end, and returns the answer's rows. The answer is the caller's to
	// release; its buffers lie in C memory. Errors are *drover.Error: of kind Data where the function raised or its answer does not fit the
	// schema, which a retry does not mend; of kind Lost where its process died, which costs one attempt. After a cancelled ctx or a lost
	// process the next Call starts a new process.
	Call(ctx context.Context, chunk Chunk, rows array.RecordReader) (array.RecordReader, error)
	// PID is the process whose memory counts with the worker's; 0 where there is none.
	PID() int
	Close() error
}

// Part is a chunk's share of the rows of several.
type Part struct {
	Chunk Chunk
	Rows  int
}

// Batch is the rows of several chunks, those of one after those of another.
type Batch interface {
	array.RecordReader
	// Parts tells whose rows they are, once all are read.
	Parts() []Part
}

// Answers are what a function returned for each part of a batch.
type Answers struct {
	// Rows are those for one part after those for another, and the caller's to release.
	Rows array.RecordReader
	// Counts are how many rows each part has.
	Counts []int
	// Took is the time from the first call to the last's end.
	Took time.Duration
}

// Batcher is a Function that is handed the rows of several chunks at once. It still runs on one chunk at a time.
type Batcher interface {
	Function
	// CallEach hands over the rows of a batch, which it reads to their end, and starts to call the function for one chunk after the other. wait
	// must be called once, before anything else is asked of the Function, Close included; but the next batch may be handed over before, whose
	// calls then follow. Its error is the first that a chunk has met, in this batch or the one before; nothing is told of the others. See Call.
	CallEach(ctx context.Context, batch Batch) (wait func() (Answers, error), err error)
	// Ahead says whether to hand over the next batch while the function runs: not where batches are so large that their memory counts.
	Ahead() bool
}
