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

// checkOnly refuses keys of --only that no chunk of the run has.
func (r *runner) checkOnly(ctx context.Context) error {
	if len(r.o.Only) == 0 {
		return nil
	}
	seen := r.watchOnly()
	for c, err := range r.ledger.Chunks(ctx, r.run.UID) {
		if err != nil {
			return fmt.Errorf("read the run's chunks: %w", err)
		}
		if c.Stage == 0 {
			seen.add(c.Key)
		}
	}
	return seen.err()
}

// onlyWatch looks for --only's keys among the keys of chunks that pass by.
type onlyWatch struct {
	missing map[string]bool
	some    []string // the first few keys, for the message
}

func (r *runner) watchOnly() *onlyWatch {
	w := &onlyWatch{missing: map[string]bool{}}
	for _, k := range r.onlyKeys() {
		w.missing[k] = true
	}
	return w
}

func (w *onlyWatch) add(key string) {
	delete(w.missing, key)
	if len(w.some) < 5 {
		w.some = append(w.some, key)
	}
}

func (w *onlyWatch) err() error {
	for k := range w.missing {
		return drover.Errorf(drover.Invalid, "--only %s: no chunk has this key", k).
			WithHint("the keys are such as %s", strings.Join(w.some, ", "))
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
