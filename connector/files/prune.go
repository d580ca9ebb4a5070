package files

import (
	"context"
	gojson "encoding/json"
	"slices"

	"github.com/droverdata/drover/connector"
)

// Prune implements connector.Pruner. A finished run has left nothing but what a crash kept: its publish closed the area. An abandoned one has an area where it was
// given up without this target at hand.
func (s *sink) Prune(ctx context.Context, old connector.Old) (connector.Pruned, error) {
	out := connector.Pruned{Known: map[string]bool{}}
	for _, run := range slices.Concat(old.Finished, old.Abandoned) {
		var state struct {
			Root string `json:"root"`
		}
		if gojson.Unmarshal(run.State, &state) == nil && state.Root == s.root {
			out.Known[run.UID] = true
		}
	}
	for _, run := range old.Finished {
		// What a crash amid the closing left.
		if out.Known[run.UID] && !old.DryRun {
			if err := s.store.CloseArea(ctx, s.area(run)); err != nil {
				return out, s.storeError("write to", err)
			}
		}
	}
	for _, run := range old.Abandoned {
		if !out.Known[run.UID] {
			continue
		}
		n, err := s.stagedFiles(ctx, run)
		if err != nil {
			return out, err
		}
		if !old.DryRun {
			if _, err := s.Abort(ctx, run); err != nil {
				s.env.Warn("%v", err)
				delete(out.Known, run.UID)
				continue
			}
		}
		out.Files += n
	}
	return out, nil
}

// stagedFiles counts what a run has in its area.
func (s *sink) stagedFiles(ctx context.Context, run connector.Run) (n int64, err error) {
	for o, err := range s.store.List(ctx, s.area(run), true) {
		if err != nil {
			return n, s.storeError("list", err)
		}
		if !o.Dir {
			n++
		}
	}
	return n, nil
}
