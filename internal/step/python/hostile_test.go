package python

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverdata/drover"
)

// Whatever a function prints, however and wherever, is a line of the log with its chunk's name, and the answer arrives.
func TestNothingThatAFunctionPrintsBreaksTheProtocol(t *testing.T) {
	for name, code := range map[string]string{
		"print":            `print("x")`,
		"without newline":  `print("x", end="")`,
		"standard error":   `sys.stderr.write("x\n")`,
		"descriptor 1":     `os.write(1, b"x\n")`,
		"a subprocess":     `subprocess.run(["echo", "x"])`,
		"a C library":      `ctypes.CDLL(None).puts(b"x"); ctypes.CDLL(None).fflush(None)`,
		"bytes":            `os.write(1, bytes(range(128, 256)) + b"\nx\n")`,
		"a lone surrogate": `print("\udcff"); print("x")`,
		"a flood":          `[print("y" * 1000) for _ in range(5000)]; print("x")`,
		"a long line":      `print("y" * 1_000_000); print("x")`,
		"closed stdout":    `print("x"); sys.stdout.close()`,
		"closed 1 and 2":   `print("x", flush=True); os.close(1); os.close(2)`,
		"closed 3":         `print("x"); os.open("/dev/null", 0); os.closerange(3, 50)`,
		"reading stdin":    `print("x" if sys.stdin.read() == "" else "y")`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, l := start(t, "import ctypes, os, subprocess, sys\ndef clean(df: \"pyarrow.Table\"):\n    "+code+"\n    return df\n", withPeople)
			got, err := call(t, c, "zip 1", rowsOf(t, people, ada))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got, "Ada") {
				t.Errorf("got %s", got)
			}
			if !strings.HasSuffix(l.text(), "zip 1: x") {
				t.Errorf("the log ends with %q", l.text()[max(0, len(l.text())-100):])
			}
		})
	}
}

func kindAndText(err error) string {
	var e *drover.Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%s: %s | %s", e.Kind, e.Message, e.Hint)
}

// After whatever has happened in one call, the next is answered.
func TestAFailureIsToldAndTheNextCallIsAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		code string
		want []string
	}{
		"an exception": {
			`{}["revenue"]`,
			[]string{"data: clean.py:clean raised KeyError: 'revenue'\n  clean.py:6 in clean: {}[\"revenue\"] |"},
		},
		"sys.exit":           {`sys.exit(3)`, []string{"data: clean.py:clean called sys.exit(3)", "clean.py:6"}},
		"an interrupt":       {`raise KeyboardInterrupt()`, []string{"data: clean.py:clean raised KeyboardInterrupt"}},
		"a broken exception": {`class E(Exception): __str__ = None` + "\n        raise E()", []string{"data: clean.py:clean raised E: <its text cannot be had"}},
		"deep recursion":     {`f = lambda: f()` + "\n        f()", []string{"data: clean.py:clean raised RecursionError"}},
		"no memory":          {`bytearray(1 << 60)`, []string{"overrun: clean.py:clean raised MemoryError"}},
		"os._exit":           {`os._exit(3)`, []string{"lost: clean.py:clean: the Python process died (exit status 3)"}},
		"a null pointer":     {`ctypes.string_at(0)`, []string{"lost: clean.py:clean: the Python process died (signal: segmentation fault"}},
		"a kill":             {`os.kill(os.getpid(), 9)`, []string{"lost: clean.py:clean: the Python process died (signal: killed"}},
		"an abort":           {`os.abort()`, []string{"lost: clean.py:clean: the Python process died (signal: aborted"}},
		"closed connection":  {`os.closerange(3, 10000)`, []string{"lost: clean.py:clean: the Python process"}},
		"a crash with a child that stays": {
			`subprocess.Popen(["sleep", "1000"], close_fds=False); os._exit(4)`,
			[]string{"lost: clean.py:clean: the Python process died (exit status 4)"},
		},
		"a crash with a fork that stays": {
			`os.fork() or time.sleep(1000); os._exit(4)`, []string{"lost: clean.py:clean: the Python process died (exit status 4)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			child, l := start(t, "import ctypes, os, subprocess, sys, time\ndef clean(df: \"pyarrow.Table\", chunk):\n    if chunk.key == \"good\":\n        return df\n    if True:\n        "+c.code+"\n    return df\n", withPeople)
			_, err := call(t, child, "bad", rowsOf(t, people, ada))
			for _, want := range c.want {
				if !strings.Contains(kindAndText(err), want) {
					t.Errorf("got %s, want %s", kindAndText(err), want)
				}
			}
			got, err := call(t, child, "good", rowsOf(t, people, ada))
			if err != nil || !strings.Contains(got, "Ada") {
				t.Errorf("got %s, %v; printed %s", got, err, l.text())
			}
		})
	}
}

// alive says whether a process runs; one that waits to be waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	fields := strings.Fields(string(stat)[strings.LastIndex(string(stat), ")")+1:])
	return fields[0] != "Z" && fields[0] != "X"
}

func waitForEnd(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		for deadline := time.Now().Add(20 * time.Second); alive(pid); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is still there", pid)
			}
		}
	}
}

const hang = `
import os, subprocess, time
def clean(df: "pyarrow.Table", chunk):
    if chunk.key == "good":
        return df
    p = subprocess.Popen(["sleep", "1000"])
    f = os.fork()
    if f == 0:
        time.sleep(1000)
    print(os.getpid(), p.pid, f, flush=True)
    while True:
        pass
`

// A hang ends with its deadline, and everything that the function has started ends with it.
func TestAHangEndsAtItsDeadlineWithAllThatItStarted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var pids []int
	c, _ := start(t, hang, func(o *Options) {
		withPeople(o)
		o.Log = func(_, line string) {
			for _, f := range strings.Fields(line) {
				pid, err := strconv.Atoi(f)
				if err != nil {
					t.Errorf("printed %s", line)
				}
				pids = append(pids, pid)
			}
			cancel(nil)
		}
	})
	_, err := callWith(t, ctx, c, "bad", rowsOf(t, people, ada))
	if drover.KindOf(err) != drover.Interrupted || len(pids) != 3 {
		t.Errorf("got %v, pids %v", err, pids)
	}
	waitForEnd(t, pids...)
	if c.PID() != 0 {
		t.Errorf("PID %d", c.PID())
	}
	if got, err := call(t, c, "good", rowsOf(t, people, ada)); err != nil || !strings.Contains(got, "Ada") {
		t.Errorf("got %s, %v", got, err)
	}
	short, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	_, err = callWith(t, short, c, "bad", rowsOf(t, people, ada))
	if drover.KindOf(err) != drover.Lost || !strings.Contains(err.Error(), "did not return within") {
		t.Errorf("got %v", err)
	}
}

// childVariable makes the test binary call a function that hangs.
const childVariable = "PYTHON_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		c := Start(Options{
			Interpreter: os.Getenv(childVariable + "_BIN"), Dir: dir, Spec: Spec{Function: "clean.py:clean"}, Input: people, Output: people,
			Log: func(_, line string) { fmt.Println(line) },
		})
		_, err := callWith(&testing.T{}, context.Background(), c, "bad", rowsOf(&testing.T{}, people, ada))
		panic(err)
	}
	os.Exit(m.Run())
}

// The child, and what it forked, end with the worker, however that ends.
func TestTheChildEndsWithItsWorker(t *testing.T) {
	c, _ := start(t, hang, nil)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+c.options.Dir, childVariable+"_BIN="+c.options.Interpreter)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var python, subprocess, fork int
	if _, err := fmt.Fscan(out, &python, &subprocess, &fork); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	waitForEnd(t, python, fork)
	// What else it has started is in the worker's process group, which the engine ends.
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitForEnd(t, subprocess)
}
