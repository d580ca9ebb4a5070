//go:build unix

package storage

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// umask reads the process's umask without changing it, which would race with other goroutines; where it cannot be read it is the usual one.
func umask() fs.FileMode {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0o022
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "Umask:"); ok {
			if m, err := strconv.ParseUint(strings.TrimSpace(rest), 8, 32); err == nil {
				return fs.FileMode(m)
			}
		}
	}
	return 0o022
}
