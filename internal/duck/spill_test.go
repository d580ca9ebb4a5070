package duck

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/droverdata/drover"
)

// smallFiles makes the test binary a process that may not write large files: the limit would hold for all tests.
const smallFiles = "DROVER_TEST_SMALL_FILES"

// TestAFullScratchDiskIsTheMachinesFault: neither the data's nor the memory's.
func TestAFullScratchDiskIsTheMachinesFault(t *testing.T) {
	if os.Getenv(smallFiles) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), smallFiles+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Memory: 40 << 20, TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Exec(t.Context(), "CREATE TABLE t AS SELECT md5(range::VARCHAR) AS a FROM range(3000000) ORDER BY a")
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Disk || !strings.Contains(e.Message, dir) || e.Hint == "" {
		t.Fatalf("got %#v", e)
	}
	if err := s.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("the session afterwards: %v", err)
	}
}
