package connector

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// Spooler is a Sink to which every task may leave an object in every partition. Where those would be too many, a run has two stages: each
// task of the first leaves one spool, and those of the second, the merge, read the spools and write the final objects (exactness.md 18).
// It is optional.
type Spooler interface {
	Sink
	// Partitions are the columns of output whose values tell partitions apart; none where a task leaves few objects anyway.
	Partitions() []string
	// FileBudget is how many objects the tasks of a run may leave.
	FileBudget() int64
	// Spools returns the spools of runs into this target. It is an error of kind Invalid, which names the column, where a spool could not hold
	// output exactly. They are closed with the Sink.
	Spools(output drover.Schema) (Spools, error)
}

// Spools are what a run keeps between its two stages: staged data of the run, which its sink removes when the run is published or aborted.
// A spool is written once and never changed. Methods may be called concurrently.
type Spools interface {
	// Write is Sink.Write for the first stage.
	Write(ctx context.Context, attempt Attempt, open func(ctx context.Context, chunks []Chunk) (Input, error)) ([]Receipt, error)
	// Verify returns the chunks of the first stage whose spools are gone.
	Verify(ctx context.Context, run Run, receipts iter.Seq2[Receipt, error]) (gone []int64, err error)
	// Cut makes the chunks of the merge, of about so many bytes each, from the receipts of the first stage, which it may read more
	// than once. Whatever the spools hold, each of their rows lies in exactly one of the chunks, also after spools were written again.
	Cut(run Run, receipts iter.Seq2[Receipt, error], bytes int64) ([]Chunk, error)
	// State is what Open needs to know of the spools that these receipts name.
	State(run Run, receipts iter.Seq2[Receipt, error]) (json.RawMessage, error)
	// Open is Source.Open for the merge; its relation's rows carry schema's columns as the first stage had them.
	Open(ctx context.Context, session *duck.Session, schema drover.Schema, state json.RawMessage, chunks []Chunk) (Relation, error)
	Splitter
}
