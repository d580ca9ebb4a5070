package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/monitor"
)

// ask is the memory that a claim needs, as its chunks' earlier attempts found out; 0 for the engine's usual share.
func (p *pool) ask(task ledger.Task) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var most int64
	for _, c := range task.Chunks {
		most = max(most, p.asks[c.ID])
	}
	return most
}

// needs says in e how much memory the chunk of an overrun needs, and remembers it: as much as the attempt said, else twice what it had,
// and at last all that there is. An e whose need is more than that says which --memory would do.
func (p *pool) needs(task ledger.Task, e *drover.Error, granted int64) *drover.Error {
	largest := p.o.Engine.Largest()
	if len(task.Chunks) > 1 || largest == 0 || granted == 0 {
		return e
	}
	said := *e
	e = &said
	how := "needs"
	if e.Needs == 0 {
		how = "needs more than it had, perhaps"
		e.Needs = 2 * granted
		if granted < largest {
			e.Needs = min(e.Needs, largest)
		}
	}
	if e.Needs <= largest {
		p.mu.Lock()
		p.asks[task.Chunks[0].ID] = e.Needs
		p.mu.Unlock()
		return e
	}
	e.Message = fmt.Sprintf("%s; the chunk %s %d MiB, and the workers have %d MiB together", e.Message, how, mib(e.Needs), largest>>20)
	return e.WithHint("drover run --retry-errors --memory %dMiB, or cut the source into smaller chunks", mib(e.Needs+memory.Driver))
}

// mib rounds up.
func mib(n int64) int64 { return (n + 1<<20 - 1) >> 20 }

// split replaces the one chunk of a failed claim by parts, and reports whether the claim is ended. It does so for an overrun of a
// stage that looks at one row at a time, unless a single row was the cause; and for a chunk whose earlier split was cut short.
func (p *pool) split(ctx context.Context, task ledger.Task, e *drover.Error) bool {
	source, can := p.bound.Source.(connector.Splitter)
	voided := e.Kind == drover.Fenced && e.Code == connector.Voided
	overran := e.Kind == drover.Overrun && e.Needs == 0
	// The parts of a chunk have keys of their own, which --only does not name, and are more than --limit-chunks has counted.
	if !can || !p.stage.Program.RowWise || !voided && !overran || len(p.o.Only) > 0 || p.o.LimitChunks > 0 {
		return false
	}
	chunk := task.Chunks[0]
	parts, err := source.Split(ctx, p.doc.SourceState, chunk)
	if err != nil || len(parts) < 2 {
		if !voided { // more memory will do as well
			return false
		}
		parts = []connector.Chunk{chunk} // under a new ID, whose receipt is still to be had
	}
	if !p.o.DryRun {
		// exactness.md 8: no late attempt can commit the whole beside its parts.
		receipt, err := p.bound.Sink.Void(ctx, p.sinkRun(p.doc.SinkState), chunk.ID)
		if err != nil {
			return false
		}
		if receipt != nil {
			return p.record(p.ledger.Finish(ctx, p.run.UID, task.Token, []connector.Receipt{*receipt}))
		}
	}
	if err := p.ledger.SplitChunk(ctx, p.run.UID, task.Token, parts); err != nil {
		return p.record(err)
	}
	p.events.split(len(parts))
	p.events.send(monitor.Warning{Text: fmt.Sprintf("chunk %s passed its share of memory and is done in %d parts", chunk.Key, len(parts))})
	return true
}

// record ends the run where the ledger cannot be written. A claim that is another's by now is nobody's fault.
func (p *pool) record(err error) bool {
	if err != nil && !errors.Is(err, ledger.ErrFenced) {
		p.halt(fmt.Errorf("record a split chunk in the ledger: %w", err))
	}
	return true
}
