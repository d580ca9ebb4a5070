package python

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newMemory returns fresh memory without a name, as a file.
func newMemory() (*os.File, error) {
	fd, err := unix.MemfdCreate("drover-chunk", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	return os.NewFile(uintptr(fd), "drover-chunk"), nil
}
