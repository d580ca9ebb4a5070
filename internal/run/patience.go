package run

import (
	"context"
	"fmt"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
	"github.com/droverdata/drover/internal/redact"
)

// lockTimedOut is the SQLSTATE of a lock that was waited for already.
const lockTimedOut = "55P03"

// patiently does what is idempotent until it succeeds, or fails in a way that away says time does not mend, or for longer than an outage lasts.
func (r *runner) patiently(ctx context.Context, away func(*drover.Error) bool, do func() error) error {
	var since time.Time
	for try := 0; ; try++ {
		err := do()
		if err == nil || ctx.Err() != nil || !away(protocol.AsError(err)) {
			return err
		}
		if since.IsZero() {
			since = time.Now()
			r.events.send(monitor.Warning{Text: redact.Passwords(fmt.Sprintf("%v; it is tried again for up to %s", err, outage))})
		}
		if time.Since(since) >= outage || sleep(ctx, backoff(try)) != nil {
			return err
		}
	}
}

// lost says that a server which has answered before is away for now, or that a connection to it was lost.
func lost(e *drover.Error) bool {
	return (e.Kind == drover.Transient || e.Kind == drover.Unreachable) && e.Code != lockTimedOut
}

// dropped is lost, but for a server that never answered: its address may be wrong.
func dropped(e *drover.Error) bool { return lost(e) && (e.Kind == drover.Transient || e.Code != "") }
