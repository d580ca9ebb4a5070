package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

// Loaded is the keys that finished runs of a job have loaded, for chunk: {new_keys: true} (exactness.md 21). Nil has loaded none, and skips
// none.
type Loaded struct {
	by      string
	doubles bool
	keys    map[string]bool
	// first says that no run has finished yet. others is the run whose chunk of unlisted values had rows, if any.
	first   bool
	others  string
	skipped int64
}

// loadedKeys reads what earlier runs have loaded, of which a dry run's own ledger knows nothing.
func (r *runner) loadedKeys(ctx context.Context) (_ *Loaded, err error) {
	if !r.o.DryRun {
		return LoadedKeys(ctx, r.ledger, r.o.Job, r.run.UID)
	}
	if !r.o.Job.Frame.Chunk.NewKeys {
		return nil, nil // nil has loaded none
	}
	var l ledger.Ledger
	err = r.patiently(ctx, theLedger, fresh, func() (err error) {
		l, err = r.o.OpenPast(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if l == nil {
		return LoadedKeys(ctx, r.ledger, r.o.Job, "")
	}
	defer func() { err = errors.Join(err, l.Shutdown()) }()
	return LoadedKeys(ctx, l, r.o.Job, "")
}

// LoadedKeys reads what the finished runs of a job that began before the run before have loaded; all finished ones for "". Nil for a job that does
// not ask for new keys.
func LoadedKeys(ctx context.Context, l ledger.Ledger, job drover.Job, before string) (*Loaded, error) {
	if !job.Frame.Chunk.NewKeys {
		return nil, nil // nil has loaded none
	}
	past := &Loaded{by: job.Frame.Chunk.By, doubles: doubles(job.Sink), keys: map[string]bool{}, first: true}
	for run, err := range l.History(ctx, ledger.Past{Job: job.Name, Before: before, States: []ledger.RunState{ledger.Finished}}) {
		if err != nil {
			return nil, fmt.Errorf("look for the keys that earlier runs loaded: %w", err)
		}
		if err := past.add(ctx, l, run); err != nil {
			return nil, err
		}
	}
	return past, nil
}

func (p *Loaded) add(ctx context.Context, l ledger.Ledger, run ledger.Run) error {
	var d doc
	if err := json.Unmarshal(run.Doc, &d); err != nil {
		return fmt.Errorf("decode the plan of run %s: %w", run.ID, err)
	}
	sameBy := strings.EqualFold(d.Plan.Stages[0].Chunk.By, p.by)
	for c, err := range l.Chunks(ctx, run.UID, ledger.ChunkFinished, ledger.Split) {
		switch {
		case err != nil:
			return fmt.Errorf("read the keys that run %s loaded: %w", run.ID, err)
		case c.Stage > 0:
			continue
		case !sameBy && c.RowsIn == 0 && c.State == ledger.ChunkFinished:
			continue
		case !sameBy:
			return drover.Errorf(drover.Invalid, "run %s of this job loaded rows, but not by %s: which of its values are new is not known", run.ID, p.by).
				WithField("chunk.new_keys").WithHint("give the job another name, for which every key is new, or remove new_keys")
		case c.Key == connector.OtherKey && c.RowsIn > 0:
			p.others = run.ID
		}
		p.keys[c.Key] = true
	}
	p.first = p.first && !sameBy
	return nil
}

// New yields the chunks of keys that no finished run has loaded. The chunk of unlisted values belongs to the job's first run alone: values may
// have been listed before, or be listed later. An empty source has no chunk: it has no key.
func (p *Loaded) New(chunks iter.Seq2[connector.Chunk, error]) iter.Seq2[connector.Chunk, error] {
	if p == nil {
		return chunks
	}
	return func(yield func(connector.Chunk, error) bool) {
		p.skipped = 0
		for c, err := range chunks {
			switch {
			case err != nil, c.Key == connector.OtherKey && p.first:
			case c.Key == connector.AllKey, c.Key == connector.OtherKey:
				continue
			case p.keys[ledger.Text(c.Key)]:
				p.skipped++
				continue
			case p.others != "" && p.doubles:
				err = drover.Errorf(drover.Refused, "%s = %s is new, but run %s loaded unlisted values as %s: its rows may be there already", p.by, c.Key, p.others, connector.OtherKey).
					WithField("chunk.new_keys").WithHint("load it with mode: upsert, which stores no row twice; for the next time, others: ignore leaves unlisted values out")
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// Skipped returns how many keys New has left out.
func (p *Loaded) Skipped() int64 {
	if p == nil {
		return 0
	}
	return p.skipped
}
