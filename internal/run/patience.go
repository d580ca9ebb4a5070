package run

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
)

const (
	// lockTimedOut is the SQLSTATE of a lock that was waited for already.
	lockTimedOut = "55P03"
	// refusal is how long a server is waited for that refuses connections, or hangs up, and never answered: it may be restarting, but the port may as well be wrong.
	refusal = 10 * time.Second
	// pause is the longest between two tries, so that a server that is back is soon found so.
	pause = 5 * time.Second
)

// What is waited for, as users are told.
const (
	theLedger  = "the ledger"
	theSource  = "the source"
	theTarget  = "the target"
	theRejects = "the place of the rejects"
	theEnds    = "the source or the target"
	theDisk    = "room on this machine's disk"
)

// waiting is a time in which a server is away, while what needs it is tried again.
type waiting struct {
	what     string // as Waiting.For has it
	answered bool   // the server has, so its address is right
	tries    int
	since    time.Time // of the first failure; zero if nothing is waited for
	until    time.Time
}

// patience says for how long what failed is tried again; 0 is not at all. answered says that the server has answered before.
type patience func(e *drover.Error, answered bool) time.Duration

// again reports, after a while, whether what failed with err is to be tried once more.
func (r *runner) again(ctx context.Context, w *waiting, p patience, err error) bool {
	e := protocol.AsError(err)
	w.answered = w.answered || answer(e)
	span := p(e, w.answered)
	if span == 0 || ctx.Err() != nil {
		return false
	}
	now := time.Now()
	if w.since.IsZero() {
		w.since = now
	}
	if until := w.since.Add(span); !until.Equal(w.until) {
		w.until = until
		r.events.send(monitor.Waiting{For: w.what, Cause: e.Error(), Until: until})
	}
	w.tries++
	return now.Before(w.until) && sleep(ctx, min(backoff(w.tries-1), pause, time.Until(w.until))) == nil
}

// back tells that what was waited for is there again, if it was.
func (r *runner) back(w *waiting) {
	if !w.since.IsZero() {
		r.events.send(monitor.Back{For: w.what, Seconds: time.Since(w.since).Seconds()})
	}
	*w = waiting{what: w.what}
}

// tellAbsence tells of the ledger's server, whose absences the ledger waits for by itself.
func (r *runner) tellAbsence(a ledger.Absence) {
	if a.Lasted > 0 {
		r.events.send(monitor.Back{For: theLedger, Seconds: a.Lasted.Seconds()})
		return
	}
	r.events.send(monitor.Waiting{For: theLedger, Cause: protocol.AsError(a.Cause).Error(), Until: a.Until})
}

// patiently does what is idempotent until it succeeds, or fails in a way that time does not mend, or for longer than p says.
func (r *runner) patiently(ctx context.Context, what string, p patience, do func() error) error {
	w := waiting{what: what}
	for {
		err := do()
		if err == nil {
			r.back(&w)
			return nil
		}
		if !r.again(ctx, &w, p, err) {
			return stopped(ctx, err)
		}
	}
}

// stopped is why waiting ended: because of err, unless somebody has asked for it.
func stopped(ctx context.Context, err error) error {
	if stop := ctx.Err(); stop != nil {
		return stop
	}
	return err
}

// answer reports whether an error of a server's says that there is one.
func answer(e *drover.Error) bool { return e.Kind == drover.Transient || e.Code != "" }

// lost is the patience with a server that has answered this process before.
func lost(e *drover.Error, _ bool) time.Duration {
	if (e.Kind == drover.Transient || e.Kind == drover.Unreachable) && e.Code != lockTimedOut {
		return outage
	}
	return 0
}

// fresh is the patience with a server that may never have answered: one that starts up is waited for, and for a moment one that refuses
// connections; a host that is not there, or does not answer, has most likely another name.
func fresh(e *drover.Error, answered bool) time.Duration {
	switch {
	case answered:
		return lost(e, true)
	case e.Kind != drover.Unreachable:
		return 0
	}
	for _, hungUp := range []error{
		syscall.ECONNREFUSED, syscall.ENOENT /* no file of a socket */, syscall.ECONNRESET, io.EOF, io.ErrUnexpectedEOF, /* a proxy without its server */
	} {
		if errors.Is(e, hungUp) {
			return refusal
		}
	}
	return 0
}
