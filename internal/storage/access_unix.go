//go:build unix

package storage

import (
	"context"
	"io/fs"
	"math"

	"golang.org/x/sys/unix"
)

// Writable implements Store.
func (Local) Writable(_ context.Context, dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}

// OpenFiles returns how many files this process may hold open.
func OpenFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}
