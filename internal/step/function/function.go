// Package function is what runs a user's function on one chunk at a time.
package function

import (
	"context"

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
