package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/droverdata/drover/internal/protocol"
)

// tellOverrun is how long the end of an overrun may wait for the driver to hear of it: memory grows meanwhile.
const tellOverrun = 2 * time.Millisecond

// Serve speaks the worker protocol: it reads tasks from in and writes progress and results to out until EOF. EOF while a task runs
// cancels it: the driver is gone.
//
// A task that passes its share of memory ends the process: exit is called with protocol.ExitOverrun, after the driver was told why.
func (w *Worker) Serve(ctx context.Context, in io.Reader, out io.Writer, exit func(code int)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	send := func(m protocol.Message) error {
		mu.Lock()
		defer mu.Unlock()
		return enc.Encode(m)
	}
	w.overrun = func(o protocol.Overrun) {
		// The pipe may be full or its writer stuck, and memory grows on.
		told := make(chan struct{})
		go func() {
			defer close(told)
			_ = send(protocol.Message{Overrun: &o})
		}()
		select {
		case <-told:
		case <-time.After(tellOverrun):
		}
		exit(protocol.ExitOverrun)
	}
	w.aside = protocol.Aside{ // a driver that is gone needs neither
		Warn:    func(text string) { _ = send(protocol.Message{Warning: text}) },
		Printed: func(p protocol.Printed) { _ = send(protocol.Message{Printed: &p}) },
	}

	tasks := make(chan protocol.Task)
	var reader sync.WaitGroup
	defer reader.Wait()
	var readErr error
	reader.Go(func() {
		defer close(tasks)
		defer cancel()
		dec := json.NewDecoder(bufio.NewReaderSize(in, 1<<16))
		for {
			var t protocol.Task
			if err := dec.Decode(&t); err != nil {
				if !errors.Is(err, io.EOF) {
					readErr = fmt.Errorf("read a task: %w", err)
				}
				return
			}
			select {
			case tasks <- t:
			case <-ctx.Done():
				return
			}
		}
	})
	for t := range tasks {
		result := w.Execute(ctx, t, func(p protocol.Progress) { _ = send(protocol.Message{Progress: &p}) })
		if err := send(protocol.Message{Result: &result}); err != nil {
			return errors.Join(fmt.Errorf("write a result: %w", err), w.Close())
		}
	}
	return errors.Join(readErr, w.Close())
}
