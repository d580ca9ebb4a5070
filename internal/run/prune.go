package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/ledger"
)

// PruneOptions say which runs are old, and what is at hand to clean up after them.
type PruneOptions struct {
	Registry connector.Registry
	// Job limits it to the runs of one job. Required with Sink.
	Job string
	// Age is how long ago a run must have ended, by the ledger's clock.
	Age time.Duration
	// Failed takes runs with failed chunks too, which can then no longer be retried.
	Failed bool
	// KeepCommitted takes failed runs although chunks of them are in their target, where the next run loads them again.
	KeepCommitted bool
	DryRun        bool
	// Sink is the job's target, and Source its source; nil where they are not at hand.
	Sink   connector.Sink
	Source connector.Source
	// Rejects is the sink of the job's rejects; nil where it has none.
	Rejects connector.Sink
}

// PrunedRun is an old run, and what became of it.
type PrunedRun struct {
	Run     string          `json:"run"`
	UID     string          `json:"uid"`
	Job     string          `json:"job"`
	State   ledger.RunState `json:"state"`
	EndedAt time.Time       `json:"ended_at"`
	// Kept says why it is still there; empty for a run that was removed.
	Kept string `json:"kept,omitempty"`
}

// PruneResult is what Prune did, as drover prune --json prints it.
type PruneResult struct {
	DryRun  bool        `json:"dry_run,omitempty"`
	Removed []PrunedRun `json:"removed"`
	Kept    []PrunedRun `json:"kept"`
	// Receipts, Tables and Files were removed from the target.
	Receipts int64 `json:"receipts"`
	Tables   int64 `json:"tables"`
	Files    int64 `json:"files"`
	// Unreached are targets that still have receipts of runs that were removed.
	Unreached []string `json:"unreached,omitempty"`
}

// Why Prune keeps an old run.
const (
	keptNewest = "it is the newest finished run of this very job: a second append is refused because of it"
	keptKeys   = "new_keys skips the keys that it loaded"
	keptStaged = "it did not finish, and what it staged may still be in "
	keptOpened = "it was opened again meanwhile"
)

// oldRun is a run that ended long ago, and as much of its plan as matters here.
type oldRun struct {
	PrunedRun
	opened bool // it has a doc, and so something in a target
	doc    doc
	start  time.Time
}

// Prune removes old runs from the ledger, once what they left in the target is gone from there. It keeps what later runs need to know: the newest
// finished run of each meaning of a job (exactness.md 3), and the finished runs of a job that loads new keys (exactness.md 21).
func Prune(ctx context.Context, l ledger.Ledger, o PruneOptions) (PruneResult, error) {
	p := &pruner{ledger: l, o: o, result: PruneResult{DryRun: o.DryRun, Removed: []PrunedRun{}, Kept: []PrunedRun{}}}
	if err := p.find(ctx); err != nil {
		return p.result, err
	}
	if err := p.target(ctx); err != nil {
		return p.result, err
	}
	return p.result, p.forget(ctx)
}

type pruner struct {
	ledger ledger.Ledger
	o      PruneOptions
	old    []oldRun
	known  map[string]bool
	result PruneResult
}

// find lists the old runs, and why some of them are kept.
func (p *pruner) find(ctx context.Context) error {
	type meaning struct{ job, fingerprint string }
	newest, newKeys := map[meaning]string{}, map[string]bool{}
	for run, err := range p.ledger.History(ctx, ledger.Past{Job: p.o.Job, States: []ledger.RunState{ledger.Finished}}) {
		if err != nil {
			return fmt.Errorf("look for the newest runs: %w", err)
		}
		d, err := docOf(run)
		if err != nil {
			return err
		}
		m := meaning{run.Job, run.Fingerprint}
		if newest[m] == "" {
			newest[m] = run.UID
		}
		if len(d.Plan.Stages) > 0 && d.Plan.Stages[0].Chunk.NewKeys {
			newKeys[run.Job] = true
		}
	}
	states := []ledger.RunState{ledger.Finished, ledger.Abandoned}
	if p.o.Failed {
		states = append(states, ledger.Failed)
	}
	for run, err := range p.ledger.History(ctx, ledger.Past{Job: p.o.Job, States: states, Age: p.o.Age}) {
		if err != nil {
			return fmt.Errorf("look for old runs: %w", err)
		}
		d, err := docOf(run)
		if err != nil {
			return err
		}
		old := oldRun{
			PrunedRun: PrunedRun{Run: run.ID, UID: run.UID, Job: run.Job, State: run.State, EndedAt: run.FinishedAt.UTC()},
			opened:    len(run.Doc) > 0, start: run.StartedAt, doc: d,
		}
		switch {
		case run.State == ledger.Failed:
			if old.Kept, err = p.inTheWay(ctx, old); err != nil {
				return err
			}
		case run.State != ledger.Finished:
		case newKeys[run.Job]:
			old.Kept = keptKeys
		case newest[meaning{run.Job, run.Fingerprint}] == run.UID:
			old.Kept = keptNewest
		}
		p.old = append(p.old, old.slim())
	}
	return nil
}

// inTheWay says why a failed run must stay: the next run of its job would load again what is in the target already. Empty if it need not.
func (p *pruner) inTheWay(ctx context.Context, r oldRun) (string, error) {
	if p.o.KeepCommitted || len(r.doc.Plan.Stages) == 0 {
		return "", nil
	}
	end := r.doc.Plan.Stages[0].Sink
	sink, err := p.o.Registry.DecodeSink(end.Connector, end.Meaning)
	if err != nil {
		return "", fmt.Errorf("decode the sink of run %s: %w", r.Run, err)
	}
	n, err := committed(ctx, p.ledger, sink, r.UID)
	if err != nil || n == 0 {
		return "", err
	}
	return fmt.Sprintf("the rows of %s are in %s, and the next run would load them again; finish it with drover run --retry-errors, or let its rows stay with --keep-committed",
		human.Plural(n, "chunk"), end.Text), nil
}

// docOf decodes a run's doc; a run that was never opened has none.
func docOf(run ledger.Run) (d doc, err error) {
	if len(run.Doc) == 0 {
		return d, nil
	}
	if err := json.Unmarshal(run.Doc, &d); err != nil {
		return d, fmt.Errorf("decode the plan of run %s: %w", run.ID, err)
	}
	return d, nil
}

// slim drops what of a plan is large.
func (r oldRun) slim() oldRun {
	d := doc{
		SinkState: r.doc.SinkState, SourceMarks: r.doc.SourceMarks, SinkMarks: r.doc.SinkMarks, Plan: r.doc.Plan,
		RejectsState: r.doc.RejectsState, RejectsMarks: r.doc.RejectsMarks,
	}
	if len(d.Plan.Stages) > 0 {
		d.Plan.Stages = d.Plan.Stages[:1:1]
		s := &d.Plan.Stages[0]
		s.Input, s.Output, s.Steps, s.Reads, s.Notes, s.Types = nil, nil, nil, nil, nil, nil
	}
	r.doc = d
	return r
}

// sinkText names the run's target to a person.
func (r oldRun) sinkText() string {
	if len(r.doc.Plan.Stages) == 0 {
		return "its target"
	}
	return r.doc.Plan.Stages[0].Sink.Text
}

func (r oldRun) sinkRun() connector.Run {
	return connector.Run{UID: r.UID, ID: r.Run, Job: r.Job, StartedAt: r.start, State: r.doc.SinkState}
}

// target cleans up what the old runs left in the target that is at hand.
func (p *pruner) target(ctx context.Context) error {
	sink, ok := p.o.Sink.(connector.Pruner)
	if !ok {
		return nil
	}
	// Which runs it knows comes first: a failed run that it does not know must stay one that can be retried.
	look := p.inTarget(true)
	seen, err := sink.Prune(ctx, look)
	if err != nil {
		return fmt.Errorf("look for what old runs left in the target: %w", err)
	}
	p.known = seen.Known
	if !p.o.DryRun {
		if err := p.retire(ctx); err != nil {
			return err
		}
		if seen, err = sink.Prune(ctx, p.inTarget(false)); err != nil {
			return fmt.Errorf("remove what old runs left in the target: %w", err)
		}
		p.known = seen.Known
		if err := p.unmark(ctx); err != nil {
			return err
		}
	}
	rejects, err := p.rejects(ctx)
	if err != nil {
		return err
	}
	p.result.Receipts, p.result.Tables, p.result.Files = seen.Receipts, seen.Tables, seen.Files+rejects
	return nil
}

// rejects removes the rejects that old runs staged and never published, and counts their files.
func (p *pruner) rejects(ctx context.Context) (files int64, err error) {
	sink, ok := p.o.Rejects.(connector.Pruner)
	if !ok {
		return 0, nil
	}
	old := p.inTarget(p.o.DryRun)
	for _, runs := range [][]connector.Run{old.Finished, old.Abandoned} {
		for i := range runs {
			at := slices.IndexFunc(p.old, func(r oldRun) bool { return r.UID == runs[i].UID })
			runs[i].State = p.old[at].doc.RejectsState
		}
	}
	seen, err := sink.Prune(ctx, old)
	if err != nil {
		return 0, fmt.Errorf("remove what old runs left of their rejects: %w", err)
	}
	return seen.Files, nil
}

// inTarget is the old runs as the sink knows them. Failed ones count as abandoned only to look.
func (p *pruner) inTarget(look bool) connector.Old {
	old := connector.Old{Job: p.o.Job, Age: p.o.Age, DryRun: look}
	for _, r := range p.old {
		switch {
		case !r.opened || r.State == ledger.Failed && r.Kept != "":
		case r.State == ledger.Finished:
			old.Finished = append(old.Finished, r.sinkRun())
		case r.State == ledger.Abandoned || look:
			old.Abandoned = append(old.Abandoned, r.sinkRun())
		}
	}
	return old
}

// retire gives up the failed runs for good, before anything that a retry would need is touched.
func (p *pruner) retire(ctx context.Context) error {
	for i := range p.old {
		r := &p.old[i]
		if r.State != ledger.Failed || !p.known[r.UID] {
			continue
		}
		err := p.ledger.Retire(ctx, r.UID, "given up by drover prune")
		switch {
		case errors.Is(err, ledger.ErrFenced) || errors.Is(err, ledger.ErrNotFound):
			r.Kept = keptOpened
		case err != nil:
			return err
		default:
			r.State = ledger.Abandoned
		}
	}
	return nil
}

// unmark removes the marks that runs which did not finish have left in folders.
func (p *pruner) unmark(ctx context.Context) error {
	for _, r := range p.old {
		if r.State != ledger.Abandoned || !p.known[r.UID] {
			continue
		}
		if l, ok := p.o.Source.(connector.Local); ok {
			if err := l.Unmark(ctx, markName(r.UID), r.doc.SourceMarks); err != nil {
				return fmt.Errorf("remove the marks of run %s: %w", r.Run, err)
			}
		}
		if l, ok := p.o.Sink.(connector.Local); ok {
			if err := l.Unmark(ctx, markName(r.UID), r.doc.SinkMarks); err != nil {
				return fmt.Errorf("remove the marks of run %s: %w", r.Run, err)
			}
		}
		if l, ok := p.o.Rejects.(connector.Local); ok {
			if err := l.Unmark(ctx, markName(r.UID), r.doc.RejectsMarks); err != nil {
				return fmt.Errorf("remove the marks of run %s: %w", r.Run, err)
			}
		}
	}
	return nil
}

// forget removes the runs from the ledger that nothing needs any more.
func (p *pruner) forget(ctx context.Context) error {
	for _, r := range p.old {
		finished := r.State == ledger.Finished
		if r.Kept == "" && r.opened && !finished && !p.known[r.UID] {
			r.Kept = keptStaged + r.sinkText()
		}
		if r.Kept == "" && !p.o.DryRun {
			if err := p.ledger.Forget(ctx, r.UID); errors.Is(err, ledger.ErrFenced) {
				r.Kept = keptOpened
			} else if err != nil {
				return err
			}
		}
		if r.Kept != "" {
			p.result.Kept = append(p.result.Kept, r.PrunedRun)
			continue
		}
		p.result.Removed = append(p.result.Removed, r.PrunedRun)
		if finished && len(r.doc.Plan.Stages) > 0 && !p.known[r.UID] && p.o.Registry[r.doc.Plan.Stages[0].Sink.Connector].Receipts {
			p.result.Unreached = append(p.result.Unreached, r.sinkText())
		}
	}
	slices.Sort(p.result.Unreached)
	p.result.Unreached = slices.Compact(p.result.Unreached)
	return nil
}
