package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/droverdata/drover"
)

func TestAFullDiskIsToldFromOtherFailures(t *testing.T) {
	for _, c := range []struct {
		err    error
		folder string
	}{
		{&fs.PathError{Op: "write", Path: "/data/out/f.parquet", Err: syscall.ENOSPC}, "of /data/out is full"},
		{fmt.Errorf("stage: %w", &os.LinkError{Op: "rename", Old: "/data/a", New: "/other/b", Err: syscall.EDQUOT}), "of /other is full"},
		{drover.Errorf(drover.Unreachable, "write Parquet files: %w", os.NewSyscallError("writev", syscall.EFBIG)), "the disk is full: write Parquet"},
	} {
		e := Full(c.err)
		if e == nil || e.Kind != drover.Disk || !strings.Contains(e.Message, c.folder) || !strings.Contains(e.Message, c.err.Error()) || e.Hint == "" || !errors.Is(e, c.err) {
			t.Errorf("%v: %#v", c.err, e)
		}
	}
	for _, err := range []error{nil, errors.New("no space left on device"), &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}} {
		if e := Full(err); e != nil {
			t.Errorf("%v: %v", err, e)
		}
	}
}
