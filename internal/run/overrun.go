package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
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
	if e.Needs <= granted {
		how = "needs more than it had, perhaps"
		e.Needs = 2 * granted
		switch {
		case granted < largest:
			e.Needs = min(e.Needs, largest)
		case !p.stage.Program.RowWise: // what is said now should do
			e.Needs = max(e.Needs, memory.ForChunk(task.Chunks[0].Bytes))
		}
	}
	if e.Needs <= largest {
		p.mu.Lock()
		p.asks[task.Chunks[0].ID] = e.Needs
		p.mu.Unlock()
		return e
	}
	e.Message = fmt.Sprintf("%s; the chunk %s %d MiB, and the workers have %d MiB together", e.Message, how, mib(e.Needs), largest>>20)
	return e.WithHint("try it again with --retry-errors --memory %dMiB, or cut the source into smaller chunks", memory.Budget(e.Needs)>>20)
}

// budget is the --memory under which a chunk that failed for want of memory would have room, or 0.
func budget(e *drover.Error) int64 {
	if e == nil || e.Kind != drover.Overrun || e.Needs == 0 {
		return 0
	}
	return memory.Budget(e.Needs)
}

// mib rounds up.
func mib(n int64) int64 { return (n + 1<<20 - 1) >> 20 }

// split replaces the one chunk of a failed claim by parts, and reports whether the claim is ended. It does so for an overrun of a
// stage that looks at one row at a time, unless a single row was the cause; and for a chunk whose earlier split was cut short.
func (p *pool) split(ctx context.Context, task ledger.Task, e *drover.Error) bool {
	chunk := task.Chunks[0]
	var parts []connector.Chunk
	if voided(e) || e.Kind == drover.Overrun && e.Needs == 0 {
		parts = p.parts(ctx, chunk)
	}
	if parts == nil {
		if !voided(e) { // more memory will do as well
			return false
		}
		parts = []connector.Chunk{chunk} // under a new ID, whose receipt is still to be had
	}
	why := fmt.Sprintf("chunk %s passed its share of memory and is done in %d parts", chunk.Key, len(parts))
	if voided(e) {
		why = fmt.Sprintf("chunk %s was being split when its run was stopped, and is done in %d parts", chunk.Key, len(parts))
	}
	return p.replace(ctx, task, parts, why)
}

// divide splits a claimed chunk before it runs where its statistics say that it is so large that the other workers would wait for it at the
// end; it reports whether the claim is ended.
func (p *pool) divide(ctx context.Context, task ledger.Task) bool {
	if len(task.Chunks) > 1 || task.Chunks[0].Bytes <= p.oversized {
		return false
	}
	parts := p.parts(ctx, task.Chunks[0])
	return parts != nil && p.replace(ctx, task, parts, "")
}

// oversized returns the estimated bytes above which a chunk of a row-wise stage is split before it runs: a worker's half of the input that is
// left, within what is worth a split and what is too much for a task.
func oversized(bytes, slots int64) int64 {
	return min(max(bytes/(2*slots), taskBytes), fewTasksBytes)
}

// voided reports whether an attempt failed because its chunk's receipt key was taken for a split.
func voided(e *drover.Error) bool { return e.Kind == drover.Fenced && e.Code == connector.Voided }

// parts cuts a chunk; nil where that cannot or must not be. A step that sees a whole chunk has its bounds as part of the answer
// (exactness.md 25). The parts of a chunk have keys of their own, which --only does not name, and are more than --limit-chunks has counted.
func (p *pool) parts(ctx context.Context, chunk connector.Chunk) []connector.Chunk {
	source, can := p.splitter()
	if !can || !p.stage.Program.RowWise || len(p.o.Only) > 0 || p.o.LimitChunks > 0 {
		return nil
	}
	parts, err := source.Split(ctx, p.stage.SourceState, chunk)
	if err != nil || len(parts) < 2 {
		return nil
	}
	return parts
}

// replace puts parts in the place of the one chunk of a claim, and reports whether the claim is ended. No late attempt can commit the
// whole beside them (exactness.md 8).
func (p *pool) replace(ctx context.Context, task ledger.Task, parts []connector.Chunk, why string) bool {
	chunk := task.Chunks[0]
	if !p.o.DryRun {
		fault.Point(ctx)
		receipt, err := p.bound.Sink.Void(ctx, p.runOf(p.number), chunk.ID)
		fault.Point(ctx)
		if err != nil {
			return false
		}
		if receipt != nil {
			p.finish(ctx, task, protocol.Result{Receipts: []connector.Receipt{*receipt}})
			return true
		}
	}
	err := p.ledger.SplitChunk(ctx, p.run.UID, task.Token, parts)
	fault.Point(ctx)
	if err != nil {
		return p.record(err)
	}
	p.events.split(len(parts))
	if why != "" {
		p.events.send(monitor.Warning{Text: why})
	}
	return true
}

// splitter cuts chunks of the pool's stage.
func (p *pool) splitter() (connector.Splitter, bool) {
	if p.number > 0 {
		return p.exchange.spools, true
	}
	s, ok := p.bound.Source.(connector.Splitter)
	return s, ok
}

// record ends the run where the ledger cannot be written. A claim that is another's by now is nobody's fault.
func (p *pool) record(err error) bool {
	if err != nil && !errors.Is(err, ledger.ErrFenced) {
		p.halt(fmt.Errorf("record a split chunk in the ledger: %w", err))
	}
	return true
}
