package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// tellTime makes the test binary print its clock and end.
const tellTime = "DROVER_E2E_TELL_TIME"

// skew is the library that shifts clocks, compiled with the compiler that drover is built with.
//
//nolint:gochecknoglobals // compiled once for all tests
var skew struct {
	sync.Mutex
	path string
}

// skewed is the environment of a process whose clock is wrong.
func skewed(t *testing.T, by time.Duration) []string {
	t.Helper()
	skew.Lock()
	defer skew.Unlock()
	if skew.path == "" {
		path := filepath.Join(filepath.Dir(binary), "skew.so")
		cc, err := exec.Command("go", "env", "CC").Output()
		if err != nil {
			t.Fatal(err)
		}
		words := append(strings.Fields(string(cc)), "-shared", "-fPIC", "-O2", "-fno-stack-protector", "-o", path, filepath.Join("testdata", "skew.c"))
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("compile the clock's library: %v\n%s", err, out)
		}
		skew.path = path
	}
	return []string{"LD_PRELOAD=" + skew.path, "SKEW_SECONDS=" + strconv.Itoa(int(by.Seconds()))}
}

// TestTheClockOfAMachineCanBeWrong: without it, rounds with a wrong clock would prove nothing.
func TestTheClockOfAMachineCanBeWrong(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), append(skewed(t, by), tellTime+"=1")...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		told := time.Unix(int64(number(t, "the clock", strings.TrimSpace(string(out)))), 0)
		if off := time.Until(told) - by; off.Abs() > 10*time.Minute {
			t.Errorf("a clock that is to be %s ahead is off by %s", by, off)
		}
	}
}
