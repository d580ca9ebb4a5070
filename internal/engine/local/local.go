// Package local runs attempts in a pool of worker processes on this machine.
package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/machine"
	"github.com/droverdata/drover/internal/protocol"
	"golang.org/x/sync/semaphore"
)

// Options set up an engine.
type Options struct {
	// Command starts a worker; it is given the worker's scratch directory as one more argument.
	Command []string
	// Workers is the most processes that run at once.
	Workers int
	// Memory is the budget of all workers together in bytes.
	Memory int64
	// TempDir is where workers have their scratch directories and drivers theirs (machine.Scratch). Those of dead drivers are removed.
	TempDir string
	// Own measures the driver's own memory in bytes. What it has above memory.Driver is taken from the workers' budget.
	Own func() int64
	// Silence is how long a worker with a task may say nothing before it is killed; 0 means for ever. Workers tell their progress several times a second,
	// whatever becomes of it, so one that is silent was stopped, or cannot run.
	Silence time.Duration
	// Aside receives what workers say besides results.
	Aside protocol.Aside
}

// Engine is a pool of worker processes.
type Engine struct {
	opt   Options
	spawn *spawner
	// room is the budget: each attempt holds its share of it. It is fair: an attempt that needs much waits until enough others have
	// ended, and those that come later wait behind it.
	room *semaphore.Weighted

	mu    sync.Mutex
	idle  []*process
	live  int // processes that run
	count int // started so far, for names
	sizer sizer
	next  time.Time // when to look at the driver's own memory again
}

// New returns an engine. Workers start when they are first needed.
func New(o Options) (*Engine, error) {
	if err := os.MkdirAll(o.TempDir, 0o700); err != nil {
		return nil, drover.Errorf(drover.Refused, "create the scratch directory: %w", err)
	}
	if err := machine.Sweep(o.TempDir); err != nil {
		return nil, err
	}
	return &Engine{opt: o, spawn: newSpawner(), room: semaphore.NewWeighted(o.Memory), sizer: newSizer(o.Memory, o.Workers)}, nil
}

// Slots implements engine.Engine. It starts with as many workers as surely fit, and follows the peaks of what they did.
func (e *Engine) Slots(context.Context) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); now.After(e.next) {
		e.sizer.driver(e.opt.Own())
		e.next = now.Add(ownEvery)
	}
	return e.sizer.slots, nil
}

// ownEvery is how often the driver's own memory is measured.
const ownEvery = 250 * time.Millisecond

// Largest implements engine.Engine.
func (e *Engine) Largest() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sizer.budget
}

// Execute implements engine.Engine.
func (e *Engine) Execute(ctx context.Context, task protocol.Task, progress func(protocol.Progress)) (protocol.Result, error) {
	if err := ctx.Err(); err != nil {
		return protocol.Result{}, err
	}
	e.mu.Lock()
	usual, largest := e.sizer.share(), e.sizer.budget
	e.mu.Unlock()
	task.Memory = min(max(task.Memory, usual), largest)
	task.Threads = 1
	if err := e.room.Acquire(ctx, task.Memory); err != nil {
		return protocol.Result{}, err
	}
	defer e.room.Release(task.Memory)
	more := task.Memory > usual
	p, err := e.take(more)
	if err != nil {
		return protocol.Result{}, err
	}
	result, err := p.execute(ctx, task, progress, e.opt)
	result.Granted = task.Memory
	e.mu.Lock()
	e.sizer.learn(result, drover.KindOf(err) == drover.Overrun)
	e.mu.Unlock()
	if err != nil {
		e.drop(p)
		if ctx.Err() != nil {
			return protocol.Result{}, ctx.Err()
		}
		return result, err
	}
	// A cancelled one may have been killed just after it answered; one that had more keeps more.
	if ctx.Err() != nil || more {
		e.drop(p)
	} else {
		e.give(p)
	}
	return result, nil
}

// Close implements engine.Engine. No attempt may be running.
func (e *Engine) Close() error {
	e.mu.Lock()
	idle := e.idle
	e.idle = nil
	e.mu.Unlock()
	for _, p := range idle { // all leave at once
		_ = p.in.Close()
	}
	var errs []error
	for _, p := range idle {
		errs = append(errs, p.end())
	}
	e.spawn.close()
	return errors.Join(errs...)
}

// take returns an idle worker, or a new one. An attempt that has more than the usual share gets a new one, and the room of all idle
// ones.
func (e *Engine) take(more bool) (*process, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.idle) > 0 {
		p := e.idle[len(e.idle)-1]
		e.idle = e.idle[:len(e.idle)-1]
		if !more {
			return p, nil
		}
		p.kill()
		e.live--
	}
	e.count++
	dir := filepath.Join(e.opt.TempDir, machine.Scratch("worker", e.count))
	p, err := startProcess(e.spawn, e.opt.Command, dir, max(1, runtime.GOMAXPROCS(0)/max(e.opt.Workers, 1)))
	if err == nil {
		e.live++
	}
	return p, err
}

// give takes a worker back, unless there are enough.
func (e *Engine) give(p *process) {
	e.mu.Lock()
	enough := e.live > e.sizer.slots
	if !enough {
		e.idle = append(e.idle, p)
	}
	e.mu.Unlock()
	if enough {
		e.drop(p)
	}
}

// drop ends a worker that is in nobody's hands any more.
func (e *Engine) drop(p *process) {
	p.kill()
	e.mu.Lock()
	e.live--
	e.mu.Unlock()
}

// InProcess runs attempts one after the other inside this process, for debugging.
type InProcess struct {
	execute func(context.Context, protocol.Task, func(protocol.Progress)) protocol.Result
	close   func() error
	memory  int64
	mu      sync.Mutex
}

// NewInProcess returns an engine around a worker's Execute and Close.
func NewInProcess(memory int64, execute func(context.Context, protocol.Task, func(protocol.Progress)) protocol.Result, closeWorker func() error) *InProcess {
	return &InProcess{execute: execute, close: closeWorker, memory: memory}
}

// Largest implements engine.Engine.
func (e *InProcess) Largest() int64 { return e.memory }

// Slots implements engine.Engine.
func (e *InProcess) Slots(context.Context) (int, error) { return 1, nil }

// Execute implements engine.Engine.
func (e *InProcess) Execute(ctx context.Context, task protocol.Task, progress func(protocol.Progress)) (protocol.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	task.Memory, task.Threads = e.memory, 1
	// A task that crossed a pipe has no secrets in shared memory and no cause in its errors: neither has this one.
	data, err := json.Marshal(task)
	if err != nil {
		return protocol.Result{}, fmt.Errorf("encode the task: %w", err)
	}
	var copied protocol.Task
	if err := json.Unmarshal(data, &copied); err != nil {
		return protocol.Result{}, fmt.Errorf("decode the task: %w", err)
	}
	result := e.execute(ctx, copied, progress)
	result.Granted = e.memory
	return result, nil
}

// Close implements engine.Engine.
func (e *InProcess) Close() error { return e.close() }
