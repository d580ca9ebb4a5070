package local

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// looks is how often a silent worker is looked at before it is killed. They are counted, because a driver that slept itself heard nothing meanwhile either.
const looks = 4

// ear kills a process that says nothing for too long.
type ear struct {
	unheard atomic.Int32
	killed  bool
	quit    chan struct{}
	done    sync.WaitGroup
}

// listen begins to wait for what p says, at most silence each time; 0 means for ever.
func (p *process) listen(silence time.Duration) *ear {
	e := &ear{quit: make(chan struct{})}
	if silence <= 0 {
		return e
	}
	e.done.Go(func() {
		tick := time.NewTicker(silence / looks)
		defer tick.Stop()
		for {
			select {
			case <-e.quit:
				return
			case <-tick.C:
			}
			if e.unheard.Add(1) > looks {
				e.killed = true
				p.signal(syscall.SIGKILL)
				return
			}
		}
	})
	return e
}

func (e *ear) hear() { e.unheard.Store(0) }

// close ends the wait and reports whether the process was killed.
func (e *ear) close() bool {
	close(e.quit)
	e.done.Wait()
	return e.killed
}
