package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// treeInterval is how often a tree's memory is looked at: often enough for a peak of a few tenths of a second.
	treeInterval = 40 * time.Millisecond
	// rise is how much more a tree must have resident than ever before for its Pss to be added up again. That has the kernel walk over all page tables, which
	// at every interval took 3 % of the machine from a tree of three processes and nothing from a small one.
	rise = 1 << 20
)

// treeWatch follows the memory of processes and all their descendants.
type treeWatch struct {
	stop, done chan struct{}
	peak       int64
}

// watchTree looks until end is called.
func watchTree(roots []int) *treeWatch {
	w := &treeWatch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(treeInterval)
		defer tick.Stop()
		var most int64
		for {
			if resident := treeSum(roots, resident); resident >= most+rise {
				most = resident
				w.peak = max(w.peak, treeSum(roots, pss))
			}
			select {
			case <-w.stop:
				return
			case <-tick.C:
			}
		}
	}()
	return w
}

// end stops the watch and returns the highest sum of Pss that it saw, in bytes.
func (w *treeWatch) end() int64 {
	close(w.stop)
	<-w.done
	return w.peak
}

// treeSum adds up what of says of processes and all their descendants.
func treeSum(pids []int, of func(pid int) int64) int64 {
	var sum int64
	for _, pid := range pids {
		sum += of(pid) + treeSum(children(pid), of)
	}
	return sum
}

// pss is the proportional set size of a process in bytes, 0 for one that has ended (proc(5)).
func pss(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "\nPss:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib * 1024
}

// resident is the resident set of a process in bytes, with all of what it shares.
func resident(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// children returns the processes that any thread of pid started.
func children(pid int) []int {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	var all []int
	for _, t := range threads {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		if err != nil {
			continue
		}
		for _, field := range bytes.Fields(data) {
			if child, err := strconv.Atoi(string(field)); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// ticks is the unit of times in /proc/PID/stat, 100 a second on every Linux that Go runs on.
const ticks = 100

// treeCPU is the CPU time that a process, its children and those that it has waited for have used.
func treeCPU(pid int) time.Duration {
	sum := statTimes(pid, 4)
	for _, child := range children(pid) {
		sum += statTimes(child, 2)
	}
	return time.Duration(sum) * time.Second / ticks
}

// statTimes adds the first n of utime, stime, cutime and cstime.
func statTimes(pid, n int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name may hold spaces and parentheses; it ends with the last one.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 15 {
		return 0
	}
	var sum int64
	for _, f := range fields[11 : 11+n] {
		v, _ := strconv.ParseInt(f, 10, 64)
		sum += v
	}
	return sum
}
