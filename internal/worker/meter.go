package worker

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/protocol"
)

// makeRoom gives the Go runtime its part of the task's share, and gives up what earlier tasks left where that is much: the task must not
// be blamed for it.
func (w *Worker) makeRoom(task protocol.Task) {
	if w.overrun == nil || task.Memory <= 0 {
		return
	}
	memory.LimitGo(memory.Divide(task.Memory).Go)
	if memory.Resident() <= task.Memory*3/4 {
		return
	}
	_ = w.Close() // the connections are given up with whatever they had
	debug.FreeOSMemory()
}

// watch watches the memory of the process while task runs.
func (w *Worker) watch(task protocol.Task) *memory.Watch {
	if w.overrun == nil {
		return memory.StartWatch(0, nil, w.children)
	}
	return memory.StartWatch(task.Memory, func(used int64) { w.overrun(protocol.Overrun{Used: used, Allowed: task.Memory}) }, w.children)
}

// meter keeps the totals of the running attempt.
type meter struct {
	rowsIn, rowsOut, bytesIn, bytesOut atomic.Int64

	watch *memory.Watch
	quit  chan struct{}
	done  sync.WaitGroup
}

func startMeter(watch *memory.Watch, progress func(protocol.Progress)) *meter {
	m := &meter{watch: watch, quit: make(chan struct{})}
	m.done.Go(func() {
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-m.quit:
				return
			case <-tick.C:
				progress(protocol.Progress{
					RowsIn: m.rowsIn.Load(), RowsOut: m.rowsOut.Load(),
					BytesIn: m.bytesIn.Load(), BytesOut: m.bytesOut.Load(), Memory: watch.Recent(),
				})
			}
		}
	})
	return m
}

func (m *meter) set(rowsIn, rowsOut, bytesIn, bytesOut int64) {
	m.rowsIn.Store(rowsIn)
	m.rowsOut.Store(rowsOut)
	m.bytesIn.Store(bytesIn)
	m.bytesOut.Store(bytesOut)
}

// stop ends the measuring and returns the peak of the memory.
func (m *meter) stop() int64 {
	close(m.quit)
	m.done.Wait()
	peak := m.watch.Peak()
	m.watch.Stop()
	return peak
}
