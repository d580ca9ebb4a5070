package memory

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// Period is how often a Watch looks.
const Period = 50 * time.Millisecond

// near is the part of the limit below which the resident set alone is proof enough.
const near = 0.95

// Watch measures this process all the time and calls a function once it has passed a limit.
//
// Pss costs a walk over all pages, the resident set a few microseconds; and Pss is never more. So Pss is read only where the resident set
// comes near the limit or passes the last peak.
type Watch struct {
	limit int64
	over  func(used int64)
	quit  chan struct{}
	done  sync.WaitGroup

	mu         sync.Mutex
	recent, peak int64
	told         bool
}

// StartWatch begins to watch. over is called in the watch's goroutine, once; limit 0 measures only.
func StartWatch(limit int64, over func(used int64)) *Watch {
	w := &Watch{limit: limit, over: over, quit: make(chan struct{})}
	w.done.Go(func() {
		tick := time.NewTicker(Period)
		defer tick.Stop()
		for {
			select {
			case <-w.quit:
				return
			case <-tick.C:
				w.look()
			}
		}
	})
	return w
}

// Recent returns the highest memory since it was called last.
func (w *Watch) Recent() int64 {
	w.look()
	w.mu.Lock()
	defer w.mu.Unlock()
	recent := w.recent
	w.recent = 0
	return recent
}

// Peak returns the highest memory so far. It looks only if nothing has looked yet: a receipt is written a thousand times a second.
func (w *Watch) Peak() int64 {
	if peak := w.seen(); peak > 0 {
		return peak
	}
	w.look()
	return w.seen()
}

// Stop ends the watch and waits for it.
func (w *Watch) Stop() {
	close(w.quit)
	w.done.Wait()
}

func (w *Watch) seen() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peak
}

func (w *Watch) look() {
	peak := w.seen()
	used, ok := resident()
	if !ok || used > peak || w.limit > 0 && float64(used) > near*float64(w.limit) {
		used = Used()
	}
	w.mu.Lock()
	w.recent, w.peak = max(w.recent, used), max(w.peak, used)
	tell := w.limit > 0 && used > w.limit && !w.told
	w.told = w.told || tell
	w.mu.Unlock()
	if tell {
		w.over(used)
	}
}

// resident returns the resident set of this process in bytes, where the system tells it cheaply.
func resident() (int64, bool) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}

// Resident returns the resident set of this process in bytes, which is never less than its Pss; 0 where the system does not tell it
// cheaply.
func Resident() int64 {
	n, _ := resident()
	return n
}
