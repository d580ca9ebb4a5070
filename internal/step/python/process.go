package python

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a Python process and the ends of what connects it.
type process struct {
	cmd    *exec.Cmd
	socket int           // messages
	output int           // what the child and its own children print; -1 once all of them have closed it
	woken  int           // becomes readable when a waiting exchange must look up
	waker  int           // the other end of woken
	done   chan struct{} // closed once the child was waited for

	// stopTimeout is how long it may be stopped by a signal.
	stopTimeout time.Duration

	over  atomic.Bool // as done, for exchange
	line  []byte      // the beginning of a line that is not yet whole
	log   func(line string)
	mark  []byte          // see hello
	began func(place int) // learns of marks
}

// environment is that of a child: its libraries use as many threads as the task has, nothing is written beside the user's file, sets of text have one
// order, and local time is the job's.
func environment(threads int, timezone string) []string {
	n := strconv.Itoa(max(threads, 1))
	env := os.Environ()
	for _, name := range []string{
		"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS",
		"POLARS_MAX_THREADS", "RAYON_NUM_THREADS",
	} {
		env = append(env, name+"="+n)
	}
	if timezone == "" {
		timezone = "UTC"
	}
	if os.Getenv("PYTHONHASHSEED") == "" {
		env = append(env, "PYTHONHASHSEED=0")
	}
	// pyarrow's allocator (mimalloc) takes memory as it needs it, not an arena at once that the system makes huge pages of: 25 MiB less.
	if os.Getenv("MIMALLOC_ARENA_EAGER_COMMIT") == "" {
		env = append(env, "MIMALLOC_ARENA_EAGER_COMMIT=0")
	}
	return append(env, "TZ="+timezone, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1")
}

// startProcess starts an interpreter with a script that finds its socket as descriptor 3. log receives the lines that it prints.
func startProcess(interpreter, dir, script string, env []string, mark string, log func(line string)) (_ *process, err error) {
	var opened []int
	defer func() {
		if err != nil {
			closeAll(opened)
		}
	}()
	pair := func(make func() ([2]int, error)) (mine, theirs int) {
		if err != nil {
			return -1, -1
		}
		var fds [2]int
		syscall.ForkLock.RLock()
		fds, err = make()
		if err == nil {
			unix.CloseOnExec(fds[0])
			unix.CloseOnExec(fds[1])
			opened = append(opened, fds[0], fds[1])
		}
		syscall.ForkLock.RUnlock()
		return fds[0], fds[1]
	}
	pipe := func() (fds [2]int, err error) { err = unix.Pipe(fds[:]); return fds, err }
	socket, childSocket := pair(func() ([2]int, error) { return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0) })
	output, childOutput := pair(pipe)
	woken, waker := pair(pipe)
	if err != nil {
		return nil, fmt.Errorf("connect Python: %w", err)
	}
	for _, fd := range []int{socket, output, woken, waker} {
		if err = unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("connect Python: %w", err)
		}
	}
	p := &process{socket: socket, output: output, woken: woken, waker: waker, done: make(chan struct{}), mark: []byte(mark), log: log}
	p.cmd = exec.Command(interpreter, "-")
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stdin = strings.NewReader(script)
	printed := os.NewFile(uintptr(childOutput), "output")
	asked := os.NewFile(uintptr(childSocket), "socket")
	p.cmd.Stdout, p.cmd.Stderr = printed, printed
	p.cmd.ExtraFiles = []*os.File{asked}
	p.cmd.SysProcAttr = attributes()
	err = p.start()
	opened = []int{socket, output, woken, waker}
	if err = errors.Join(err, printed.Close(), asked.Close()); err != nil {
		return nil, fmt.Errorf("start %s: %w", interpreter, err)
	}
	return p, nil
}

// start starts the process on a thread that lives as long as the process does: where the kernel ends a child with its parent, that is when the
// thread ends that forked.
func (p *process) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // ProcessState says how it ended
			p.over.Store(true)
			p.wake()
			close(p.done)
		}
	}()
	return <-started
}

// wake makes a waiting exchange look up. One byte is enough: a full pipe wakes, too.
func (p *process) wake() { _, _ = unix.Write(p.waker, []byte{0}) }

// calm empties the pipe that wake fills.
func (p *process) calm() {
	var buf [64]byte
	for {
		if n, err := unix.Read(p.woken, buf[:]); n <= 0 || err != nil {
			return
		}
	}
}

// end kills the process with everything that it started, waits for it and closes its connections. It returns what it still had printed.
func (p *process) end() {
	p.kill()
	<-p.done
	p.drain()
	p.flushLine()
	closeAll([]int{p.socket, p.output, p.woken, p.waker})
}

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd) // nothing was buffered
		}
	}
}

// how says how the process ended: "exit status 3", "signal: segmentation fault".
func (p *process) how() string { return p.cmd.ProcessState.String() }

const (
	maxLine = 64 << 10 // where a line is cut
	maxMark = 64       // how long a mark is at most, with its place
)

// drain passes on what has been printed until now.
func (p *process) drain() {
	// A process that prints faster than it is read must not keep us.
	for range 1024 {
		if !p.readOutput() {
			return
		}
	}
}

// readOutput passes on some of what was printed, and says whether there was anything.
func (p *process) readOutput() bool {
	if p.output < 0 {
		return false
	}
	buf := make([]byte, 1<<16)
	n, err := unix.Read(p.output, buf)
	if err != nil {
		return false
	}
	if n == 0 {
		p.flushLine()
		closeAll([]int{p.output})
		p.output = -1
		return false
	}
	p.line = append(p.line, buf[:n]...)
	for {
		at := bytes.IndexByte(p.line, '\n')
		if at < 0 {
			if len(p.line) > maxLine {
				cut := bytes.LastIndexByte(p.line, p.mark[0])
				if cut < len(p.line)-maxMark {
					cut = len(p.line)
				}
				p.print(p.line[:cut])
				p.line = p.line[cut:]
			}
			return true
		}
		p.take(p.line[:at])
		p.line = p.line[at+1:]
	}
}

// take passes on a whole line. Where it ends with a mark, what is printed from now on is the next chunk's.
func (p *process) take(line []byte) {
	if at := bytes.LastIndex(line, p.mark); at >= 0 {
		if place, err := strconv.Atoi(string(line[at+len(p.mark):])); err == nil && place >= 0 && p.began != nil {
			if at > 0 {
				p.print(line[:at])
			}
			p.began(place)
			return
		}
	}
	p.print(bytes.TrimSuffix(line, []byte("\r")))
}

func (p *process) print(line []byte) { p.log(strings.ToValidUTF8(string(line), "�")) }

// flushLine passes on a line without an end.
func (p *process) flushLine() {
	if len(p.line) > 0 {
		p.print(p.line)
		p.line = nil
	}
}
