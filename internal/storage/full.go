package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/droverdata/drover"
)

// Full describes an error that a disk without room caused, or a limit on files (a quota, ulimit -f); nil for any other.
func Full(err error) *drover.Error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) && !errors.Is(err, syscall.EFBIG) {
		return nil
	}
	what, there := "the disk is full", "on it"
	if folder := folderOf(err); folder != "" {
		what, there = "the disk of "+folder+" is full", "there"
	}
	return drover.Errorf(drover.Disk, "%s: %w", what, err).WithHint("make room %s; the same command goes on where this one stopped", there)
}

// folderOf is the folder of the file at fault, where the system says so.
func folderOf(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return filepath.Dir(path.Path)
	}
	if link := (*os.LinkError)(nil); errors.As(err, &link) {
		return filepath.Dir(link.New)
	}
	return ""
}
