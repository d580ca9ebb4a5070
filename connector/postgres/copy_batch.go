package postgres

/*
#include <stdlib.h>
*/
import "C"

import (
	"fmt"
	"sync"
	"unsafe"
)

const (
	// arenaSize is the usual size of a batch's arena, where memory allows it. Arenas grow for a tuple that needs it, and shrink again.
	arenaSize = 4 << 20
	// leastArena still holds a few thousand usual rows.
	leastArena = 256 << 10
	// maxArena keeps offsets within 32 bits, and ints on every platform. Postgres makes no row of more than 1 GiB.
	maxArena = 1<<31 - 1
	// offsetBytes bounds the offsets of a batch, and so its rows.
	offsetBytes = 1 << 20
	maxRows     = 1 << 15
)

// segment is a run of a batch's rows that belong to one chunk: from the end of the segment before, up to end. In the worst case
// every row is one.
type segment struct {
	chunk, end int32
	bytes      uint32
}

const segmentBytes = maxRows * 12

// batch is whole tuples in C memory, where DuckDB may point at them, with the offsets of their fields.
type batch struct {
	arena  []byte // C memory
	usual  int    // the arena's size but for large tuples
	used   int    // bytes received
	parsed int    // end of the last whole tuple
	fields int
	// offs holds fields+1 offsets a row: each field's length word, and the row's end.
	offs        []uint32
	rows, limit int
	segments    []segment
}

func newBatch(size int) *batch {
	return &batch{arena: allocate(nil, size), usual: size, offs: make([]uint32, offsetBytes/4)}
}

// free releases the arena. The batch is of no use afterwards.
func (b *batch) free() {
	C.free(unsafe.Pointer(unsafe.SliceData(b.arena)))
	b.arena = nil
}

// reset empties the batch for tuples of so many fields.
func (b *batch) reset(fields int) {
	b.parsed, b.fields = b.used, fields
	b.limit = min(len(b.offs)/(fields+1), maxRows)
	b.restart()
}

// restart leaves the batch nothing but the bytes behind its last tuple.
func (b *batch) restart() {
	b.used = copy(b.arena, b.arena[b.parsed:b.used])
	b.parsed, b.rows, b.segments = 0, 0, b.segments[:0]
	if len(b.arena) > b.usual && b.used <= b.usual {
		b.arena = allocate(b.arena, b.usual)
	}
}

// grow makes room for n more bytes.
func (b *batch) grow(n int) error {
	need := b.used + n
	if need <= len(b.arena) {
		return nil
	}
	if need > maxArena {
		return fmt.Errorf("a row has more than %d MiB", b.used>>20)
	}
	b.arena = allocate(b.arena, min(max(need, 2*len(b.arena)), maxArena))
	return nil
}

// full reports whether no row fits any more.
func (b *batch) full() bool { return b.rows == b.limit }

// next returns the room for the offsets of the row that comes next.
func (b *batch) next() []uint32 {
	at := b.rows * (b.fields + 1)
	return b.offs[at : at+b.fields+1]
}

// row returns the offsets of row i.
func (b *batch) row(i int) []uint32 {
	at := i * (b.fields + 1)
	return b.offs[at : at+b.fields+1 : at+b.fields+1]
}

// allocate gives C memory a new size. malloc returns nil only for sizes that no machine has; the process cannot go on then.
func allocate(old []byte, size int) []byte {
	p := C.realloc(unsafe.Pointer(unsafe.SliceData(old)), C.size_t(size))
	if p == nil {
		panic("out of memory")
	}
	return unsafe.Slice((*byte)(p), size)
}

// arenaFor is the usual size of the arenas of a process that may use so many bytes for them: two streams of batches fit, offsets
// and segments and all.
func arenaFor(bytes int64) int {
	if bytes == 0 {
		return arenaSize
	}
	return int(min(max(bytes/(2*batches)-offsetBytes-segmentBytes, leastArena), arenaSize))
}

// batchPool keeps batches between streams. The zero value is ready; close frees what was put back.
type batchPool struct {
	arena int // their usual size; 0 means arenaSize

	mu     sync.Mutex
	free   []*batch
	out    int // batches that streams have
	closed bool
}

func (p *batchPool) get() *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out++
	if k := len(p.free) - 1; k >= 0 {
		b := p.free[k]
		p.free = p.free[:k]
		return b
	}
	if p.arena == 0 {
		return newBatch(arenaSize)
	}
	return newBatch(p.arena)
}

func (p *batchPool) put(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out--
	b.reset(0) // what waits in the pool has the usual size
	if p.closed || len(p.free) >= 2*batches {
		b.free()
		return
	}
	p.free = append(p.free, b)
}

func (p *batchPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, b := range p.free {
		b.free()
	}
	p.free = nil
}
