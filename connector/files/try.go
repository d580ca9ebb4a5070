package files

import (
	"context"
	"fmt"
	"os"

	"github.com/droverdata/drover/connector"
)

// trial implements connector.Trial: rows are written to files in the scratch directory, which are removed at once. A spool holds the rows of the
// final files, so it is tried like them.
type trial struct{ *sink }

// Try implements connector.Trier.
func (s *sink) Try(context.Context, connector.Run) (connector.Trial, error) { return trial{s}, nil }

// Rows implements connector.Trial.
func (t trial) Rows(ctx context.Context, in connector.Input, chunks int) error {
	scratch, err := os.MkdirTemp(t.env.TempDir, "trial-")
	if err != nil {
		return fmt.Errorf("create a scratch directory: %w", err)
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // the next run sweeps it
	_, _, err = t.write(ctx, in, chunks, scratch)
	return t.copyError(err, scratch)
}

// Close implements connector.Trial. The sink is its owner's.
func (trial) Close() error { return nil }
