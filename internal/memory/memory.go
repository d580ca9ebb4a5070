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

// Default returns the default budget in bytes: 70 % of the cgroup's limit (v1 or v2, and of those above it) or of the machine's memory,
// whichever is less.
func Default() (int64, error) { return shareOf(memlimit.FromCgroup, memlimit.FromSystem) }

// shareOf is Default for what is told about cgroup and machine. A machine without cgroups, or without a limit in them, is an error of cgroup.
func shareOf(cgroup, machine func() (uint64, error)) (int64, error) {
	limit, err := machine()
	if c, cgroupErr := cgroup(); cgroupErr == nil && c > 0 && (err != nil || c < limit) {
		limit, err = c, nil
	}
	if err != nil {
		return 0, fmt.Errorf("find out the memory of this machine: %w", err)
	}
	return int64(float64(limit) * defaultShare), nil
}

// Used returns the memory of this process in bytes: its Pss, which counts a page shared by n processes as 1/n, where the system
// tells it (Linux), else the largest resident set so far.
func Used() int64 {
	if n, ok := readPss(self); ok {
		return n
	}
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return ru.Maxrss * 1024
}

// self is the folder of this process in proc(5).
const self = "/proc/self"

// readPss returns the Pss of a process by its folder in proc(5).
func readPss(process string) (int64, bool) {
	data, err := os.ReadFile(process + "/smaps_rollup")
	if err != nil {
		return 0, false
	}
	return pss(data)
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
