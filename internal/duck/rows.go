package duck

import (
	"context"

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
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_ = st.s.kept() // of an earlier query that was given up
	r := &Rows{ctx: ctx, s: st.s}
	r.stop = context.AfterFunc(ctx, func() { db.Interrupt(st.s.con) })
	var pending db.PendingResult
	defer db.DestroyPending(&pending)
	if db.PendingPreparedStreaming(st.st, &pending) != db.StateSuccess {
		defer r.stop()
		return nil, r.fail(newError(drover.Data, 0, db.PendingError(pending), ""))
	}
	if db.ExecutePending(pending, &r.res) != db.StateSuccess {
		defer r.stop()
		err := newError(drover.Data, db.ResultErrorType(&r.res), db.ResultError(&r.res), "")
		db.DestroyResult(&r.res)
		return nil, r.fail(err)
	}
	return r, nil
}

// Rows is a streaming result: at most a few chunks exist at any time.
type Rows struct {
	ctx   context.Context
	s     *Session
	stop  func() bool
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
			return Chunk{}, r.ctx.Err()
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
	return err
}
