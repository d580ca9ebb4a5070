package local

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func TestProcessesHaveTimersThatExpireTogether(t *testing.T) {
	s := newSpawner()
	defer s.close()
	var out bytes.Buffer
	cmd := exec.Command("cat", "/proc/self/timerslack_ns")
	cmd.Stdout = &out
	if err := s.start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out.String()); got != "1000000" {
		t.Errorf("the timers of a process may be %s ns late", got)
	}
}
