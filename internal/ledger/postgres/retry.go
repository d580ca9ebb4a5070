package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
)

const (
	// collisions is how often a transaction runs that others keep failing.
	collisions = 10
	// outage is how long an open ledger's server may be away, for all calls together: restarts and fail-overs take less.
	outage = time.Minute
	// unnoticed is how long it may be away before anybody is told.
	unnoticed = time.Second
	// unanswered is the same for a call that the server neither answers nor breaks off: only after silence is its connection given up.
	unanswered = 5 * time.Second
	// Waits for it grow from baseDelay to maxDelay, with full jitter.
	baseDelay, maxDelay = 100 * time.Millisecond, 5 * time.Second
)

// again runs do until it succeeds, fails for good, or the server has been away for too long. Its error has a Kind where a caller can decide on it.
func (d *database) again(ctx context.Context, do func() error) error {
	for try := 0; ; try++ {
		err := d.listening(do)
		if err == nil {
			d.absence.end()
			return nil
		}
		explained := explain(err, d.config)
		var delay time.Duration
		switch {
		case misprepared(err) && try < collisions:
			d.unprepared.Store(true)
			d.pool.Reset()
		case retryable(err) && try < collisions:
			delay = time.Duration(try+1) * rand.N(10*time.Millisecond)
		case gone(explained):
			if !d.absence.note(explained, d.patience) {
				return d.waited(explained)
			}
			delay = rand.N(min(maxDelay, baseDelay<<min(try, 10)))
		default:
			if ctx.Err() == nil {
				d.absence.end() // it has answered
			}
			return explained
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), explained)
		case <-time.After(delay):
		}
	}
}

// listening is do, during which it is told that the server does not answer.
func (d *database) listening(do func() error) error {
	if d.absence.tell == nil {
		return do()
	}
	begun := time.Now()
	timer := time.AfterFunc(unanswered, func() { d.absence.silent(begun, place(d.config)) })
	defer timer.Stop()
	return do()
}

// waited says what to do next about a server that was there, and waited for in vain.
func (d *database) waited(err error) error {
	e, ok := errors.AsType[*drover.Error](err)
	if !ok || d.patience == 0 {
		return err
	}
	again := *e
	again.Hint = "run the same command again once the ledger's server is back"
	return &again
}

// absence is a time in which the server is away, as all calls find it together.
type absence struct {
	tell func(ledger.Absence) // nil: nobody wants to know

	mu          sync.Mutex
	since, last time.Time // that a call found it so first, and last; since is zero while the server is there
	heard       time.Time // when a call found it there
	told        bool
}

// Watch implements ledger.Watcher.
func (d *database) Watch(tell func(ledger.Absence)) { d.absence.tell = tell }

// note says that a call found the server away, and returns whether it goes on to try: whoever does gives up when all the others do.
func (a *absence) note(cause error, patience time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.since.IsZero() || now.Sub(a.last) > outage { // nobody has asked since then
		a.since, a.told = now, false
	}
	a.last = now
	until := a.since.Add(patience)
	if !now.Before(until) {
		return false
	}
	if a.tell != nil && !a.told && time.Since(a.since) >= unnoticed {
		a.told = true
		a.tell(ledger.Absence{Cause: cause, Until: until})
	}
	return true
}

// silent says that a call that begun then has no answer yet.
func (a *absence) silent(begun time.Time, place string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told || a.heard.After(begun) {
		return
	}
	if a.since.IsZero() {
		a.since = begun
	}
	a.last, a.told = time.Now(), true
	a.tell(ledger.Absence{Cause: drover.Errorf(drover.Unreachable, "the server at %s has not answered for %s", place, unanswered)})
}

// end says that a call found it there.
func (a *absence) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told {
		a.tell(ledger.Absence{Lasted: time.Since(a.since)})
	}
	a.since, a.told, a.heard = time.Time{}, false, time.Now()
}

// gone reports whether the server is away for now: a lost connection, one that is refused, a server that starts, stops or has no connection left.
func gone(err error) bool {
	kind := drover.KindOf(err)
	return kind == drover.Unreachable || kind == drover.Transient
}
