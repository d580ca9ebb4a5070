package parquet

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeBack has the kernel begin to write a file to the disk: whoever syncs it later waits the less. It is a hint, which some file systems do not take.
func writeBack(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}
