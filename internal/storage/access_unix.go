//go:build unix

package storage

import (
	"context"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Writable implements Store.
func (Local) Writable(_ context.Context, dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}
