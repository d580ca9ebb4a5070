package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/protocol"
)

// endGrace is how long a worker may take to end by itself once its input is closed.
const endGrace = 5 * time.Second

// process is one worker process. One attempt uses it at a time.
type process struct {
	cmd    *exec.Cmd
	dir    string
	in     io.WriteCloser
	out    *json.Decoder
	stderr *tail
	waited sync.Once
}

// startProcess starts a worker that runs Go on so many cores at once, which are its share of the machine's: with more than that, the workers' schedulers
// are in each other's way.
func startProcess(s *spawner, command []string, dir string, cores int) (*process, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, drover.Errorf(drover.Refused, "create a worker's scratch directory: %w", err)
	}
	p := &process{dir: dir, stderr: &tail{}}
	args := append(append([]string(nil), command[1:]...), dir)
	p.cmd = exec.Command(command[0], args...)
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(cores))
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = ownGroup()
	var out io.ReadCloser
	var err error
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		out, err = p.cmd.StdoutPipe()
	}
	if err == nil {
		err = s.start(p.cmd)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, drover.Errorf(drover.Refused, "start a worker: %w", err)
	}
	p.out = json.NewDecoder(bufio.NewReaderSize(out, 1<<16))
	return p, nil
}

// execute sends one task and reads until its result. Any error means that the process is of no more use.
func (p *process) execute(ctx context.Context, task protocol.Task, progress func(protocol.Progress), o Options) (_ protocol.Result, err error) {
	stop := context.AfterFunc(ctx, func() { p.signal(syscall.SIGKILL) })
	defer stop()
	ear := p.listen(o.Silence)
	defer func() {
		if ear.close() && err != nil {
			err = drover.Errorf(drover.Lost, "the worker said nothing for %s and was killed: something stopped it, or the machine has no time for it", o.Silence).
				WithHint("it costs one attempt; if the machine is overloaded, use fewer --workers, or a longer --lease")
		}
	}()
	if err := json.NewEncoder(p.in).Encode(task); err != nil {
		return protocol.Result{}, p.lost(err)
	}
	var overrun *protocol.Overrun
	for {
		var m protocol.Message
		if err := p.out.Decode(&m); err != nil {
			e := p.lost(err)
			if p.cmd.ProcessState != nil && p.cmd.ProcessState.ExitCode() == protocol.ExitOverrun {
				e = overran(task.Memory, overrun)
			}
			return protocol.Result{}, e
		}
		ear.hear()
		switch {
		case m.Result != nil:
			return *m.Result, nil
		case m.Progress != nil:
			progress(*m.Progress)
		case m.Overrun != nil:
			overrun = m.Overrun
		case m.Warning != "":
			o.Aside.Warn(m.Warning)
		case m.Printed != nil:
			o.Aside.Printed(*m.Printed)
		}
	}
}

// overran describes the end of a worker whose task passed its share. What it used is not known if there was no time to say it.
func overran(share int64, o *protocol.Overrun) error {
	e := drover.Errorf(drover.Overrun, "the task passed its share of memory, %d MiB, and was ended", share>>20)
	if o != nil {
		e.Message = fmt.Sprintf("the task used %d MiB of memory, which passed its share of %d MiB, and was ended", o.Used>>20, o.Allowed>>20)
	}
	return e.WithHint("give more --memory, fewer --workers, or smaller chunks")
}

// lost describes the death of the process.
func (p *process) lost(cause error) error {
	e := drover.Errorf(drover.Lost, "the worker's answer cannot be read: %w", cause)
	var syntax *json.SyntaxError
	if !errors.As(cause, &syntax) {
		// It is gone, or about to go: its own exit status says more than our kill.
		timer := time.AfterFunc(time.Second, func() { p.signal(syscall.SIGKILL) })
		p.wait()
		timer.Stop()
		e.Message = fmt.Sprintf("the worker died (%s)", p.cmd.ProcessState)
	}
	if why := p.stderr.firstLine(); why != "" {
		e.Message += ": " + why
	}
	return e.WithHint("a crash or a kill costs one attempt; if it is the kernel's out-of-memory killer, use fewer --workers or a smaller --memory")
}

// end closes the worker's input and waits for it to leave; one that does not is killed.
func (p *process) end() error {
	_ = p.in.Close()
	timer := time.AfterFunc(endGrace, func() { p.signal(syscall.SIGKILL) })
	defer timer.Stop()
	p.wait()
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("remove a worker's scratch directory: %w", err)
	}
	return nil
}

// kill ends the worker at once, with everything that it started.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.wait()
	_ = os.RemoveAll(p.dir) // the next run sweeps what could not be removed
}

func (p *process) wait() {
	p.waited.Do(func() {
		_ = p.in.Close()
		_ = p.cmd.Wait() // ProcessState says how it ended
	})
}

// signal reaches the worker's whole process group.
func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, sig) }

// tail keeps the beginning of what a worker says on its standard error: a crash says why first.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := tailBytes - len(t.text); room > 0 {
		t.text = append(t.text, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

// firstLine returns the first line that says something.
func (t *tail) firstLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(string(t.text)) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}
