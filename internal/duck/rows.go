package duck

import (
	"context"
	"sync"

	"github.com/droverdata/drover"
	db "github.com/duckdb/duckdb-go-bindings"
)

// Stmt is a prepared statement of one session.
type Stmt struct {
	s  *Session
	st db.PreparedStatement
}

// Prepare binds one statement. Errors carry the offset of DuckDB's caret in sql.
func (s *Session) Prepare(sql string) (*Stmt, error) {
	st := &Stmt{s: s}
	if db.Prepare(s.con, sql, &st.st) != db.StateSuccess {
		err := newError(drover.Invalid, 0, db.PrepareError(st.st), sql)
		db.DestroyPrepare(&st.st)
		return nil, err
	}
	return st, nil
}

// Close frees the statement.
func (st *Stmt) Close() { db.DestroyPrepare(&st.st) }

// Query runs the statement and streams its rows. One query of a session runs at a time.
func (st *Stmt) Query(ctx context.Context) (*Rows, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	_ = st.s.kept() // of an earlier query that was given up
	r := &Rows{ctx: ctx, s: st.s}
	var pending db.PendingResult
	defer db.DestroyPending(&pending)
	if db.PendingPreparedStreaming(st.st, &pending) != db.StateSuccess {
		return nil, r.fail(newError(drover.Data, 0, db.PendingError(pending), ""))
	}
	// Not before: a query that begins forgets the interrupts that came until then.
	r.stop = st.s.interruptWhen(ctx)
	if db.ExecutePending(pending, &r.res) != db.StateSuccess {
		r.stop()
		err := newError(drover.Data, db.ResultErrorType(&r.res), db.ResultError(&r.res), "")
		db.DestroyResult(&r.res)
		return nil, r.fail(err)
	}
	return r, nil
}

// interruptWhen interrupts the running query when ctx is done, until stop is called. Once stop has returned no interrupt is on its way:
// it would hit the session's next query, or a connection that is closed.
func (s *Session) interruptWhen(ctx context.Context) (stop func()) {
	sent := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(sent)
		db.Interrupt(s.con)
	})
	return sync.OnceFunc(func() {
		if !cancel() {
			<-sent
		}
	})
}

// Rows is a streaming result: at most a few chunks exist at any time.
type Rows struct {
	ctx   context.Context
	s     *Session
	stop  func()
	res   db.Result
	cur   db.DataChunk
	owned *Stmt
}

// Next returns the next chunk, which is valid until the next call. A chunk of no rows is the end.
func (r *Rows) Next() (Chunk, error) {
	if r.cur.Ptr != nil {
		db.DestroyDataChunk(&r.cur)
	}
	for {
		r.cur = db.FetchChunk(r.res)
		if r.cur.Ptr == nil {
			if msg := db.ResultError(&r.res); msg != "" {
				return Chunk{}, r.fail(newError(drover.Data, db.ResultErrorType(&r.res), msg, ""))
			}
			return Chunk{}, context.Cause(r.ctx)
		}
		c := Chunk{r.cur}
		if c.Rows() > 0 {
			return c, nil
		}
		db.DestroyDataChunk(&r.cur)
	}
}

// Close frees the result and, if the query was made by Session.Query, its statement.
func (r *Rows) Close() {
	r.stop()
	if r.cur.Ptr != nil {
		db.DestroyDataChunk(&r.cur)
	}
	db.DestroyResult(&r.res)
	if r.owned != nil {
		r.owned.Close()
	}
}

// fail prefers the context's error to the interrupt that it caused, and a scan's own error to its text.
func (r *Rows) fail(err error) error {
	scan := r.s.kept()
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if scan != nil {
		return scan
	}
	return r.s.spilled(err)
}
