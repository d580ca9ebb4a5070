package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
)

// onlyKeys are --only's keys without the column that may stand before them ("zip_code=10016").
func (r *runner) onlyKeys() []string {
	keys := make([]string, len(r.o.Only))
	for i, k := range r.o.Only {
		keys[i] = strings.TrimPrefix(k, r.o.Job.Frame.Chunk.By+"=")
	}
	return keys
}

// checkOnly refuses keys that no chunk has.
func (r *runner) checkOnly(ctx context.Context) error {
	missing := map[string]bool{}
	for _, k := range r.onlyKeys() {
		missing[k] = true
	}
	if len(missing) == 0 {
		return nil
	}
	for c, err := range r.ledger.Chunks(ctx, r.run.UID) {
		if err != nil {
			return fmt.Errorf("read the run's chunks: %w", err)
		}
		delete(missing, c.Key)
	}
	for k := range missing {
		return drover.Errorf(drover.Invalid, "--only %s: no chunk of run %s has this key", k, r.run.ID).
			WithHint("drover status %s shows the keys of the run's chunks", r.run.ID)
	}
	return nil
}

// onlyLeft reports whether chunks of --only's keys are still to be done.
func (p *pool) onlyLeft(ctx context.Context) (bool, error) {
	wanted := map[string]bool{}
	for _, k := range p.want.Only {
		wanted[k] = true
	}
	for c, err := range p.ledger.Chunks(ctx, p.run.UID, ledger.Pending, ledger.Running) {
		if err != nil {
			return false, fmt.Errorf("read the run's chunks: %w", err)
		}
		if wanted[c.Key] {
			return true, nil
		}
	}
	return false, nil
}
