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

// Watch measures this process, and others that belong to it, all the time and calls a function once together they have passed a limit.
//
// Pss costs a walk over all pages, for which a process that is just growing has to wait; the resident set a few microseconds. Pss is never more
// than the resident set and never less than its private part, and what lies between changes little once the program runs. So Pss is read only
// near the limit and where much has changed since it was read last.
type Watch struct {
	limit  int64
	over   func(used int64)
	others func() []int
	quit   chan struct{}
	done   sync.WaitGroup

	mu           sync.Mutex
	recent, peak int64
	told         bool
	// gauges are those of the processes, by their folders in proc(5).
	gauges map[string]gauge
}

// gauge is what is known of a process: its resident set when Pss was read last, and what of that Pss left to other processes.
type gauge struct{ readAt, foreign int64 }

// StartWatch begins to watch. over is called in the watch's goroutine, once; limit 0 measures only. others returns the processes that count with
// this one; nil means none.
func StartWatch(limit int64, over func(used int64), others func() []int) *Watch {
	if others == nil {
		others = func() []int { return nil }
	}
	w := &Watch{limit: limit, over: over, others: others, quit: make(chan struct{}), gauges: map[string]gauge{}}
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
	used, private := w.measure(false)
	if w.limit > 0 && private <= w.limit && float64(used) > near*float64(w.limit) {
		used, _ = w.measure(true)
	}
	passed := w.limit > 0 && used > w.limit
	w.mu.Lock()
	w.recent, w.peak = max(w.recent, used), max(w.peak, used)
	tell := passed && !w.told
	w.told = w.told || tell
	w.mu.Unlock()
	if tell {
		w.over(used)
	}
	return used
}

// measure adds up the processes: what they use, and what of it is nobody else's, as far as that is known cheaply.
func (w *Watch) measure(exactly bool) (used, private int64) {
	used, private = w.process(self, exactly)
	for _, pid := range w.others() {
		u, p := w.process("/proc/"+strconv.Itoa(pid), exactly)
		used, private = used+u, private+p
	}
	return used, private
}

// process measures one process, by its Pss where that is asked for or long ago. Looks may be in several goroutines.
func (w *Watch) process(process string, exactly bool) (used, private int64) {
	all, private, ok := residentOf(process)
	w.mu.Lock()
	g := w.gauges[process]
	w.mu.Unlock()
	if ok && g.readAt > 0 && all-g.readAt <= g.readAt/4 && !exactly {
		return max(private, all-g.foreign), private
	}
	used, ok = readPss(process)
	if !ok && process == self {
		used, ok = Used(), true
	}
	if !ok {
		return 0, 0 // it is gone
	}
	w.mu.Lock()
	w.gauges[process] = gauge{readAt: all, foreign: max(all-used, 0)}
	w.mu.Unlock()
	return used, private
}

// resident returns the resident set of this process, and what of it no other process can share, in bytes, where the system tells it
// cheaply (proc(5), statm).
func resident() (all, private int64, ok bool) { return residentOf(self) }

// residentOf is resident for any process, by its folder in proc(5).
func residentOf(process string) (all, private int64, ok bool) {
	data, err := os.ReadFile(process + "/statm")
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
