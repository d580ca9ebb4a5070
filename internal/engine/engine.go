// Package engine defines where attempts execute. engine/local runs them in worker processes on this machine.
package engine

import (
	"context"

	"github.com/droverdata/drover/internal/protocol"
)

// Engine executes attempts. Methods may be called concurrently.
type Engine interface {
	// Slots returns how many attempts to keep in flight. It may change between calls.
	Slots(ctx context.Context) (int, error)
	// Largest returns the most memory that one attempt can be granted, in bytes; 0 where there is no bound.
	Largest() int64
	// Execute runs one attempt to its end and blocks meanwhile, first until the memory that task.Memory asks for is free. Progress is called from one goroutine at a time. An attempt that
	// failed in an orderly way is a Result with its Error set; a worker that died is an error of kind drover.Lost, or of kind
	// drover.Overrun where the engine knows that memory was the cause. Cancelling ctx kills the attempt, and Execute
	// returns once nothing of it runs any more.
	Execute(ctx context.Context, task protocol.Task, progress func(protocol.Progress)) (protocol.Result, error)
	// Close ends all workers and waits for them.
	Close() error
}
