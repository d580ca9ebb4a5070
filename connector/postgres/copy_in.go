package postgres

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// flushBytes is how much is collected before it goes to the connection's goroutine.
	flushBytes = 256 << 10
	// keepBytes is the largest buffer that is used again.
	keepBytes = 2 * flushBytes
	// buffers is how many filled buffers may wait.
	buffers = 3
)

// errAbandoned fails the server's COPY when the rows cannot all be sent.
var errAbandoned = errors.New("drover gave up the copy")

// copyIn is one COPY ... FROM STDIN (FORMAT binary), written by a goroutine of its own. Rows are appended to buf; end or abort
// must be called once.
type copyIn struct {
	buf  []byte
	rows int64

	ctx    context.Context
	full   chan []byte
	free   chan []byte
	ended  chan struct{} // closed when the server has answered
	gone   chan struct{} // closed when nobody will send any more, for abort
	failed error         // the server's answer; read after ended
	tag    pgconn.CommandTag
	done   sync.WaitGroup

	// of the connection's goroutine
	cur, rest []byte
}

// startCopy sends sql on conn.
func startCopy(ctx context.Context, conn *pgconn.PgConn, sql string) *copyIn {
	w := &copyIn{
		ctx: ctx, buf: append(make([]byte, 0, keepBytes), pgcopy.Header...), full: make(chan []byte, buffers), free: make(chan []byte, buffers+2),
		ended: make(chan struct{}), gone: make(chan struct{}),
	}
	w.done.Go(func() {
		defer close(w.ended)
		w.tag, w.failed = conn.CopyFrom(ctx, w, sql)
	})
	return w
}

// Read hands the server's bytes out. It implements io.Reader for pgconn.CopyFrom.
func (w *copyIn) Read(p []byte) (int, error) {
	for len(w.rest) == 0 {
		if w.cur != nil && cap(w.cur) <= keepBytes {
			select {
			case w.free <- w.cur[:0]:
			default:
			}
		}
		w.cur = nil
		select {
		case b, ok := <-w.full:
			if !ok {
				return 0, io.EOF
			}
			w.cur, w.rest = b, b
		case <-w.gone:
			return 0, errAbandoned
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// flush sends what buf holds if that is enough, or if all is set. It fails once the server has given up.
func (w *copyIn) flush(all bool) error {
	if len(w.buf) < flushBytes && !all {
		return nil
	}
	select {
	case w.full <- w.buf:
	case <-w.ended:
		return w.failure()
	}
	select {
	case w.buf = <-w.free:
	default:
		w.buf = make([]byte, 0, keepBytes)
	}
	return nil
}

// failure is the reason of a COPY that ended early. A cancelled context closes the connection, which is not the reason.
func (w *copyIn) failure() error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if w.failed != nil {
		return wrap(w.failed, "copy into the target")
	}
	return errors.New("copy into the target: the server ended the copy early")
}

// end sends the trailer and waits for the server.
func (w *copyIn) end() error {
	w.buf = pgcopy.AppendTrailer(w.buf)
	err := w.flush(true)
	close(w.full)
	w.done.Wait()
	close(w.gone)
	if w.failed != nil {
		return w.failure()
	}
	if err != nil {
		return err
	}
	if n := w.tag.RowsAffected(); n != w.rows {
		return skipped("copy into the target", w.rows, n)
	}
	return nil
}

// skipped is the error of a statement by which the server stored fewer rows than it was given: a trigger returned NULL for the others.
// Without the error their loss would be counted as delivered.
func skipped(doing string, given, stored int64) error {
	return drover.Errorf(drover.Data, "%s: a trigger (or rule) of the target skipped %d of %d rows", doing, given-stored, given).
		WithHint("filter these rows out in a step, or disable the trigger for the run: ALTER TABLE .. DISABLE TRIGGER ..")
}

// abort ends the COPY without its rows and waits for the server. It returns the server's own error if that came first.
func (w *copyIn) abort() error {
	select {
	case <-w.ended:
		w.done.Wait()
		close(w.gone)
		return w.failure()
	default:
	}
	close(w.gone)
	w.done.Wait()
	return nil
}
