package files

import (
	"context"
	"fmt"
	"os"

	"github.com/droverdata/drover/connector"
)

// Rehearse implements connector.Rehearser: the files are made in the scratch directory and removed.
func (s *sink) Rehearse(ctx context.Context, in connector.Input) (bytes int64, err error) {
	scratch, err := os.MkdirTemp(s.env.TempDir, "rehearsal-")
	if err != nil {
		return 0, fmt.Errorf("create a scratch directory: %w", err)
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // the next run sweeps it
	_, done, err := s.write(ctx, in, 1, scratch)
	if err != nil {
		return 0, s.copyError(err, scratch)
	}
	for _, f := range done {
		info, err := os.Stat(f.path)
		if err != nil {
			return 0, fmt.Errorf("look at what was written: %w", err)
		}
		bytes += info.Size()
	}
	return bytes, nil
}
