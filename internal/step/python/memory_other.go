//go:build !linux

package python

import (
	"errors"
	"fmt"
	"os"
)

// newMemory returns a fresh file without a name.
func newMemory() (*os.File, error) {
	f, err := os.CreateTemp("", "drover-chunk-")
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("make shared memory: %w", errors.Join(err, f.Close()))
	}
	return f, nil
}
