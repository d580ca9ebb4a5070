package e2e

import "golang.org/x/sys/unix"

// noLimit lets files grow.
const noLimit = unix.RLIM_INFINITY

// limitFiles lets no process of a list write more bytes than that into one file: for it, the disk is full.
func limitFiles(pids []int, most uint64) {
	for _, pid := range pids {
		_ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}, nil) // it may have ended
	}
}
