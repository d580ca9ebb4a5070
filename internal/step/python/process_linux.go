package python

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	closeOnExec = unix.MSG_CMSG_CLOEXEC
	noSignal    = unix.MSG_NOSIGNAL
)

// attributes has the kernel end the child with its worker. It stays in the worker's process group, which the driver ends as a whole: so what
// the function has started ends with it, too.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// kill ends the process and all its descendants. They are stopped first, so that none starts another meanwhile.
func (p *process) kill() {
	if p.over.Load() {
		return
	}
	tree := []int{p.cmd.Process.Pid}
	_ = p.cmd.Process.Signal(syscall.SIGSTOP) // it may just have ended
	for i := 0; i < len(tree); i++ {
		for _, child := range children(tree[i]) {
			_ = syscall.Kill(child, syscall.SIGSTOP)
			tree = append(tree, child)
		}
	}
	for _, pid := range tree[1:] {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = p.cmd.Process.Kill()
}

// children lists the processes whose parent is given (proc(5), stat).
func children(parent int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if fields := status(pid); len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stopped says whether a signal has stopped the process (proc(5), stat: T).
func (p *process) stopped() bool {
	fields := status(p.cmd.Process.Pid)
	return len(fields) > 0 && string(fields[0]) == "T"
}

// status returns the fields of a process's stat from its state on; nil where there is no such process.
func status(pid int) [][]byte {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	// The name is in parentheses and may hold anything.
	return bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
}

// private returns the bytes of a process's memory that are its own (proc(5), statm).
func private(pid int) (int64, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(data)
	if len(fields) < 3 {
		return 0, false
	}
	all, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0, false
	}
	shared, err := strconv.ParseInt(string(fields[2]), 10, 64)
	return (all - shared) * int64(os.Getpagesize()), err == nil
}
