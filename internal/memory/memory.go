// Package memory knows how much memory there is and how much a process uses.
package memory

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// defaultShare is the part of the machine, or of its cgroup, that a run may use when the user names no budget.
const defaultShare = 0.7

// Default returns the default budget in bytes: 70 % of the cgroup's limit, else of the machine's memory.
func Default() (int64, error) {
	limit, err := memlimit.FromCgroup()
	if err != nil || limit == 0 || limit >= 1<<62 {
		limit, err = memlimit.FromSystem()
	}
	if err != nil {
		return 0, fmt.Errorf("find out the memory of this machine: %w", err)
	}
	return int64(float64(limit) * defaultShare), nil
}

// Used returns the memory of this process in bytes: its Pss, which counts a page shared by n processes as 1/n, where the system
// tells it (Linux), else the largest resident set so far.
func Used() int64 {
	if data, err := os.ReadFile("/proc/self/smaps_rollup"); err == nil {
		if n, ok := pss(data); ok {
			return n
		}
	}
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return ru.Maxrss * 1024
}

// pss finds the line "Pss: 123 kB" of a smaps_rollup.
func pss(data []byte) (int64, bool) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) == 3 && string(fields[0]) == "Pss:" {
			kb, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kb * 1024, err == nil
		}
	}
	return 0, false
}
