package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
)

const (
	defaultAttempts = 3
	// lossLimit is how often a chunk that was alone may lose its worker, or overrun its memory, before it ends in error.
	lossLimit = 3
	// Retries wait from 0 to baseDelay * 2^n, at most maxDelay: exponential backoff with full jitter
	// (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
	baseDelay = 500 * time.Millisecond
	maxDelay  = 30 * time.Second
	// outage is how long a run goes on although every attempt finds a server away: restarts and fail-overs take less.
	outage = time.Minute
)

// fail records a failed attempt and decides what becomes of its chunks. granted is the memory that it had; stopping says that the run
// itself is being stopped.
func (p *pool) fail(ctx context.Context, task ledger.Task, cause error, granted int64, stopping bool) {
	e := protocol.AsError(cause)
	if !stopping && e.Code != connector.TooManyRejects && len(task.Chunks) == 1 && p.split(ctx, task, e) {
		return
	}
	if e.Kind == drover.Overrun {
		e = p.needs(task, e, granted)
	}
	if e.Code == connector.TooManyRejects {
		p.refuseRejects(e)
		stopping = true
	}
	f := p.verdict(task, e, stopping || p.stuck(task, e))
	err := p.ledger.Fail(ctx, p.run.UID, task.Token, f)
	if err != nil {
		if !errors.Is(err, ledger.ErrFenced) {
			p.halt(fmt.Errorf("record a failed attempt in the ledger: %w", err))
		}
		return
	}
	if f.Verdict == ledger.Release || len(task.Chunks) > 1 {
		return
	}
	told := monitor.ChunkFailed{
		By: p.by(p.number), Key: task.Chunks[0].Key, Error: e, Attempts: task.Attempts, Losses: task.Losses, Final: f.Verdict == ledger.Final,
		Budget: budget(e),
	}
	if f.Counts {
		told.Attempts++
	}
	if f.Lost {
		told.Losses++
	}
	p.events.send(told)
	if f.Verdict == ledger.Final {
		p.events.failed()
		p.countErrors(ctx)
	}
}

// countErrors counts a chunk that ended in error here, and where the run stops at limits.max_errors those of other machines too.
func (p *pool) countErrors(ctx context.Context) {
	all := 0
	if p.o.Job.Limits.MaxErrors > 0 {
		// What cannot be read now is counted with the next error, and when nothing is in flight.
		if t, err := p.ledger.Totals(ctx, p.run.UID, p.number); err == nil {
			all = int(t.Chunks[ledger.ChunkError])
		}
	}
	p.mu.Lock()
	p.finals = max(p.finals+1, all)
	p.mu.Unlock()
}

// chunksFailed ends a run of which no more chunk is to be tried.
func (r *runner) chunksFailed(ctx context.Context) error {
	message := "chunks failed"
	if most := r.o.Job.Limits.MaxErrors; most > 0 {
		t, err := r.ledger.Totals(ctx, r.run.UID, 0)
		if err != nil {
			return fmt.Errorf("read the run's totals from the ledger: %w", err)
		}
		if t.Unfinished() > 0 {
			message = fmt.Sprintf("%d chunks failed, and limits.max_errors is %d", t.Chunks[ledger.ChunkError], most)
		}
	}
	if err := r.ledger.Close(ctx, r.run.UID, ledger.Failed, message); err != nil {
		return fmt.Errorf("record that the run failed: %w", err)
	}
	return nil
}

// stuck stops the run when attempt after attempt finds a server away, this machine's disk full, or itself fenced off: that is no fault of the chunks, which
// go back to pending. Meanwhile nothing is claimed, for longer and longer: other chunks would only find the same here, and another machine may do them.
func (p *pool) stuck(task ledger.Task, e *drover.Error) bool {
	away := e.Kind == drover.Unreachable || e.Kind == drover.Disk
	if !away && e.Kind != drover.Fenced || voided(e) && len(task.Chunks) > 1 {
		return false
	}
	now := time.Now()
	p.mu.Lock()
	if p.inVain == 0 {
		p.vainSince = now
	}
	p.inVain++
	first := p.inVain == 1
	if first && away {
		p.awaited = theEnds
		if e.Kind == drover.Disk {
			p.awaited = theDisk
		}
	}
	awaited := p.awaited
	over := p.inVain >= p.attempts()*p.slots+p.slots
	if away {
		over = over && now.Sub(p.vainSince) >= outage
		p.rests = now.Add(min(backoff(p.inVain/p.slots), pause))
	}
	p.mu.Unlock()
	switch {
	case over:
		p.halt(e)
	case first && away:
		p.events.send(monitor.Waiting{For: awaited, Cause: e.Error(), Until: now.Add(outage)})
	}
	return over
}

// unstuck ends, because an attempt was good, what stuck has begun.
func (p *pool) unstuck() {
	p.mu.Lock()
	awaited, since := p.awaited, p.vainSince
	p.inVain, p.awaited = 0, ""
	p.mu.Unlock()
	if awaited != "" {
		p.events.send(monitor.Back{For: awaited, Seconds: time.Since(since).Seconds()})
	}
}

// hadRoom reports whether this machine wrote rows since its disk was last found full: then the chunk that finds it so is to blame too, because it may need
// more than there is.
func (p *pool) hadRoom() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	had := p.wrote
	p.wrote = false
	return had
}

// resting reports whether a server was found away a moment ago.
func (p *pool) resting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.rests)
}

// by is the column that a stage's chunks are cut by, if any.
func (r *runner) by(stage int) string {
	if stage > 0 {
		return ""
	}
	return r.o.Job.Frame.Chunk.By
}

// attempts is limits.attempts or its default.
func (p *pool) attempts() int {
	if n := p.o.Job.Limits.Attempts; n > 0 {
		return n
	}
	return defaultAttempts
}

// verdict decides what becomes of the chunks of a failed attempt (exactness.md 12): a failure counts only against a chunk that was
// alone; tasks of several chunks are halved until the one at fault is alone.
func (p *pool) verdict(task ledger.Task, e *drover.Error, stopping bool) ledger.Failure {
	f := ledger.Failure{Error: e}
	switch {
	case stopping || e.Kind == drover.Interrupted:
		f.Verdict = ledger.Release
	case e.Kind == drover.Fenced && (!voided(e) || len(task.Chunks) == 1):
		// Another attempt holds a receipt of these chunks, or the run was closed in the target: look again.
		f.Verdict, f.Delay = ledger.Retry, idlePoll
	case len(task.Chunks) > 1:
		f.Verdict = ledger.Halve
		if mendable(e.Kind) {
			f.Delay = backoff(task.Attempts)
		}
	case e.Kind == drover.Overrun && e.Needs > 0:
		f.Lost = true
		f.Verdict = ledger.Retry
		if e.Needs > p.o.Engine.Largest() {
			f.Verdict = ledger.Final
		}
	case e.Kind == drover.Lost || e.Kind == drover.Overrun:
		f.Lost = true
		f.Verdict = ledger.Retry
		if task.Losses+1 >= lossLimit {
			f.Verdict = ledger.Final
		}
	case e.Kind == drover.Unreachable: // nobody's fault; stuck says how long
		f.Verdict, f.Delay = ledger.Retry, backoff(0)
	case e.Kind == drover.Disk && !p.hadRoom(): // the machine's, and stuck says how long
		f.Verdict, f.Delay = ledger.Retry, backoff(0)
	case mendable(e.Kind):
		f.Counts = true
		f.Verdict, f.Delay = ledger.Retry, backoff(task.Attempts)
		if task.Attempts+1 >= p.attempts() {
			f.Verdict = ledger.Final
		}
	default:
		f.Counts = true
		f.Verdict = ledger.Final
	}
	return f
}

// mendable reports whether trying again can help.
func mendable(k drover.Kind) bool {
	return k == drover.Transient || k == drover.Unreachable || k == drover.Disk
}

func backoff(attempts int) time.Duration {
	limit := min(maxDelay, baseDelay<<min(attempts, 10))
	return rand.N(limit)
}
