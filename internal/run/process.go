package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
)

const (
	// tickEvery is how often progress is told.
	tickEvery = 250 * time.Millisecond
	// idlePoll is how long to wait when there is nothing to claim but something left.
	idlePoll = 100 * time.Millisecond
)

// end says why process returned.
type end int

const (
	complete     end = iota // every chunk is finished
	failed                  // nothing is left to do, and some chunks are in error
	partial                 // --only or --limit-chunks left some out
	drained                 // the user asked to stop
	elsewhere               // another driver ended the run
	overRejected            // more rows were rejected than may be
)

// process claims and executes tasks of a stage until nothing is left for this process.
func (r *runner) process(ctx context.Context, stage int) (end, error) {
	totals, err := r.ledger.Totals(ctx, r.run.UID, stage)
	if err != nil {
		return 0, fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	r.events.start(totals, stage)
	slots, err := r.o.Engine.Slots(ctx)
	if err != nil {
		return 0, err
	}
	var begun monitor.Event = monitor.Merging{Chunks: totals.Total(), FinishedBefore: totals.Chunks[ledger.ChunkFinished]}
	if stage == 0 {
		begun = monitor.Opened{
			Run: r.run.ID, Ledger: r.o.LedgerName, Workers: slots, Memory: r.o.Memory, Resumed: r.resumed, Beside: r.beside(ctx),
			FinishedBefore: totals.Chunks[ledger.ChunkFinished], Chunks: totals.Total(), StartedAt: r.run.StartedAt, DryRun: r.o.DryRun,
		}
	}
	r.events.send(begun)
	p, err := r.newPool(ctx, stage, totals, slots)
	if err != nil {
		return 0, err
	}
	return p.work(ctx)
}

// pool keeps the engine's slots busy.
type pool struct {
	*runner
	want   ledger.Want
	slots  int // as many attempts as the engine has room for now
	number int // of the stage
	// rejected is how many rows were rejected, and mostRejected how many may be; negative: there are no rejects.
	rejected, mostRejected int64
	stage                  protocol.Stage
	// left is the chunks that --limit-chunks still allows; negative: no limit. closed says that another driver ended the run. Both
	// belong to the goroutine of work.
	left   int
	closed bool
	// oversized is the estimated bytes above which a chunk is split before it runs.
	oversized int64

	mu       sync.Mutex
	inFlight map[int64]context.CancelCauseFunc // by token
	stop     error                             // ends the run: further attempts are senseless
	panicked string                            // a panic of an attempt's goroutine, with its stack
	finals   int                               // chunks that ended in error here
	asks     map[int64]int64                   // memory that chunks need, by ID: they overran alone
	inVain   int                               // attempts since the last success that found a server away or a disk full, or were fenced
	wrote    bool                              // rows, since the disk was last full
	// vainSince is when the first of them ended, and rests until when nothing is claimed.
	vainSince, rests time.Time
	// awaited is what the user was told is waited for, "" if there is nothing.
	awaited string
}

func (r *runner) newPool(ctx context.Context, stage int, totals ledger.Totals, slots int) (*pool, error) {
	tasks, err := protocol.StageOf(r.o.Job, r.plan.Stages[stage], r.doc.SourceState)
	if err != nil {
		return nil, err
	}
	tasks.ToSpools, tasks.FromSpools = r.plan.Spools(stage), stage > 0
	p := &pool{
		runner: r, slots: slots, number: stage, left: -1, inFlight: map[int64]context.CancelCauseFunc{}, asks: map[int64]int64{},
		stage: tasks,
	}
	if r.o.DryRun && expect.OfSingleRows(r.bound.Expect) {
		p.stage.Rehearse = r.o.Job.Expect
	}
	if stage == 0 {
		p.stage.Sums = expect.SumColumns(r.bound.Expect)
	}
	if p.stage.Rejects, p.mostRejected, err = r.stageRejects(stage); err != nil {
		return nil, err
	}
	p.rejected = totals.RowsRejected
	p.want = ledger.Want{Worker: r.driver, Stage: stage, Lease: r.o.Lease, MaxChunks: 1}
	chunks := totals.Unfinished()
	switch {
	case stage > 0:
		// A merge chunk is a task. --only and --limit-chunks name chunks of the source.
		p.stage.SourceState, p.oversized = r.exchange.state, math.MaxInt64
		return p, nil
	case p.stage.ToSpools:
		p.want.MaxBytes, p.want.MaxChunks = packed(totals.PendingBytes, chunks, int64(slots), spoolBytes)
	default:
		var how packing
		err := r.patiently(ctx, theSource, lost, func() (err error) {
			how, err = r.packing(ctx)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("decide how chunks are packed into tasks: %w", err)
		}
		p.want.MaxBytes, p.want.MaxChunks = taskSize(totals.PendingBytes, chunks, int64(slots), how)
	}
	p.want.Only = r.onlyKeys()
	if r.o.LimitChunks > 0 {
		p.left = r.o.LimitChunks
	}
	p.oversized = oversized(totals.PendingBytes, int64(slots))
	return p, nil
}

// work runs until nothing is left. It returns when every attempt that it started has ended.
func (p *pool) work(ctx context.Context) (end, error) {
	var attempts, beat sync.WaitGroup
	beatCtx, stopBeat := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		attempts.Wait()
		stopBeat()
		beat.Wait()
	}()
	beat.Go(func() { p.heartbeat(beatCtx) })

	freed := make(chan struct{})
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	drain, draining, busy := p.o.Drain, false, 0
	for {
		if err := p.resize(ctx); err != nil {
			p.halt(err)
		}
		for !draining && !p.closed && busy < p.slots && p.left != 0 && !p.resting() && p.stopped() == nil && ctx.Err() == nil {
			task, err := p.claim(ctx)
			if errors.Is(err, ledger.ErrFenced) {
				p.closed = true
				break
			}
			if err != nil {
				p.halt(err)
				break
			}
			if len(task.Chunks) == 0 {
				break
			}
			busy++
			attempts.Go(func() {
				defer func() {
					select {
					case freed <- struct{}{}:
					case <-beatCtx.Done():
					}
				}()
				defer p.catch()
				p.attempt(ctx, task)
			})
		}
		if busy == 0 {
			p.rethrow()
			if end, err, over := p.over(ctx, draining); over {
				p.events.tick(time.Now(), 0)
				return end, err
			}
		}
		select {
		case <-freed:
			busy--
		case now := <-tick.C:
			p.events.tick(now, busy)
		case <-drain:
			drain, draining = nil, true
			p.events.send(monitor.Draining{Running: busy})
		case <-time.After(idlePoll):
		}
	}
}

// resize asks the engine how many attempts to keep in flight.
func (p *pool) resize(ctx context.Context) error {
	slots, err := p.o.Engine.Slots(ctx)
	if err != nil {
		return fmt.Errorf("ask the engine for its workers: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots = slots
	return nil
}

// catch keeps a panic of an attempt's goroutine for rethrow, so that it ends the process in the one place that knows how to tell it.
func (p *pool) catch() {
	if v := recover(); v != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.panicked = fmt.Sprintf("%v\n%s", v, debug.Stack())
		p.stop = errors.New("an attempt panicked")
	}
}

func (p *pool) rethrow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panicked != "" {
		panic(p.panicked)
	}
}

// over decides, when nothing is in flight here, whether this process is done.
func (p *pool) over(ctx context.Context, draining bool) (end, error, bool) {
	if err := ctx.Err(); err != nil {
		return 0, drover.Errorf(drover.Interrupted, "stopped; run %s can be resumed", p.run.ID).WithHint("the same command goes on where this one stopped"), true
	}
	if err := p.stopped(); err != nil {
		return 0, err, true
	}
	if p.closed {
		return elsewhere, nil, true
	}
	t, err := p.ledger.Totals(ctx, p.run.UID, p.number)
	if err != nil {
		return 0, fmt.Errorf("read the run's totals from the ledger: %w", err), true
	}
	open := t.Unfinished()
	maxErrors := p.o.Job.Limits.MaxErrors
	switch {
	case p.mostRejected >= 0 && (t.RowsRejected > p.mostRejected || p.overRejected()):
		return overRejected, nil, true
	case open == 0 && t.Chunks[ledger.ChunkError] == 0:
		return complete, nil, true
	case open == 0:
		return failed, nil, true
	case draining:
		return drained, nil, true
	case maxErrors > 0 && t.Chunks[ledger.ChunkError] >= int64(maxErrors):
		return failed, nil, true
	case p.left == 0:
		return partial, nil, true
	case len(p.want.Only) > 0:
		left, err := p.onlyLeft(ctx)
		return partial, err, err != nil || !left
	}
	return 0, nil, false
}

func (p *pool) claim(ctx context.Context) (ledger.Task, error) {
	if n := p.o.Job.Limits.MaxErrors; n > 0 && p.finalErrors() >= n {
		return ledger.Task{}, nil
	}
	if p.overRejected() {
		return ledger.Task{}, nil
	}
	want := p.want
	if p.left > 0 {
		want.MaxChunks = min(want.MaxChunks, p.left)
	}
	fault.Point(ctx)
	task, err := p.ledger.Claim(ctx, p.run.UID, want)
	fault.Point(ctx)
	if err != nil {
		return ledger.Task{}, fmt.Errorf("claim chunks in the ledger: %w", err)
	}
	if p.left > 0 {
		p.left -= len(task.Chunks)
	}
	return task, nil
}

// attempt executes one claim and records how it ended.
func (p *pool) attempt(ctx context.Context, task ledger.Task) {
	actx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.mu.Lock()
	p.inFlight[task.Token] = cancel
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.inFlight, task.Token)
		p.mu.Unlock()
	}()
	if p.divide(context.WithoutCancel(ctx), task) {
		return
	}
	result, err := p.o.Engine.Execute(actx, protocol.Task{
		Run: p.runOf(p.number), Token: task.Token, Stage: p.stage, Chunks: task.Chunks,
		Timezone: p.o.Job.Timezone, Now: p.run.StartedAt, DryRun: p.o.DryRun, Connections: p.o.Job.Limits.SourceConnections, Memory: p.ask(task),
	}, func(pr protocol.Progress) { p.events.progress(task.Token, pr) })
	if err == nil && result.Error != nil {
		err = result.Error
	}
	// How an attempt ended is recorded even when the run is being stopped.
	rctx := context.WithoutCancel(ctx)
	if err == nil {
		p.finish(rctx, task, result)
		return
	}
	p.events.ended(task.Token, protocol.Progress{}, 0)
	if errors.Is(context.Cause(actx), ledger.ErrFenced) {
		return
	}
	p.fail(rctx, task, err, result.Granted, ctx.Err() != nil)
}

func (p *pool) finish(ctx context.Context, task ledger.Task, result protocol.Result) {
	fault.Point(ctx)
	err := p.ledger.Finish(ctx, p.run.UID, task.Token, result.Receipts)
	fault.Point(ctx)
	if err != nil {
		p.events.ended(task.Token, protocol.Progress{}, 0)
		if !errors.Is(err, ledger.ErrFenced) {
			p.halt(fmt.Errorf("record finished chunks in the ledger: %w", err))
		}
		return
	}
	p.unstuck()
	p.mu.Lock()
	for _, r := range result.Receipts {
		p.rejected += r.RowsRejected
		p.wrote = p.wrote || r.RowsOut > 0
	}
	if result.Judged != nil {
		p.rehearsed = expect.Merge(p.rehearsed, result.Judged.Broken)
	}
	p.mu.Unlock()
	p.events.ended(task.Token, sum(result.Receipts), len(task.Chunks))
}

// halt ends the run: err is what the user will be told.
func (p *pool) halt(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop == nil {
		p.stop = err
	}
}

func (p *pool) stopped() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stop
}

func (p *pool) finalErrors() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.finals
}
