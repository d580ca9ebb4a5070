package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/memory"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// batches is how many batches a stream owns: one that is received, one that waits, and two that its reader may hold.
const batches = 4

// pumpBytes is how much is received before it is looked at where nobody else reads: with what is made of it, it fits into a core's cache.
const pumpBytes = 512 << 10

// errStopped ends a COPY whose reader has gone.
var errStopped = errors.New("the stream was closed")

var errNoChunk = errors.New("a row does not say which chunk it belongs to")

// statement is one COPY ... TO STDOUT (FORMAT binary).
type statement struct {
	// chunk is the chunk that the rows belong to; manyChunks where a field of each row says it.
	chunk int
	sql   string
	// With manyChunks: the field, and which chunk its bytes mean. Without keys they are the chunk's number, an int4.
	field int
	keys  map[string]int32
	null  int // the chunk that NULL means; -1 where there is none
}

const manyChunks = -1

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
	pending []statement // whose answers are still to begin
	answer  statement   // that is read now
	last    keyed
	// added says that each row's last field is no column of the source, so its bytes do not count.
	added bool
	count func([]segment)
	// each takes the batches where nobody reads out; refused is the error it gave.
	each    func(*batch) error
	refused error
}

// feed fills a stream, by Write, with tuples of so many fields.
type feed struct {
	fields int
	added  bool // each tuple's last field is no column of the source
	run    func(*stream) error
	count  func([]segment) // called with each batch that is complete; may be nil
	ended  func(error)     // called at the end, with the error if any; may be nil
}

func (f feed) end(err error) {
	if f.ended != nil {
		f.ended(err)
	}
}

// keyed is a key's bytes and its chunk: neighbouring rows often have the same.
type keyed struct {
	key   []byte
	chunk int32
}

// copyOut is the feed of the statements of a plan on conn.
func (s *source) copyOut(conn *pgconn.PgConn, p reading, count func([]segment), ended func(error)) feed {
	run := func(st *stream) error {
		begun := time.Now()
		return s.explain(st.run(conn, p.statements), begun)
	}
	return feed{p.fields, p.added, run, count, ended}
}

// startStream starts a goroutine that runs f, whose ended is called before the last next returns.
func startStream(ctx context.Context, pool *batchPool, f feed) *stream {
	s := &stream{
		out: make(chan *batch, 1), free: make(chan *batch, batches), pool: pool,
		added: f.added, count: f.count, walker: pgcopy.Walker{Fields: f.fields},
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	for range batches {
		s.free <- nil
	}
	s.done.Go(func() {
		defer close(s.out)
		s.err = f.run(s)
		if s.cur != nil {
			s.recycle(s.cur)
		}
		f.end(s.err)
	})
	return s
}

// pump fills one batch again and again, counts it and hands it to each, which may keep nothing of it. What is read is in the processor's cache still when
// each looks at it, and nobody is woken for it; meanwhile the server goes on as far as the socket's buffers reach.
func pump(ctx context.Context, pool *batchPool, f feed, each func(*batch) error) error {
	s := &stream{pool: pool, added: f.added, count: f.count, each: each, walker: pgcopy.Walker{Fields: f.fields}, ctx: ctx}
	s.cur = pool.get()
	s.cur.reset(f.fields)
	defer func() { pool.put(s.cur) }()
	err := f.run(s)
	if s.refused != nil {
		err = s.refused
	}
	f.end(err)
	return err
}

// sqlBytes bounds the statements that are sent at once, and how much a server must parse before it answers.
const sqlBytes = 64 << 10

func (s *stream) run(conn *pgconn.PgConn, statements []statement) error {
	for len(statements) > 0 {
		// Several statements make one simple query: a chunk of one row costs no round trip.
		sql, n := "", 0
		for n < len(statements) && (n == 0 || len(sql)+len(statements[n].sql) < sqlBytes) {
			sql += statements[n].sql + ";\n"
			s.pending = append(s.pending, statements[n])
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
	return s.flush()
}

// flush hands over what is left at the end.
func (s *stream) flush() error {
	if s.cur != nil && s.cur.rows > 0 {
		if s.each != nil {
			return s.hand()
		}
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
	if b := s.cur; b.rows > 0 && (b.used+len(p) > len(b.arena) || s.each != nil && b.used > pumpBytes) {
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
			s.answer, s.pending = s.pending[0], s.pending[1:]
			s.last.key = nil
		case pgcopy.Tuple:
			if err := s.tuple(b, at); err != nil {
				return 0, err
			}
		}
		b.parsed = at
	}
}

// tuple adds the tuple that ends at a place of the arena.
func (s *stream) tuple(b *batch, at int) error {
	offs := b.next()
	chunk := int32(s.answer.chunk)
	if chunk == manyChunks {
		p, null := pgcopy.Field(b.arena, offs[s.answer.field])
		switch {
		case null && s.answer.null < 0:
			return errNoChunk
		case null:
			chunk = int32(s.answer.null)
		case s.last.key != nil && string(p) == string(s.last.key):
			chunk = s.last.chunk
		default:
			var err error
			if s.last.chunk, err = s.chunkOf(p); err != nil {
				return err
			}
			s.last.key = append(s.last.key[:0], p...)
			chunk = s.last.chunk
		}
	}
	size := uint32(at - b.parsed)
	if s.added {
		size -= offs[b.fields] - offs[b.fields-1]
	}
	b.rows++
	k := len(b.segments) - 1
	if k < 0 || b.segments[k].chunk != chunk {
		b.segments = append(b.segments, segment{chunk: chunk})
		k++
	}
	b.segments[k].end = int32(b.rows)
	b.segments[k].bytes += size
	return nil
}

// chunkOf returns the chunk of a row by the field that says it.
func (s *stream) chunkOf(p []byte) (int32, error) {
	if s.answer.keys != nil {
		if chunk, ok := s.answer.keys[string(p)]; ok {
			return chunk, nil
		}
	} else if len(p) == 4 {
		return int32(binary.BigEndian.Uint32(p)), nil
	}
	return 0, errNoChunk
}

// cut sends the current batch and begins another with the bytes behind its last tuple.
func (s *stream) cut() error {
	if s.each != nil {
		return s.hand()
	}
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

// hand gives the current batch to each and moves the bytes behind its last tuple to its front.
func (s *stream) hand() error {
	b := s.cur
	if s.count != nil {
		s.count(b.segments)
	}
	if s.refused = s.each(b); s.refused != nil {
		return s.refused
	}
	b.restart()
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
	b := s.cur
	if s.count != nil {
		s.count(b.segments)
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
