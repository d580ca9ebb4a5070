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
	// outage is how long an open ledger's server may be away: restarts and fail-overs take less.
	outage = time.Minute
	// unnoticed is how long it may be away before anybody is told.
	unnoticed = time.Second
	// Waits for it grow from baseDelay to maxDelay, with full jitter.
	baseDelay, maxDelay = 100 * time.Millisecond, 5 * time.Second
)

// again runs do until it succeeds, fails for good, or the server has been away for too long. Its error has a Kind where a caller can decide on it.
func (d *database) again(ctx context.Context, do func() error) error {
	var away time.Time // since when the server is
	for try := 0; ; try++ {
		err := do()
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
			if away.IsZero() {
				away = time.Now()
			}
			if time.Since(away) >= d.patience {
				return explained
			}
			d.absence.note(explained, away.Add(d.patience))
			delay = rand.N(min(maxDelay, baseDelay<<min(try, 10)))
		default:
			return explained
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), explained)
		case <-time.After(delay):
		}
	}
}

// absence is a time in which the server is away, as all calls find it together.
type absence struct {
	tell func(ledger.Absence) // nil: nobody wants to know

	mu    sync.Mutex
	since time.Time // zero while the server is there
	told  bool
}

// Watch implements ledger.Watcher.
func (d *database) Watch(tell func(ledger.Absence)) { d.absence.tell = tell }

// note says that a call found the server away, and will go on to try until then.
func (a *absence) note(cause error, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() {
		a.since = time.Now()
	}
	if a.tell != nil && !a.told && time.Since(a.since) >= unnoticed {
		a.told = true
		a.tell(ledger.Absence{Cause: cause, Until: until})
	}
}

// end says that a call found it there.
func (a *absence) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told {
		a.tell(ledger.Absence{Lasted: time.Since(a.since)})
	}
	a.since, a.told = time.Time{}, false
}

// gone reports whether the server is away for now: a lost connection, one that is refused, a server that starts, stops or has no connection left.
func gone(err error) bool {
	kind := drover.KindOf(err)
	return kind == drover.Unreachable || kind == drover.Transient
}
