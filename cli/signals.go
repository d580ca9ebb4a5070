package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// stopper turns signals into the two ways to stop: the first signal drains, the second cancels. Before work has begun there is
// nothing to drain, and the first signal cancels. A third one kills, as if nobody listened.
type stopper struct {
	drain chan struct{}
	stop  context.CancelFunc

	mu       sync.Mutex
	draining bool
	working  bool

	signals chan os.Signal
	done    chan struct{}
}

// listen returns a context that ends with a hard stop. Close must be called.
func listen(ctx context.Context) (context.Context, *stopper) {
	ctx, cancel := context.WithCancel(ctx)
	s := &stopper{drain: make(chan struct{}), stop: cancel, signals: make(chan os.Signal, 3), done: make(chan struct{})}
	signal.Notify(s.signals, os.Interrupt, syscall.SIGTERM)
	go s.serve()
	return ctx, s
}

func (s *stopper) serve() {
	defer close(s.done)
	for range s.signals {
		if s.next() {
			s.stop()
			signal.Reset(os.Interrupt, syscall.SIGTERM)
		}
	}
}

// next takes one signal and says whether it means to stop now.
func (s *stopper) next() (stop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || !s.working {
		return true
	}
	s.draining = true
	close(s.drain)
	return false
}

// begin says that work has begun which can be drained.
func (s *stopper) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.working = true
}

// close ends the listening.
func (s *stopper) close() {
	signal.Stop(s.signals)
	close(s.signals)
	<-s.done
	s.stop()
}

// ignoreInterrupts leaves it to the driver to stop a worker: Ctrl-C reaches every process of a terminal.
func ignoreInterrupts() { signal.Ignore(os.Interrupt) }
