package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/protocol"
)

// TestMain makes this binary a worker whose tasks say in their job's name what happens to it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "scripted-worker" {
		scriptedWorker()
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "doomed-driver" {
		doomedDriver()
		return
	}
	os.Exit(m.Run())
}

func scriptedWorker() {
	dec, enc := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	for {
		var task protocol.Task
		if err := dec.Decode(&task); err != nil {
			return
		}
		switch task.Run.Job {
		case "crash":
			_, _ = os.Stderr.WriteString("native code hit a wall\n")
			_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		case "overrun":
			_ = enc.Encode(protocol.Message{Overrun: &protocol.Overrun{Used: 300 << 20, Allowed: task.Memory}})
			os.Exit(protocol.ExitOverrun)
		case "leave":
			os.Exit(3)
		case "hang":
			time.Sleep(time.Hour)
		case "stop":
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			time.Sleep(time.Hour) // the stop may come a little later
		case "linger": // at work, with nothing to show
			for range 80 {
				_ = enc.Encode(protocol.Message{Progress: &protocol.Progress{}})
				time.Sleep(10 * time.Millisecond)
			}
		case "babble":
			_, _ = os.Stdout.WriteString("this is not JSON\n")
		}
		_ = enc.Encode(protocol.Message{Warning: "a warning"})
		_ = enc.Encode(protocol.Message{Progress: &protocol.Progress{RowsIn: 7}})
		_ = enc.Encode(protocol.Message{Result: &protocol.Result{
			Receipts: []connector.Receipt{{ChunkID: int64(os.Getpid()), RowsIn: task.Memory}},
		}})
	}
}

// doomedDriver starts a worker that hangs, prints its PID and is killed by the test.
func doomedDriver() {
	e, err := New(Options{Command: []string{os.Args[0], "scripted-worker"}, Workers: 1, TempDir: os.Args[2], Own: memory.Driving, Aside: protocol.Aside{Warn: func(string) {}}})
	if err != nil {
		panic(err)
	}
	p, err := e.take(false)
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(strconv.Itoa(p.cmd.Process.Pid) + "\n")
	_, _ = p.execute(context.Background(), protocol.Task{Run: connector.Run{Job: "hang"}}, func(protocol.Progress) {}, e.opt)
}

func newEngine(t *testing.T, workers int) (*Engine, *[]string) {
	t.Helper()
	var mu sync.Mutex
	warnings := &[]string{}
	e, err := New(Options{
		Command: []string{os.Args[0], "scripted-worker"}, Workers: workers, Memory: int64(workers) * comfortable, TempDir: filepath.Join(t.TempDir(), "tmp"),
		Own: func() int64 { return 0 }, Aside: protocol.Aside{Warn: func(s string) { mu.Lock(); defer mu.Unlock(); *warnings = append(*warnings, s) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(e.opt.TempDir); err != nil || len(left) > 0 {
			t.Errorf("scratch directories left behind: %v, %v", left, err)
		}
	})
	return e, warnings
}

func execute(ctx context.Context, e *Engine, job string) (protocol.Result, error) {
	return e.Execute(ctx, protocol.Task{Run: connector.Run{Job: job}}, func(protocol.Progress) {})
}

func TestAWorkerServesManyTasks(t *testing.T) {
	e, warnings := newEngine(t, 2)
	pids := map[int64]bool{}
	for range 5 {
		var progress int64
		r, err := e.Execute(t.Context(), protocol.Task{}, func(p protocol.Progress) { progress = p.RowsIn })
		if err != nil {
			t.Fatal(err)
		}
		if progress != 7 || r.Receipts[0].RowsIn != comfortable {
			t.Fatalf("progress %d, share of memory %d", progress, r.Receipts[0].RowsIn)
		}
		pids[r.Receipts[0].ChunkID] = true
	}
	if len(pids) != 1 || len(*warnings) != 5 {
		t.Fatalf("%d workers for five tasks in a row, %d warnings", len(pids), len(*warnings))
	}
}

func TestADeadWorkerCostsOneAttempt(t *testing.T) {
	for job, want := range map[string]string{"crash": "native code hit a wall", "leave": "exit status 3", "babble": "invalid character"} {
		t.Run(job, func(t *testing.T) {
			e, _ := newEngine(t, 1)
			_, err := execute(t.Context(), e, job)
			if drover.KindOf(err) != drover.Lost || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v", err)
			}
			if _, err := execute(t.Context(), e, "next"); err != nil {
				t.Fatalf("the next task: %v", err)
			}
		})
	}
}

// TestAStoppedWorkerIsReplaced: its driver lives, and would renew the lease of its chunks for ever.
func TestAStoppedWorkerIsReplaced(t *testing.T) {
	e, _ := newEngine(t, 1)
	do := func(job string, silence time.Duration) (protocol.Result, error) {
		e.opt.Silence = silence // 0 where a worker may have to start, which takes what it takes
		return execute(t.Context(), e, job)
	}
	first, err := do("next", 0)
	if err != nil {
		t.Fatal(err)
	}
	const silence = 500 * time.Millisecond
	if _, err := do("linger", silence); err != nil {
		t.Fatalf("a worker that has nothing to show: %v", err)
	}
	if _, err := do("stop", silence); drover.KindOf(err) != drover.Lost || !strings.Contains(err.Error(), "said nothing for 500ms") {
		t.Fatalf("got %v", err)
	}
	second, err := do("next", 0)
	if err != nil || second.Receipts[0].ChunkID == first.Receipts[0].ChunkID {
		t.Fatalf("the next task: %v, by worker %d after %d", err, second.Receipts[0].ChunkID, first.Receipts[0].ChunkID)
	}
	// One that is stopped between two tasks does not even read the next one, which may be larger than the pipe.
	if err := syscall.Kill(int(second.Receipts[0].ChunkID), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := do(strings.Repeat("long ", 1<<16), silence); drover.KindOf(err) != drover.Lost {
		t.Fatalf("got %v", err)
	}
	if _, err := do("next", 0); err != nil {
		t.Fatalf("the task after that: %v", err)
	}
}

func TestAnOverrunSaysWhatItHadAndWhatWasAllowed(t *testing.T) {
	e, _ := newEngine(t, 1)
	r, err := execute(t.Context(), e, "overrun")
	if drover.KindOf(err) != drover.Overrun || !strings.Contains(err.Error(), "300 MiB") || !strings.Contains(err.Error(), "192 MiB") || r.Granted != comfortable {
		t.Fatalf("got %+v, %v", r, err)
	}
	if _, err := execute(t.Context(), e, "next"); err != nil {
		t.Fatal(err)
	}
}

// TestALargerShareIsTakenFromOtherWorkers: an attempt that asks for all memory runs alone.
func TestALargerShareIsTakenFromOtherWorkers(t *testing.T) {
	e, _ := newEngine(t, 2)
	if _, err := execute(t.Context(), e, "next"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hung := make(chan struct{})
	go func() {
		defer close(hung)
		_, _ = execute(ctx, e, "hang")
	}()
	for e.room.TryAcquire(2 * comfortable) { // until the other attempt has its share
		e.room.Release(2 * comfortable)
		time.Sleep(time.Millisecond)
	}
	large := make(chan protocol.Result)
	go func() {
		r, err := e.Execute(t.Context(), protocol.Task{Memory: 1 << 40}, func(protocol.Progress) {})
		if err != nil {
			t.Error(err)
		}
		large <- r
	}()
	select {
	case <-large:
		t.Error("it ran beside another attempt")
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	<-hung
	if r := <-large; r.Granted != 2*comfortable {
		t.Errorf("it was granted %d", r.Granted)
	}
	if e.live != 0 {
		t.Errorf("%d workers live on", e.live)
	}
}

func TestTheNumberOfWorkersFollowsTheMeasuredPeaks(t *testing.T) {
	learn := func(s *sizer, peak int64) {
		s.learn(protocol.Result{Receipts: []connector.Receipt{{PeakMemory: peak}}}, false)
	}
	s := newSizer(4*comfortable, 8)
	if s.slots != 4 {
		t.Fatalf("it begins with %d", s.slots)
	}
	for range 4 {
		learn(&s, comfortable/2)
	}
	if s.slots != 6 {
		t.Fatalf("tasks that take half, and a quarter of that as slack: %d workers", s.slots)
	}
	s.learn(protocol.Result{}, true)
	for range 9 {
		learn(&s, 1<<20)
	}
	if s.slots != 4 {
		t.Fatalf("after an overrun: %d workers", s.slots)
	}
	if s := newSizer(comfortable/2, 8); s.slots != 1 || s.share() != comfortable/2 {
		t.Fatalf("a small budget: %+v", s)
	}
	s = newSizer(4*comfortable, 2)
	for range 9 {
		learn(&s, 1<<20)
	}
	if s.slots != 2 {
		t.Fatalf("more than --workers: %d", s.slots)
	}
}

// TestTheDriversOwnMemoryCounts: what it needs above its part is not the workers' any more.
func TestTheDriversOwnMemoryCounts(t *testing.T) {
	s := newSizer(4*comfortable, 4)
	s.driver(memory.Driver - 1)
	if s.share() != comfortable {
		t.Errorf("a driver within its part: shares of %d MiB", s.share()>>20)
	}
	s.driver(memory.Driver + 2*comfortable)
	if s.slots != 4 || s.share() != comfortable/2 {
		t.Errorf("it needs half of the budget: %d workers with %d MiB", s.slots, s.share()>>20)
	}
	s.driver(1 << 40)
	if s.slots != 1 || s.share() != memory.Least {
		t.Errorf("it needs everything: %d workers with %d MiB", s.slots, s.share()>>20)
	}
	s.driver(0)
	if s.slots != 4 || s.share() != comfortable {
		t.Errorf("it needs nothing any more: %d workers with %d MiB", s.slots, s.share()>>20)
	}
}

func TestCancelKillsTheAttempt(t *testing.T) {
	e, _ := newEngine(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := execute(ctx, e, "hang"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if _, err := execute(t.Context(), e, "next"); err != nil {
		t.Fatal(err)
	}
}

func TestAWorkerThatIsCancelledAsItAnswersIsNotUsedAgain(t *testing.T) {
	e, _ := newEngine(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	_, _ = e.Execute(ctx, protocol.Task{}, func(protocol.Progress) {
		cancel()
		time.Sleep(50 * time.Millisecond) // the answer is in the pipe by now, and the worker dead
	})
	if _, err := execute(t.Context(), e, "next"); err != nil {
		t.Fatal(err)
	}
}

func TestWorkersDieWithTheirDriver(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "doomed-driver", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for range 100 {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) {
			if _, err := New(Options{TempDir: dir, Command: []string{"x"}, Workers: 1}); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Fatalf("the next engine did not sweep %v, %v", left, err)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the worker outlived its driver")
}

// zombie reports whether the process is dead and only not waited for: nobody may reap in a container without an init.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}
