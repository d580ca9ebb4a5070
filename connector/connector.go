// Package connector defines how one system is read and written. Each subpackage implements it for one system;
// package all registers them.
//
// A task runs in a worker process with one DuckDB session. A Source makes the task's chunks readable there as a relation, the
// stage's program is a SELECT over that relation, and a Sink consumes the SELECT.
package connector

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// The keys of chunks that stand for no one value: the rows whose value is NULL, those whose value is not listed, and all rows of a source that was
// empty when it was cut.
const (
	NullKey  = "(null)"
	OtherKey = "(other)"
	AllKey   = "(all)"
)

// Chunk is the unit of the audit: a key value, a page range, a file, some row groups.
type Chunk struct {
	// ID is the chunk's position in the stage's plan, from 0. Neighbouring IDs are neighbours in the source. Whoever adds chunks
	// to the ledger numbers them; a Source leaves it 0.
	ID int64 `json:"id"`
	// Key names the chunk to a person, unique within the stage in practice: a key value ("10016"), "(null)", "(other)",
	// a path, a range.
	Key string `json:"key"`
	// Bounds says what to read, in the connector's own terms.
	Bounds json.RawMessage `json:"bounds"`
	// Rows and Bytes are estimates of what reading it yields; 0 when unknown.
	Rows  int64 `json:"rows,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`
}

// Run identifies the run that a sink writes for.
type Run struct {
	// UID is 32 hex digits, random, and keys everything durable that the run leaves in a target. ID is only its name.
	UID string `json:"uid"`
	ID  string `json:"id"`
	Job string `json:"job"`
	// Stage is the number of the stage that writes.
	Stage int `json:"stage"`
	// Inputs names the receipts of the stage before, which this one reads; empty in the first stage. A receipt of a merge that was written
	// from others counts as gone.
	Inputs    string    `json:"inputs,omitempty"`
	StartedAt time.Time `json:"started_at"`
	// State is what Sink.Begin returned.
	State json.RawMessage `json:"state,omitempty"`
	// Fence is set for Sink.Begin where the ledger is in a database that a sink could write to.
	Fence *Fence `json:"-"`
}

// Fence lets a sink whose target is in the ledger's own database check an attempt's token in the transaction of its rows, without knowing
// the ledger (exactness.md 9).
type Fence struct {
	// Database is the ledger's, as pgident.Database names it.
	Database string `json:"database"`
	// Known counts the runs with uid $1: one, where this is the ledger that the run is in.
	Known string `json:"known"`
	// Held counts the chunks of run $1, stage $2 and IDs $3 (a bigint array) that the attempt with token $4 still holds, and keeps them from being
	// claimed until the transaction ends.
	Held string `json:"held"`
}

// Attempt is one try of a task.
type Attempt struct {
	Run Run
	// Token grows with every attempt of the run. A later token fences an earlier one off.
	Token  int64
	Chunks []Chunk
}

// Receipt is what a committed attempt leaves for one chunk.
type Receipt struct {
	ChunkID int64 `json:"chunk_id"`
	// Token is the attempt's. Chunks with one token were written together.
	Token   int64 `json:"token"`
	RowsIn  int64 `json:"rows_in"`
	RowsOut int64 `json:"rows_out"`
	// RowsScanned is how many rows were looked at, before pushdown; nil where it is not known.
	RowsScanned *int64 `json:"rows_scanned,omitempty"`
	// RowsRejected is how many of RowsIn went to the job's rejects.
	RowsRejected int64 `json:"rows_rejected,omitempty"`
	BytesIn      int64 `json:"bytes_in"`
	BytesOut     int64 `json:"bytes_out"`
	// PeakMemory is the task's, in bytes.
	PeakMemory int64 `json:"peak_memory_bytes"`
	// Publish is the sink's own note of what to publish. Where several chunks were written together, the receipt of the
	// lowest chunk ID has it.
	Publish json.RawMessage `json:"publish,omitempty"`
	// Rejects is the same for the rejects' sink (exactness.md 6).
	Rejects json.RawMessage `json:"rejects,omitempty"`
	// Sums are of the columns that were to be added up when the chunk was written.
	Sums []Summed `json:"sums,omitempty"`
}

// Count is what reading one chunk came to so far.
type Count struct {
	// Rows were received, after pushdown.
	Rows, Bytes int64
	// Scanned is how many rows were looked at for that; nil where it is not known.
	Scanned *int64
}

// Relation is a task's chunks, readable in a DuckDB session.
type Relation interface {
	// Chunk returns a parenthesised SELECT of the i-th chunk's rows: the source's columns in schema order, then step.Tag, which holds i.
	// It may be scanned once.
	Chunk(i int) string
	// All is the same over all chunks, in one pass.
	All() string
	// Count returns what was read of the i-th chunk. It is complete once the relation was scanned to its end, and safe to
	// call meanwhile.
	Count(i int) Count
	// Close releases connections and registrations. It is called once no query uses the relation.
	Close() error
}

// Grouper is a Relation that yields the rows of one chunk after those of another at less cost than a sort of them, and in memory that does not
// depend on how many there are. It is optional.
type Grouper interface {
	// Grouped is All in the order of the chunks.
	Grouped() string
}

// Source reads one table, query or set of files. Methods may be called concurrently unless they say otherwise.
type Source interface {
	// Schema returns the columns that the source yields.
	Schema(ctx context.Context) (drover.Schema, error)
	// Identity returns a text that two openings share only if they read the same thing: a system identifier and an OID, absolute
	// paths. It is stored in the run and compared when it is joined or resumed.
	Identity(ctx context.Context) (string, error)
	// Begin fixes what all chunks of a run must agree on (a snapshot, a list of files) and returns it as state for Chunks and
	// Open. prior is nil for a new run, else the state of the run that is joined or resumed; where that can no longer be
	// honoured Begin refuses. What it holds open lives until Close.
	Begin(ctx context.Context, chunking drover.Chunking, prior json.RawMessage) (json.RawMessage, error)
	// Chunks cuts the source, in the order of neighbourhood. It is called after Begin, with Begin's state.
	Chunks(ctx context.Context, chunking drover.Chunking, state json.RawMessage) iter.Seq2[Chunk, error]
	// Open makes chunks readable in a worker's session. schema is the one that the plan was bound to; columns that
	// differ from it by now are an error. The relation's rows carry schema's columns; state is Begin's.
	Open(ctx context.Context, session *duck.Session, schema drover.Schema, state json.RawMessage, chunks []Chunk) (Relation, error)
	Close() error
}

// Describer is a Source that has found out something of how it reads that a job does not say. It is optional.
type Describer interface {
	// Reading says it in a few words, for the plan, once Schema was asked; it is empty if there is nothing.
	Reading() string
}

// Uniquer is a Source that can prove columns unique.
type Uniquer interface {
	// UniqueKeys returns sets of columns in whose values no two rows agree, NULLs included.
	UniqueKeys(ctx context.Context) ([][]string, error)
}

// TaskSaver is a Source each of whose tasks may cost something beside its own rows, such as a pass over pages that other tasks read too. It
// is optional.
type TaskSaver interface {
	// FewTasks reports whether chunks cut like this are better packed into few tasks.
	FewTasks(ctx context.Context, chunking drover.Chunking) (bool, error)
}

// Splitter is a Source that can cut a chunk further: one that needs more memory than there is, of a stage that looks at one row at a
// time.
type Splitter interface {
	// Split returns parts that together hold exactly the chunk's rows, or fewer than two if it cannot be cut. state is Begin's.
	Split(ctx context.Context, state json.RawMessage, chunk Chunk) ([]Chunk, error)
}

// Voided is the Code of a Fenced error of Sink.Write where a chunk's receipt key was taken by Void.
const Voided = "void"

// Input is what a Sink writes: a program over a relation.
type Input struct {
	Session  *duck.Session
	Relation Relation
	Program  step.Program
	// Source and Output are the columns before and after the program.
	Source, Output drover.Schema
	// Progress is told the totals of the attempt so far. Never nil.
	Progress func(rowsIn, rowsOut, bytesIn, bytesOut int64)
	// PeakMemory returns the highest memory of the worker since the task began, in bytes.
	PeakMemory func() int64
	// Rejected says what became of the rows that the relation leaves out, one for each chunk; nil where no row was rejected.
	Rejected []Rejected
	// Sums adds up columns on their way through the program; nil where there are none to add up.
	Sums *Sums
}

// Query returns the SELECT that yields all of the input: Output's columns, then step.Tag with the chunk's index in the attempt.
// A program that must see one chunk at a time is applied to each of the n chunks by itself.
func (in Input) Query(n int) string {
	if in.Program.RowWise {
		return in.Program.Over(in.Relation.All())
	}
	sql := ""
	for i := range n {
		if i > 0 {
			sql += "\nUNION ALL\n"
		}
		sql += "(" + in.Program.Chunk(in.Relation.Chunk(i), i) + ")"
	}
	return sql
}

// Check is what a sink found out about its target before anything is written.
type Check struct {
	// Identity is to the sink what Source.Identity is to the source.
	Identity string `json:"identity"`
	// Notes are lines for the plan: how it will publish, which casts the target applies, what it will create.
	Notes []string `json:"notes,omitempty"`
	// Types are the target's own column types, one per output column.
	Types []string `json:"types,omitempty"`
}

// Published is what Publish made visible.
type Published struct {
	Files int64 `json:"files"`
}

// Sink writes one table or dataset. What Write leaves is invisible, or idempotent, until Publish.
type Sink interface {
	// Check looks at the target and refuses what can be refused before a run. It writes nothing.
	// output's columns that repeat a source column name it in From, with its Native type if the source is of the same
	// connector.
	Check(ctx context.Context, output drover.Schema) (Check, error)
	// Begin makes ready what all attempts need (a staging table, a gate row, the list of files to replace) and returns the
	// state that they are given in Run.State. It is idempotent; on a resume run.State is the earlier answer.
	Begin(ctx context.Context, run Run, output drover.Schema) (json.RawMessage, error)
	// Write reads the input to its end and commits or stages its rows with one receipt per chunk. Chunks that have a
	// receipt in the target already are left out, and their receipts returned with the others. On error nothing of the attempt
	// can ever become visible; the error's Kind says whether a retry may mend it.
	Write(ctx context.Context, attempt Attempt, open func(ctx context.Context, chunks []Chunk) (Input, error)) ([]Receipt, error)
	// Verify compares what the ledger believes with the target and returns the chunks whose receipts or staged
	// objects are gone.
	Verify(ctx context.Context, run Run, receipts iter.Seq2[Receipt, error]) (gone []int64, err error)
	// Void takes the receipt key of a chunk that is about to be split, so that no late attempt can commit it whole. If the
	// chunk is committed already it returns that receipt.
	Void(ctx context.Context, run Run, chunkID int64) (*Receipt, error)
	// Publish makes all staged data visible, removes what it replaces, and closes the run to late attempts. It is
	// idempotent. It is called for append too.
	Publish(ctx context.Context, run Run, output drover.Schema, receipts iter.Seq2[Receipt, error]) (Published, error)
	// Abort removes what the run staged and closes it to late attempts. committed is the number of chunks whose rows
	// stay visible. It is idempotent.
	Abort(ctx context.Context, run Run) (committed int64, err error)
	Close() error
}

// Latecomer is a Sink whose Begin may make anew what the end of the run took away. It is optional.
type Latecomer interface {
	// Late removes what a Begin has made that came after the run was finished or given up by another process. It is idempotent.
	Late(ctx context.Context, run Run) error
}

// Stager is a Sink that keeps the rows of a run out of sight until Publish, and can read them back before. It is optional.
type Stager interface {
	// StagedState is what Staged needs to know of a run's receipts.
	StagedState(run Run, receipts iter.Seq2[Receipt, error]) (json.RawMessage, error)
	// Staged makes the rows readable as the one chunk of a relation: output's columns, in the values that they were staged with. Chunk may be
	// called once for every query. It serves a run whose publish has begun, too.
	Staged(ctx context.Context, session *duck.Session, run Run, output drover.Schema, state json.RawMessage) (Relation, error)
}

// Pruner is a Sink whose target keeps something of runs that are over. It is optional.
type Pruner interface {
	// Prune removes what old runs left beside the data: staged rows and files of those that were given up, receipts of those that are closed.
	// What is published or committed stays, and so does whatever keeps late attempts out. Runs that this target does not know are
	// passed over. It is idempotent.
	Prune(ctx context.Context, old Old) (Pruned, error)
}

// Old is the runs of one job that are over.
type Old struct {
	Job string
	// Finished were published. Abandoned are given up for good: nobody can resume or retry them.
	Finished, Abandoned []Run
	// Age is how long ago a run of the job that neither of them has must have been closed in the target, for its receipts to go too. A
	// ledger that was pruned without this target at hand has left those.
	Age time.Duration
	// DryRun removes nothing, and counts what would be.
	DryRun bool
}

// Pruned is what Prune removed.
type Pruned struct {
	Receipts, Tables, Files int64
	// Known are the uids of those runs of Old that wrote to this target.
	Known map[string]bool
}

// Targeter is a Sink that may find a table in its place. It is optional.
type Targeter interface {
	// Target returns the columns that the table takes values of; none where there is no table. Those that it makes itself are left out.
	Target(ctx context.Context) (drover.Schema, error)
}

// Local is a Source or a Sink on paths of a machine: another machine that joins a run may have other files there, or none. It is
// optional. Where the ledger is shared the planner marks the places, and a joiner that does not find the mark is refused (exactness.md 19).
type Local interface {
	// Mark leaves a hidden file called name beside the data, and returns the folders that have it: those that it may write to.
	Mark(ctx context.Context, name string) (places []string, err error)
	// Unmarked returns those of places where there is no such file.
	Unmarked(ctx context.Context, name string, places []string) ([]string, error)
	// Unmark removes the files.
	Unmark(ctx context.Context, name string, places []string) error
}

// Checker is a Relation whose source may hold values that DuckDB would change as it reads them. It is optional.
type Checker interface {
	// Check refuses such values of columns, before a query runs: an error of kind Data that names the column and one value.
	Check(ctx context.Context, columns []string) error
}

// Narrower is a Relation that can leave out rows before they are read. It is optional.
type Narrower interface {
	// Narrow says, before a query runs, which rows the program has no use for: those that do not meet all conditions. The relation applies
	// the conditions that its system understands exactly as DuckDB does. Count counts the rows that are left.
	Narrow(conditions []step.Condition)
}

// SourceChecker is a Sink that refuses sources which it would read from or destroy while it writes. It is optional.
type SourceChecker interface {
	CheckSource(source Source) error
}

// Rehearser is a Sink that can do the work of Write and keep nothing of it: what drover profile measures. It is optional.
type Rehearser interface {
	// Rehearse writes the input of one chunk where nobody sees it, throws it away, and returns its bytes.
	Rehearse(ctx context.Context, in Input) (bytes int64, err error)
}

// Recounter is a Relation whose rows may be read once more, and are the same. It is optional.
type Recounter interface {
	Relation
	// Recount has Count begin anew. It is called while no query uses the relation.
	Recount()
}

// Ranger is a Source that knows the range of a column without handing over its rows. It is optional.
type Ranger interface {
	// Range returns the lowest and the highest value of a column of whole numbers, as of now; false where that is not known, or the relations
	// cannot leave out rows by the column anyway (Narrower).
	Range(ctx context.Context, column string) (low, high int64, ok bool)
}

// ServerTimer is a Relation whose rows a server makes. It is optional.
type ServerTimer interface {
	// ServerTime returns how long the server takes to make the rows of the relation's one chunk, without sending them.
	ServerTime(ctx context.Context) (time.Duration, error)
}
