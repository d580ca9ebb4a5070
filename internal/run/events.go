package run

import (
	"sync"
	"time"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
)

// ownEvery is how often the driver's memory is read: the system walks over all of its pages for that, which takes milliseconds.
const ownEvery = 2 * time.Second

// events adds up what running attempts report and passes events on, one at a time.
type events struct {
	mu      sync.Mutex
	sink    func(monitor.Event)
	meter   monitor.Meter
	running map[int64]protocol.Progress // by token
	done    protocol.Progress           // attempts of this process that finished
	base    ledger.Totals               // what was finished before
	chunks  monitor.Progress            // only its chunk counts
	own     int64                       // the driver's memory as it was read last
	ownAt   time.Time
	beside  bool  // attempts ran when own was read
	peak    int64 // the highest memory of driver and workers together
	stage   int
	read    int64 // rows of the source that attempts of this process read
	warned  map[string]bool
}

func newEvents(sink func(monitor.Event)) *events {
	return &events{sink: sink, running: map[int64]protocol.Progress{}, warned: map[string]bool{}}
}

func (e *events) send(ev monitor.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sink(ev)
}

// warnOnce sends a warning, unless it was sent before: what is tried again would say it again.
func (e *events) warnOnce(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.warned[text] {
		e.warned[text] = true
		e.sink(monitor.Warning{Text: text})
	}
}

// start takes over the state of the run as this process found it.
func (e *events) start(t ledger.Totals, stage int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.base, e.stage = t, stage
	e.done = protocol.Progress{}
	e.own, e.ownAt, e.beside = memory.Used(), time.Now(), false
	e.peak = max(e.peak, e.own)
	e.chunks = monitor.Progress{Total: t.Total(), Finished: t.Chunks[ledger.ChunkFinished], Failed: t.Chunks[ledger.ChunkError]}
}

// progress records what a running attempt has done so far.
func (e *events) progress(token int64, p protocol.Progress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running[token] = p
}

// ended removes a running attempt; finished is what it committed, zero if it failed.
func (e *events) ended(token int64, finished protocol.Progress, chunks int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := e.running[token]
	last.Memory = max(last.Memory, finished.Memory)
	e.running[token] = last
	e.readOwn(time.Now())
	e.memory()
	delete(e.running, token)
	e.done.RowsIn += finished.RowsIn
	if e.stage == 0 {
		e.read += finished.RowsIn
	}
	e.done.RowsOut += finished.RowsOut
	e.done.BytesIn += finished.BytesIn
	e.done.BytesOut += finished.BytesOut
	e.chunks.Finished += int64(chunks)
}

// readOwn reads the driver's memory now and then, and anew once attempts run: workers share the program's pages with it, which were all its own before. The
// mutex is held.
func (e *events) readOwn(now time.Time) {
	running := len(e.running) > 0
	if now.Sub(e.ownAt) < ownEvery && (e.beside || !running) {
		return
	}
	e.own, e.ownAt, e.beside = memory.Used(), now, running
}

// memory adds up driver and workers, and keeps the peak. The mutex is held.
func (e *events) memory() int64 {
	sum := e.own
	for _, a := range e.running {
		sum += a.Memory
	}
	e.peak = max(e.peak, sum)
	return sum
}

// peakMemory returns the highest memory of the whole process tree so far.
func (e *events) peakMemory() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peak
}

// split counts a chunk that was replaced by parts.
func (e *events) split(parts int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.chunks.Total += int64(parts) - 1
}

func (e *events) failed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.chunks.Failed++
}

func (e *events) rowsHere() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.read
}

// tick sends a Progress event.
func (e *events) tick(now time.Time, inFlight int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.chunks
	p.Running = int64(inFlight)
	p.RowsIn, p.RowsOut = e.base.RowsIn+e.done.RowsIn, e.base.RowsOut+e.done.RowsOut
	p.BytesIn, p.BytesOut = e.base.BytesIn+e.done.BytesIn, e.base.BytesOut+e.done.BytesOut
	e.readOwn(now)
	p.Memory = e.memory()
	for _, a := range e.running {
		p.RowsIn += a.RowsIn
		p.RowsOut += a.RowsOut
		p.BytesIn += a.BytesIn
		p.BytesOut += a.BytesOut
	}
	done := -1.0
	if p.Total > 0 {
		done = float64(p.Finished+p.Failed) / float64(p.Total)
	}
	e.sink(e.meter.Measure(p, done, now))
}

func sum(receipts []connector.Receipt) protocol.Progress {
	var s protocol.Progress
	for _, r := range receipts {
		s.RowsIn += r.RowsIn
		s.RowsOut += r.RowsOut
		s.BytesIn += r.BytesIn
		s.BytesOut += r.BytesOut
		s.Memory = max(s.Memory, r.PeakMemory)
	}
	return s
}
