package local

import (
	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/protocol"
)

const (
	// comfortable is the share with which workers start: enough for the buffers of most tasks.
	comfortable = 192 << 20
	// slack is added to a measured peak: the next task may be a little larger.
	slack = 1.25
)

// sizer finds how many workers fit a budget. It begins with shares that are comfortable, and makes them smaller, and more, once tasks
// have shown that they take less. Where that proves wrong it goes back and stays there.
type sizer struct {
	budget       int64 // of all workers, less what the driver has taken of it
	whole        int64 // of all workers
	first, most  int
	slots        int
	measured     int
	peak         int64
	disappointed bool
}

func newSizer(budget int64, workers int) sizer {
	first := int(min(int64(workers), max(1, budget/comfortable)))
	return sizer{budget: budget, whole: budget, first: first, most: workers, slots: first}
}

// driver takes what the driver uses above its own part from the workers' budget, but leaves each of them what it cannot work without.
func (s *sizer) driver(used int64) {
	s.budget = max(s.whole-max(0, used-memory.Driver), min(s.whole, memory.Least))
	s.slots = max(1, min(max(s.slots, s.first), int(s.budget/memory.Least)))
}

// share is what a worker may use.
func (s *sizer) share() int64 { return s.budget / int64(s.slots) }

// learn takes note of how an attempt ended.
func (s *sizer) learn(r protocol.Result, overrun bool) {
	if overrun || r.Error != nil && r.Error.Kind == drover.Overrun {
		s.disappointed = s.disappointed || s.slots > s.first
		s.slots, s.measured = s.first, 0
		return
	}
	if len(r.Receipts) == 0 || s.disappointed || s.slots == s.most {
		return
	}
	for _, c := range r.Receipts {
		s.peak = max(s.peak, c.PeakMemory)
	}
	if s.measured++; s.measured >= s.slots && s.peak > 0 {
		fit := int(float64(s.budget) / (slack * float64(s.peak)))
		s.slots = min(max(fit, s.slots), s.most)
		s.measured = 0
	}
}
