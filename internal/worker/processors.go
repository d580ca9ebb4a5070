package worker

import (
	"runtime"

	"github.com/droverdata/drover/connector"
)

// native reports whether DuckDB's threads alone read and write the stage's rows.
func (s *stage) native() bool {
	if s.calls != nil {
		return false
	}
	_, in := s.source.(connector.Native)
	sink := any(s.sink)
	if p, ok := sink.(*profiler); ok {
		sink = p.Sink
	}
	_, out := sink.(connector.Native)
	return in && out
}

// keepIdle has Go run on more processors than DuckDB has threads, until undo. A thread that calls into Go keeps its processor of Go's from call to
// call, but where none is idle the runtime takes it away after 20 microseconds and wakes another thread to use it (runtime, retake): thousands of times
// a second, for nothing. Beside goroutines that have work to do it is the other way round.
func keepIdle(threads int) (undo func() error) {
	before := runtime.GOMAXPROCS(0)
	if before <= threads {
		runtime.GOMAXPROCS(threads + 1)
	}
	return func() error {
		runtime.GOMAXPROCS(before)
		return nil
	}
}
