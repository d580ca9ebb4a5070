package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/memory"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// batches is how many batches a stream owns: one that is received, one that waits, and two that its reader may hold.
const batches = 4

// errStopped ends a COPY whose reader has gone.
var errStopped = errors.New("the stream was closed")

// statement is one COPY ... TO STDOUT (FORMAT binary).
type statement struct {
	// chunk is the chunk that the rows belong to; manyChunks where each row's last field, an int4, says it.
	chunk int
	sql   string
}

const (
	manyChunks = -1
	// chunkField is the size of the field that says a row's chunk. It is not the source's.
	chunkField = 8
)

// stream reads the answers of COPY statements into batches, in a goroutine of its own.
type stream struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	out    chan *batch
	// free holds the batches that the goroutine may fill; nil stands for one that is still in the pool.
	free chan *batch
	pool *batchPool
	err  error // why out was closed; read after that

	// of the goroutine alone
	ctx     context.Context
	walker  pgcopy.Walker
	cur     *batch
	pending []int // chunks whose answers are still to begin
	chunk   int
	count   func(chunk int, rows, bytes int64)
}

// copyOut starts statements on conn, each of which yields tuples of so many fields. count is called from the stream's goroutine as
// batches are complete. finished is called at its end, before the last next returns, with the error if any.
func copyOut(ctx context.Context, conn *pgconn.PgConn, pool *batchPool, statements []statement, fields int,
	count func(chunk int, rows, bytes int64), finished func(error),
) *stream {
	return startStream(ctx, pool, fields, count, func(s *stream) error { return s.run(conn, statements) }, finished)
}

// startStream starts a stream that run fills, by Write.
func startStream(ctx context.Context, pool *batchPool, fields int, count func(chunk int, rows, bytes int64), run func(*stream) error, finished func(error)) *stream {
	s := &stream{
		out: make(chan *batch, 1), free: make(chan *batch, batches), pool: pool,
		count: count, walker: pgcopy.Walker{Fields: fields},
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	for range batches {
		s.free <- nil
	}
	s.done.Go(func() {
		defer close(s.out)
		s.err = run(s)
		if s.cur != nil {
			s.recycle(s.cur)
		}
		finished(s.err)
	})
	return s
}

// sqlBytes bounds the statements that are sent at once, and how much a server must parse before it answers.
const sqlBytes = 64 << 10

func (s *stream) run(conn *pgconn.PgConn, statements []statement) error {
	for len(statements) > 0 {
		// Several statements make one simple query: a chunk of one row costs no round trip.
		sql, n := "", 0
		for n < len(statements) && (n == 0 || len(sql)+len(statements[n].sql) < sqlBytes) {
			sql += statements[n].sql + ";\n"
			s.pending = append(s.pending, statements[n].chunk)
			n++
		}
		if _, err := conn.CopyTo(s.ctx, s, sql); err != nil {
			return s.explain(err)
		}
		if len(s.pending) > 0 {
			return fmt.Errorf("the server answered %d of %d COPY statements", n-len(s.pending), n)
		}
		statements = statements[n:]
	}
	return s.last()
}

// last hands over what is left at the end.
func (s *stream) last() error {
	if s.cur != nil && s.cur.rows > 0 {
		return s.emit()
	}
	return nil
}

// explain prefers the reason of the end to its symptom.
func (s *stream) explain(err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	var large *pgproto3.ExceededMaxBodyLenErr
	if errors.As(err, &large) {
		n := int64(large.ActualBodyLen)
		e := drover.Errorf(drover.Overrun, "a row of the source has %d MiB", n>>20)
		e.Needs, e.Cause = memory.ForRow(n), err
		return e
	}
	return wrap(err, "read the source")
}

// Write takes the next bytes of the answers. It implements io.Writer for pgconn.CopyTo.
func (s *stream) Write(p []byte) (int, error) {
	if s.cur == nil {
		if err := s.begin(nil); err != nil {
			return 0, err
		}
	}
	if b := s.cur; b.used+len(p) > len(b.arena) && b.rows > 0 {
		if err := s.cut(); err != nil {
			return 0, err
		}
	}
	if err := s.cur.grow(len(p)); err != nil {
		return 0, drover.Errorf(drover.Data, "read the source: %w", err)
	}
	s.cur.used += copy(s.cur.arena[s.cur.used:], p)
	for {
		b := s.cur
		if b.full() {
			if err := s.cut(); err != nil {
				return 0, err
			}
			continue
		}
		at, token, err := s.walker.Next(b.arena[:b.used], b.parsed, b.next())
		if err != nil {
			return 0, drover.Errorf(drover.Refused, "read the source: %w", err)
		}
		switch token {
		case pgcopy.More:
			return len(p), nil
		case pgcopy.Begin:
			if len(s.pending) == 0 {
				return 0, errors.New("more answers than COPY statements")
			}
			s.chunk, s.pending = s.pending[0], s.pending[1:]
		case pgcopy.Tuple:
			chunk := s.chunk
			if chunk == manyChunks {
				if chunk, err = s.chunkOf(b.arena, b.next()[s.walker.Fields-1]); err != nil {
					return 0, err
				}
			}
			b.rows++
			k := len(b.segments) - 1
			if k < 0 || b.segments[k].chunk != chunk {
				b.segments = append(b.segments, segment{chunk: chunk})
				k++
			}
			b.segments[k].end = b.rows
			b.segments[k].bytes += int64(at - b.parsed)
		}
		b.parsed = at
	}
}

// chunkOf reads the field that says which chunk a row belongs to.
func (s *stream) chunkOf(arena []byte, off uint32) (int, error) {
	p, _ := pgcopy.Field(arena, off)
	if len(p) != 4 {
		return 0, errors.New("a row does not say which chunk it belongs to")
	}
	return int(binary.BigEndian.Uint32(p)), nil
}

// cut sends the current batch and begins another with the bytes behind its last tuple.
func (s *stream) cut() error {
	old := s.cur
	rest := old.arena[old.parsed:old.used]
	if err := s.begin(rest); err != nil {
		return err
	}
	next := s.cur
	s.cur = old
	err := s.emit()
	if err != nil {
		s.recycle(next)
		return err
	}
	s.cur = next
	return nil
}

// begin takes a free batch and fills it with rest.
func (s *stream) begin(rest []byte) error {
	select {
	case b := <-s.free:
		if b == nil {
			b = s.pool.get()
		}
		b.reset(s.walker.Fields)
		if err := b.grow(len(rest)); err != nil {
			s.recycle(b)
			return err
		}
		b.used = copy(b.arena, rest)
		s.cur = b
		return nil
	case <-s.ctx.Done():
		return errStopped
	}
}

// emit counts the current batch and hands it to the reader.
func (s *stream) emit() error {
	b, from := s.cur, 0
	for _, g := range b.segments {
		s.count(g.chunk, int64(g.end-from), g.bytes)
		from = g.end
	}
	select {
	case s.out <- b:
		s.cur = nil
		return nil
	case <-s.ctx.Done():
		return errStopped
	}
}

// next returns the next batch, which is the caller's until recycle; nil at the end.
func (s *stream) next() (*batch, error) {
	b, ok := <-s.out
	if !ok {
		return nil, s.err
	}
	return b, nil
}

// recycle gives a batch back.
func (s *stream) recycle(b *batch) { s.free <- b }

// close stops the stream, waits for its goroutine and gives its memory back. It may be called once, when the reader has
// recycled what it took.
func (s *stream) close() {
	s.cancel()
	s.done.Wait()
	if b, ok := <-s.out; ok {
		s.recycle(b)
	}
	close(s.free)
	for b := range s.free {
		if b != nil {
			s.pool.put(b)
		}
	}
}
