package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/protocol"
)

// judge checks what the run has staged. It keeps nothing open, and nothing of the stage before stays beside it.
func (w *Worker) judge(ctx context.Context, task protocol.Task) (_ *protocol.Judged, err error) {
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("leave the last stage: %w", err)
	}
	decoded, err := w.registry.DecodeSink(task.Stage.Sink.Connector, task.Stage.Sink.Value)
	if err != nil {
		return nil, err
	}
	sink, err := w.registry.OpenSink(ctx, decoded, w.env(task))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	stager, ok := sink.(connector.Stager)
	if !ok {
		return nil, fmt.Errorf("%s cannot read back what it stages", task.Stage.Sink.Connector)
	}
	session, err := w.session(ctx, task)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	rel, err := stager.Staged(ctx, session, task.Run, task.Stage.Output, task.Expect.State)
	if err != nil {
		return nil, fmt.Errorf("read what is staged: %w", err)
	}
	defer func() { err = errors.Join(err, rel.Close()) }()
	rows := expect.Staged{
		Session: session, Input: task.Expect.Input, Output: task.Stage.Output, Sources: task.Expect.Sources,
		Relation: func() string { return rel.Chunk(0) },
	}
	fault.Point(ctx)
	var found protocol.Judged
	if found.Rows, found.Broken, err = expect.Check(ctx, rows, task.Expect.Expectations); err != nil {
		return nil, fmt.Errorf("check what is staged: %w", err)
	}
	fault.Point(ctx)
	return &found, nil
}
