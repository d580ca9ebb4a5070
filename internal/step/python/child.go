package python

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/step/function"
)

// Child is a function in a Python process, which the first call starts. It implements function.Function.
type Child struct {
	options  Options
	process  *process
	pid      atomic.Int64 // of process; whoever measures memory asks at any time
	chunk    string       // whose lines are being printed
	mark     string       // see hello
	baseline int64        // the process's own memory in bytes before its first call
	rows     rowMemory    // what it is given
	answers  answerMemory // what it gives
	last     *handed      // the rows that were handed over last
}

var _ function.Batcher = (*Child)(nil)

// Start returns a child whose process the first Call starts. It has to be closed.
func Start(options Options) *Child {
	if options.Log == nil {
		options.Log = func(string, string) {}
	}
	return &Child{options: options, mark: "\x1e" + rand.Text() + " "}
}

// PID is the process whose memory counts with the worker's; 0 where there is none.
func (c *Child) PID() int { return int(c.pid.Load()) }

// Close ends the process with everything that it started. Answers stay until they are released.
func (c *Child) Close() error {
	c.stop()
	return c.rows.close()
}

// stop ends the process; the next Call starts another.
func (c *Child) stop() {
	if c.process != nil {
		c.pid.Store(0)
		c.process.end()
		c.process = nil
	}
	c.answers.retireAll()
	c.rows.mapped = [rowPlaces]int{}
}

// Call runs the function on the rows of one chunk. See function.Function; the kinds of error are Data (the function raised, or its answer does not
// fit), Invalid (the function cannot be had, or a column cannot be handed over), Lost (the process ended, or ctx's deadline passed), Overrun
// (MemoryError) and Interrupted (ctx was cancelled).
func (c *Child) Call(ctx context.Context, chunk function.Chunk, rows array.RecordReader) (array.RecordReader, error) {
	h, err := c.hand(rows)
	if err != nil {
		return nil, err
	}
	h.waited = true
	h.calls = []called{{Chunk: chunk}}
	a, err := c.call(ctx, h)
	return a.Rows, err
}

// CallEach implements function.Batcher. The kinds of error are those of Call.
func (c *Child) CallEach(ctx context.Context, batch function.Batch) (wait func() (function.Answers, error), _ error) {
	before := c.last
	if before != nil && before.waited {
		before = nil
	}
	h, err := c.hand(batch)
	if err != nil {
		return nil, err
	}
	for _, p := range batch.Parts() {
		h.calls = append(h.calls, called{p.Chunk, p.Rows})
	}
	go func() {
		defer close(h.done)
		if before != nil {
			<-before.done
			if h.err = before.err; h.err != nil {
				return // whoever waits learns of the first chunk that failed
			}
		}
		h.answers, h.err = c.call(ctx, h)
	}()
	return h.wait, nil
}

// Ahead implements function.Batcher: rows whose memory is not used again are not held twice.
func (c *Child) Ahead() bool { return c.last == nil || !c.last.once }

// hand writes rows into memory that no call uses.
func (c *Child) hand(rows array.RecordReader) (*handed, error) {
	h := &handed{done: make(chan struct{})}
	if c.last != nil {
		if h.place = c.last.place; !c.last.waited {
			h.place = 1 - h.place
		}
	}
	var err error
	if h.bytes, err = c.rows.write(h.place, rows); err != nil {
		return nil, failed(err)
	}
	keep := c.keep()
	h.once = keep > 0 && int64(h.bytes) > keep
	c.last = h
	return h, nil
}

// call has the function called for the chunks of rows that were handed over.
func (c *Child) call(ctx context.Context, h *handed) (function.Answers, error) {
	if err := c.settle(ctx); err != nil {
		return function.Answers{}, err
	}
	began := time.Now()
	r, out, err := c.askFunction(ctx, h)
	if err != nil {
		return function.Answers{}, failed(err)
	}
	if r.Kept || h.once {
		err = c.rows.forget(h.place)
	}
	if out != nil && r.Answer != nil {
		err = errors.Join(err, c.answers.take(r.Answer.Place, out))
	}
	if out != nil {
		err = errors.Join(err, out.Close())
	}
	if r.Error != nil {
		return function.Answers{}, r.Error
	}
	if err != nil {
		return function.Answers{}, failed(err)
	}
	if r.Answer == nil || len(r.Answer.Rows) != len(h.calls) {
		return function.Answers{}, drover.Errorf(drover.Lost, "%s: Python answered without rows", c.options.Spec.Function)
	}
	rows, err := c.answers.rows(*r.Answer)
	if err != nil {
		return function.Answers{}, failed(err)
	}
	if keep := c.keep(); keep > 0 && int64(r.Answer.Bytes) > keep {
		c.answers.retire(r.Answer.Place)
	}
	return function.Answers{Rows: rows, Counts: r.Answer.Rows, Took: time.Since(began)}, nil
}

// keep is how large memory may be that is used again: an eighth of the child's share. 0 means no bound.
func (c *Child) keep() int64 { return c.options.Memory / 8 }

// failed makes a drover.Error of what is none yet.
func failed(err error) error {
	if drover.KindOf(err) != "" {
		return err
	}
	return drover.Errorf(drover.Data, "%w", err)
}

// settle has a process ready: it starts one where there is none, and replaces one that does not give its memory back.
func (c *Child) settle(ctx context.Context) error {
	if c.process != nil && c.over() {
		if _, _, err := c.ask(ctx, request{Release: true}, nil); err != nil {
			return err
		}
		if c.over() {
			c.stop()
		}
	}
	if c.process != nil {
		return nil
	}
	return c.launch(ctx)
}

// slack is what a process may keep between chunks beside what it had before the first: caches of the libraries, what the module keeps.
const slack = 64 << 20

// over says whether the process holds more memory than it did before its first chunk.
func (c *Child) over() bool {
	now, ok := private(c.PID())
	return ok && now > c.baseline+max(slack, c.options.Memory/4)
}

// askFunction asks for calls of the function, each within the time that it has.
func (c *Child) askFunction(ctx context.Context, h *handed) (reply, *os.File, error) {
	ctx, again, cancel := function.WithinEach(ctx, c.options.Timeout)
	defer cancel()
	c.chunk = h.calls[0].Key
	c.process.began = func(place int) {
		if place < len(h.calls) {
			c.chunk = h.calls[place].Key
			again()
		}
	}
	rows := &given{Place: h.place, Bytes: h.bytes, Once: h.once, Spare: c.answers.spare()}
	return c.ask(ctx, request{Call: h.calls, Rows: rows}, c.rows.unmapped(h.place))
}

// startTimeout is how long Python may take to start: importing the largest libraries from a slow disk, on a machine that has no time for it.
const startTimeout = 5 * time.Minute

// stopTimeout is how long a process may be stopped by a signal until it is ended, as a silent worker is.
const stopTimeout = 10 * time.Second

// launch starts a process and has it load the function.
func (c *Child) launch(ctx context.Context) error {
	_, err := c.load(ctx, nil, false)
	if err != nil {
		return err
	}
	c.baseline, _ = private(c.PID())
	return nil
}

// load starts a process and has it load the function.
func (c *Child) load(ctx context.Context, requirements []string, inspect bool) (Info, error) {
	o := c.options
	ctx, cancel := function.StartWithin(ctx, cmp.Or(o.StartTimeout, startTimeout))
	defer cancel()
	input, err := encodeSchema(o.Input)
	if err != nil {
		return Info{}, failed(err)
	}
	output, err := encodeSchema(o.Output)
	if err != nil {
		return Info{}, failed(err)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return Info{}, failed(err)
	}
	c.process, err = startProcess(o.Interpreter, dir, shim(), environment(o.Threads, o.Timezone), c.mark, func(line string) { o.Log(c.chunk, line) })
	if err != nil {
		return Info{}, drover.Errorf(drover.Refused, "%s: %w", o.Spec.Function, err)
	}
	c.process.stopTimeout = cmp.Or(o.StopTimeout, stopTimeout)
	c.pid.Store(int64(c.process.cmd.Process.Pid))
	r, _, err := c.ask(ctx, request{Hello: &hello{
		Dir: dir, Function: o.Spec.Function, Frame: o.Spec.Frame, DTypes: o.Spec.DTypes, Input: input, Output: output, Rejects: o.Rejects, NotNull: notNull(o.Input), Narrow: narrowed(o.Narrow),
		Threads: max(o.Threads, 1), Keep: c.keep(), Mark: c.mark, Requirements: requirements, Inspect: inspect,
	}}, nil)
	if err != nil {
		return Info{}, err
	}
	if r.Error != nil || r.Ready == nil {
		c.stop()
		if r.Error == nil {
			r.Error = drover.Errorf(drover.Lost, "%s: Python did not say that it is ready", o.Spec.Function)
		}
		return Info{}, r.Error
	}
	return *r.Ready, nil
}

// ask exchanges a message with the process. An error has ended it.
func (c *Child) ask(ctx context.Context, message request, file *os.File) (reply, *os.File, error) {
	began := time.Now()
	r, answered, err := c.process.exchange(ctx, message, file)
	if err == nil {
		return r, answered, nil
	}
	name := c.options.Spec.Function
	p := c.process
	crashed := errors.Is(err, errGone) && p.crashed()
	c.stop()
	late := function.Late(ctx)
	switch {
	case late != nil:
		return reply{}, nil, late
	case errors.Is(err, context.DeadlineExceeded):
		e := drover.Errorf(drover.Lost, "%s did not return within %s, and was ended", name, time.Since(began).Round(time.Second/10))
		return reply{}, nil, e.WithHint("see what it waits for, make the chunks smaller, or raise limits.chunk_timeout")
	case errors.Is(err, context.Canceled):
		return reply{}, nil, &drover.Error{Kind: drover.Interrupted, Message: name + " was interrupted", Cause: err}
	case errors.Is(err, errStopped):
		e := drover.Errorf(drover.Lost, "%s: the Python process was stopped by a signal, and was ended", name)
		return reply{}, nil, e.WithHint("another one takes its place")
	case crashed:
		e := drover.Errorf(drover.Lost, "%s: the Python process died (%s)", name, p.how())
		return reply{}, nil, e.WithHint("a crash costs one attempt; see the run's log for what it printed last")
	case errors.Is(err, errGone):
		return reply{}, nil, drover.Errorf(drover.Lost, "%s: the Python process closed its connection", name).
			WithHint("does the function close descriptors that are not its own?")
	}
	return reply{}, nil, &drover.Error{Kind: drover.Lost, Message: fmt.Sprintf("%s: %v", name, err), Cause: err}
}

// crashGrace is how long a process whose connection is closed has to end by itself.
const crashGrace = time.Second

// crashed says whether the process ends by itself. A process that ends closes its socket a little before the system tells how it ended.
func (p *process) crashed() bool {
	select {
	case <-p.done:
		return true
	case <-time.After(crashGrace):
		return false
	}
}
