package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/droverdata/drover"
)

// forsaken is for how long nothing was written in a scratch directory of another place until it is taken for one that a dead machine has left.
const forsaken = 7 * 24 * time.Hour

// Scratch names a scratch directory of this process: WHAT-PLACE-PID-N, in a folder that machines may share.
func Scratch(what string, n int) string {
	return fmt.Sprintf("%s-%s-%d-%d", what, Place(), os.Getpid(), n)
}

// Sweep removes the scratch directories of drivers and workers whose process is no more. Of another machine or container whose folder this is too nobody
// knows: what it has written to within a week stays.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return drover.Errorf(drover.Refused, "read the scratch directory: %w", err)
	}
	for _, entry := range entries {
		parts := strings.Split(entry.Name(), "-")
		if len(parts) != 4 || parts[0] != "worker" && parts[0] != "driver" {
			continue
		}
		pid, err := strconv.Atoi(parts[2])
		path := filepath.Join(dir, entry.Name())
		here := parts[1] != "" && parts[1] == Place()
		if err != nil || !Gone(parts[1], pid) && (here || time.Since(written(path)) < forsaken) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return drover.Errorf(drover.Refused, "clean the scratch directory: %w", err)
		}
	}
	return nil
}

// written is when something at or below path was last written; now where that cannot be told.
func written(path string) time.Time {
	var last time.Time
	err := filepath.Walk(path, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return err
	})
	if err != nil {
		return time.Now() // somebody is at work in it
	}
	return last
}
