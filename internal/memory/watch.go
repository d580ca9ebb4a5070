package memory

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	// period is how often a Watch looks, and closely how often once half of the limit is used: a process can fill 100 MiB in 10 ms, and a busy
	// machine may let the watch wait.
	period  = 50 * time.Millisecond
	closely = 2 * time.Millisecond
	// near is the part of the limit below which the resident set alone is proof enough.
	near = 0.95
)

// Watch measures this process all the time and calls a function once it has passed a limit.
//
// Pss costs a walk over all pages, for which a process that is just growing has to wait; the resident set a few microseconds. Pss is never more
// than the resident set and never less than its private part, and what lies between changes little once the program runs. So Pss is read only
// near the limit and where much has changed since it was read last.
type Watch struct {
	limit int64
	over  func(used int64)
	quit  chan struct{}
	done  sync.WaitGroup

	mu           sync.Mutex
	recent, peak int64
	told         bool
	// readAt is the resident set when Pss was read last, and foreign what of it Pss left to other processes. Each look may be in a goroutine of
	// its own.
	readAt, foreign int64
}

// StartWatch begins to watch. over is called in the watch's goroutine, once; limit 0 measures only.
func StartWatch(limit int64, over func(used int64)) *Watch {
	w := &Watch{limit: limit, over: over, quit: make(chan struct{})}
	w.done.Go(func() {
		next := time.NewTimer(period)
		defer next.Stop()
		for {
			select {
			case <-w.quit:
				return
			case <-next.C:
				wait := period
				if w.look() > w.limit/2 && w.limit > 0 {
					wait = closely
				}
				next.Reset(wait)
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

// look measures once, and returns what it found.
func (w *Watch) look() int64 {
	all, private, ok := resident()
	w.mu.Lock()
	readAt, foreign := w.readAt, w.foreign
	w.mu.Unlock()
	used := max(private, all-foreign)
	if !ok || readAt == 0 || all-readAt > readAt/4 || w.limit > 0 && private <= w.limit && float64(used) > near*float64(w.limit) {
		used = Used()
		readAt, foreign = all, max(all-used, 0)
	}
	passed := w.limit > 0 && used > w.limit
	w.mu.Lock()
	w.readAt, w.foreign = readAt, foreign
	w.recent, w.peak = max(w.recent, used), max(w.peak, used)
	tell := passed && !w.told
	w.told = w.told || tell
	w.mu.Unlock()
	if tell {
		w.over(used)
	}
	return used
}

// resident returns the resident set of this process, and what of it no other process can share, in bytes, where the system tells it
// cheaply (proc(5), statm).
func resident() (all, private int64, ok bool) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, false
	}
	fields := bytes.Fields(data)
	if len(fields) < 3 {
		return 0, 0, false
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0, 0, false
	}
	shared, err := strconv.ParseInt(string(fields[2]), 10, 64)
	size := int64(os.Getpagesize())
	return pages * size, (pages - shared) * size, err == nil
}

// Driving returns the memory of a driver beside its workers in bytes: what is its own, and its part of the program's pages, which they share;
// 0 where the system does not tell it cheaply.
func Driving() int64 {
	_, private, ok := resident()
	if !ok {
		return 0
	}
	return private + program/2
}

// Resident returns the resident set of this process in bytes, which is never less than its Pss; 0 where the system does not tell it
// cheaply.
func Resident() int64 {
	all, _, _ := resident()
	return all
}
