package local

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ownGroup gives a worker its own process group, so that Ctrl-C at the terminal reaches the driver alone, and has
// the kernel kill it when the driver dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// timerSlack is how late a worker's timers may be, so that they expire together. Go's scheduler looks after calls of C that take long each 20 µs; without slack
// that alone is a tenth of the processor time of a worker that DuckDB keeps busy (runtime.sysmon, prctl(2) PR_SET_TIMERSLACK).
const timerSlack = time.Millisecond

// spawner starts processes from one OS thread that lives as long as the engine: Pdeathsig fires when the thread that forked ends, not
// the process.
type spawner struct {
	requests chan request
	done     chan struct{}
}

type request struct {
	cmd *exec.Cmd
	err chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan request), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		// Processes inherit it. Without it they only cost more.
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack.Nanoseconds()), 0, 0, 0)
		defer close(s.done)
		for r := range s.requests {
			r.err <- r.cmd.Start()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	r := request{cmd, make(chan error, 1)}
	s.requests <- r
	return <-r.err
}

func (s *spawner) close() {
	close(s.requests)
	<-s.done
}
