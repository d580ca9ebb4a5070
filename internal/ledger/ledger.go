// Package ledger is the durable record of runs and chunks. ledger/sqlite and ledger/postgres implement it on the common
// ground of ledger/sqlstore; ledger/ledgertest is the suite that both pass; ledger/open chooses between them.
//
// Every change of a claimed chunk names the token of the claim, and a stale token changes nothing. Times are the ledger's own: its
// server's clock decides about leases.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// RunState is the state of a run.
type RunState string

// The states of a run, in the order in which it passes through them.
const (
	Planned    RunState = "planned"    // being planned by one driver; has no chunks, or not all of them
	Open       RunState = "open"       // all chunks are in; drivers claim
	Publishing RunState = "publishing" // every chunk is finished; one driver publishes
	Finished   RunState = "finished"
	Failed     RunState = "failed"    // ended with chunks in error; --retry-errors opens it again
	Abandoned  RunState = "abandoned" // given up by --new
)

// Over reports whether a run in this state has ended.
func (s RunState) Over() bool { return s == Finished || s == Failed || s == Abandoned }

// ChunkState is the state of a chunk.
type ChunkState string

// The states of a chunk.
const (
	Pending       ChunkState = "pending"
	Running       ChunkState = "running"
	ChunkFinished ChunkState = "finished"
	ChunkError    ChunkState = "error"
	Split         ChunkState = "split" // replaced by smaller chunks
)

// Errors that callers decide on.
var (
	// ErrFenced: the token is stale. Another attempt owns the chunks, or the run is closed. Nothing was changed.
	ErrFenced = errors.New("the attempt was fenced off by a later one")
	// ErrNotFound: no such run.
	ErrNotFound = errors.New("no such run")
	// ErrBusy: another driver holds the lease that was asked for.
	ErrBusy = errors.New("another driver holds the lease")
	// ErrMeaning: an unfinished run of this job exists with another fingerprint.
	ErrMeaning = errors.New("an unfinished run of this job means something else")
	// ErrVersion: an unfinished run of this job was begun by another version of drover.
	ErrVersion = errors.New("an unfinished run of this job was begun by another version of drover")
)

// Run is one execution of a job.
type Run struct {
	UID         string
	ID          string // "r-k3f9", or the name given by --run; unique per job
	Named       bool   // ID was given, not made up
	Job         string
	Fingerprint string
	State       RunState
	Engine      string
	// Version is the Request's that began it. Empty for runs of drovers that did not say.
	Version    string
	StartedAt  time.Time
	FinishedAt time.Time // zero while it is not over, and where its planner deserted it
	// PrunedAt is when Forget left nothing of it but its name and how it ended; zero while it is all there.
	PrunedAt time.Time
	// Message is the last thing worth saying about the run.
	Message string
	// Doc is what Start stored: the frozen plan and the states of source and sink. Opaque to the ledger.
	Doc json.RawMessage
}

// Role is what a driver has to do after Begin.
type Role int

// The roles of a driver.
const (
	// Plan: the run is new, or its planner died. Plan it, AddChunks, Start. The run has no chunks.
	Plan Role = iota
	// Work: the run is open (or publishing). Claim.
	Work
	// Done: the named run is over: finished, or failed.
	Done
)

// Request says which run a driver wants.
type Request struct {
	Job         string
	Fingerprint string
	// Name is --run's value. Empty: the job's newest unfinished run, else a new one with a name made up by the ledger.
	Name string
	// Driver identifies the asking process; it holds the planner's lease for Lease.
	Driver string
	Lease  time.Duration
	Engine string
	// Version is the drover's that asks. All that work on a run must be of one.
	Version string
}

// Past says which runs History yields.
type Past struct {
	// Job, where not empty, is the job of the runs.
	Job string
	// Fingerprint, where not empty, must be the run's.
	Fingerprint string
	// Before, where not empty, is the uid of a run: only runs that were begun before it.
	Before string
	// States are those of the runs that are wanted. At least one.
	States []RunState
	// Age, where not 0, is how long ago a run must have ended, by the ledger's clock.
	Age time.Duration
	// Deserted asks for runs that another planner's took the place of (Begin): abandoned, with no FinishedAt. They stay until Forget.
	Deserted bool
}

// Want says what a driver is ready to take.
type Want struct {
	Worker string
	// Stage is the stage whose chunks are wanted. The driver sees to it that what the stage reads is complete.
	Stage int
	Lease time.Duration
	// MaxBytes and MaxChunks bound a task. At least one chunk is returned whatever its size. 0 means no bound.
	MaxBytes  int64
	MaxChunks int
	// Only limits the claim to chunks with these keys. Empty means all.
	Only []string
}

// Task is a claim: neighbouring chunks under one token.
type Task struct {
	Token  int64
	Stage  int
	Chunks []connector.Chunk
	// Attempts is how many attempts counted against these chunks before (the highest of them).
	Attempts int
	// Losses is the same for lost workers and memory overruns.
	Losses int
}

// Verdict says what becomes of the chunks of a failed attempt.
type Verdict int

// The verdicts.
const (
	// Retry returns the chunks to pending, not before Delay has passed.
	Retry Verdict = iota
	// Halve returns them to pending so that later tasks hold at most half as many of them. For tasks of several chunks.
	Halve
	// Final puts the chunk in error. For tasks of one chunk.
	Final
	// Release returns them to pending at once and counts nothing: the driver stops, or lost the claim's worker itself.
	Release
)

// Failure is how an attempt ended that did not finish.
type Failure struct {
	Verdict Verdict
	Delay   time.Duration
	// Counts and Lost say whether it counts as an attempt, or as a lost worker or overrun.
	Counts, Lost bool
	Error        *drover.Error
}

// Machine is a driver at work on a run.
type Machine struct {
	// Driver is Want.Worker: HOST/PID.
	Driver  string
	Workers int
	// JoinedAt and SeenAt are when it began, and when it was last heard of. Silent is how long ago that is, by the ledger's clock.
	JoinedAt, SeenAt time.Time
	Silent           time.Duration
}

// Totals are the sums over the chunks of one stage of a run.
type Totals struct {
	Chunks                             map[ChunkState]int64
	RowsIn, RowsOut, BytesIn, BytesOut int64 // of finished chunks
	// RowsScanned is nil unless it is known of every finished chunk.
	RowsScanned *int64
	// RowsRejected is of finished chunks too.
	RowsRejected int64
	PeakMemory   int64
	// PendingRows and PendingBytes are estimates of the unfinished chunks.
	PendingRows, PendingBytes int64
}

// Unfinished is the number of chunks that are to be done still, those included that somebody runs: he may be dead.
func (t Totals) Unfinished() int64 { return t.Chunks[Pending] + t.Chunks[Running] }

// Total is the number of chunks that count: all but split ones.
func (t Totals) Total() int64 {
	var n int64
	for s, k := range t.Chunks {
		if s != Split {
			n += k
		}
	}
	return n
}

// ChunkRow is a chunk as the ledger shows it.
type ChunkRow struct {
	Stage                              int
	ID                                 int64
	Key                                string
	State                              ChunkState
	Attempts, Losses                   int
	Worker                             string
	RowsIn, RowsOut, BytesIn, BytesOut int64
	RowsScanned                        *int64 // nil where it is not known
	RowsRejected                       int64
	PeakMemory                         int64
	StartedAt, FinishedAt              time.Time
	Error                              *drover.Error
}

// Absence is a time in which the ledger's server is away, while calls wait for it.
type Absence struct {
	Cause error
	// Until is when the calls give up; zero where that is not known.
	Until time.Time
	// Lasted is how long it was, once the server is there again; 0 before.
	Lasted time.Duration
}

// Watcher is a Ledger whose server may be away. It is optional.
type Watcher interface {
	// Watch has tell called, from any goroutine, once for a server that is away for longer than a moment, and once when it is there again. It comes before all other
	// calls.
	Watch(tell func(Absence))
}

// Ledger records runs and chunks. Methods may be called concurrently, by any number of processes.
type Ledger interface {
	// Begin starts, joins or resumes a run. With Name: the run of that job and name in any state, but for one that was abandoned before
	// it was open, else a new one. Without: the
	// job's newest run that is planned, open, publishing or failed, else a new one. A run that is over is Done whatever began it. One that is not over is
	// returned with ErrVersion if another version of drover began it, and with ErrMeaning if it has another fingerprint. A planned run whose
	// planner's lease has not expired is returned with ErrBusy. One whose lease has expired is abandoned, and a new run takes over its name: its planner may
	// only sleep, and must not find that what it stages, or gives up, is another's (Past.Deserted).
	Begin(ctx context.Context, req Request) (Run, Role, error)
	// AddChunks adds a stage's chunks, numbered by their IDs. Adding a chunk again changes nothing. It streams: memory does not grow with
	// the number of chunks. Estimates are kept. Each batch renews the planner's lease; ErrFenced if driver holds the run no longer.
	AddChunks(ctx context.Context, uid, driver string, stage int, chunks iter.Seq2[connector.Chunk, error]) error
	// AddStage adds all chunks of a later stage to a run that is open, whose earlier stages' chunks are all finished. Where the stage has
	// chunks already it changes nothing: the first driver's cut holds. ErrFenced if the run is not open, or an earlier chunk is not finished.
	AddStage(ctx context.Context, uid string, stage int, chunks []connector.Chunk) error
	// Renew extends the planner's or the publisher's lease of driver. ErrFenced if it is another's by now.
	Renew(ctx context.Context, uid, driver string, lease time.Duration) error
	// Evict lets the leases on a run's chunks and on the run itself expire now, of those holders (Want.Worker, Request.Driver) for
	// which dead returns true. For processes that the caller knows to have ended. It returns how many leases those were.
	Evict(ctx context.Context, uid string, dead func(holder string) bool) (int64, error)
	// Start moves a planned run to open and stores doc. ErrFenced if driver holds the run no longer.
	Start(ctx context.Context, uid, driver string, doc json.RawMessage) error
	// SetDoc replaces the fingerprint and the doc of an unfinished run (mended steps of --retry-errors). Attempts record the
	// fingerprint that they ran with.
	SetDoc(ctx context.Context, uid, fingerprint string, doc json.RawMessage) error

	// Claim takes neighbouring pending chunks and expired running ones: consecutive IDs of the wanted stage, the lowest first. It returns a
	// Task without chunks when there is nothing to claim now; Totals says whether anything is left. ErrFenced if the run is over.
	// An expired lease counts neither as an attempt nor as a loss: a killed driver is no fault of its chunks.
	Claim(ctx context.Context, uid string, want Want) (Task, error)
	// Extend renews the leases of tokens and returns those that are lost.
	Extend(ctx context.Context, uid string, tokens []int64, lease time.Duration) (lost []int64, err error)
	// Finish marks the chunks of a claim finished, all of them or none. Receipts that carry another token than the claim's (found in
	// the target) are stored as they are. Finishing again under the same token changes nothing and is no error: an answer may
	// have been lost.
	Finish(ctx context.Context, uid string, token int64, receipts []connector.Receipt) error
	// Fail ends a claim that did not finish.
	Fail(ctx context.Context, uid string, token int64, failure Failure) error
	// SplitChunk replaces the one chunk of a claim by parts, which get new IDs after all others of the stage.
	SplitChunk(ctx context.Context, uid string, token int64, parts []connector.Chunk) error
	// Reopen returns finished chunks, whose rows were found gone, to pending, and a publishing run to open. Reason is kept in their
	// error. ErrFenced if the run is over, or is publishing and has a later stage: what that one has read is not needed any more.
	Reopen(ctx context.Context, uid string, stage int, chunkIDs []int64, reason string) error
	// RetryErrors returns all chunks in error, or those of the given keys, to pending with their attempts and losses reset, and a
	// failed run to open. ErrFenced if the run is finished or abandoned.
	RetryErrors(ctx context.Context, uid string, keys []string) (int64, error)

	// Receipts yields the receipts of all finished chunks of a stage, ordered by chunk ID.
	Receipts(ctx context.Context, uid string, stage int) iter.Seq2[connector.Receipt, error]
	// AcquirePublish moves an open run whose chunks are all finished to publishing and takes, or extends, the publish
	// lease for driver. ErrBusy if another driver holds it; ErrFenced if not all chunks are finished.
	AcquirePublish(ctx context.Context, uid, driver string, lease time.Duration) error
	// Close ends a run as finished, failed or abandoned, and fences off its running claims. Closing it twice changes nothing,
	// except that a failed run can be abandoned.
	Close(ctx context.Context, uid string, state RunState, message string) error

	// Run finds a run by job and ID, or by UID or ID alone when job is empty; the newest of those that fit. An empty id fits all. Runs that
	// were abandoned before they were open did nothing, and are found only where no other fits, as are those that were forgotten.
	// ErrNotFound if there is none.
	Run(ctx context.Context, job, id string) (Run, error)
	// Jobs lists the jobs, in order, that have a run of this ID, as Run finds them: names of runs are unique within a job only.
	Jobs(ctx context.Context, id string) ([]string, error)
	// Beat says that driver is at work on a run with so many workers; ErrFenced if the run is over. Leave says that it is no more. Close lets all leave.
	Beat(ctx context.Context, uid, driver string, workers int) error
	Leave(ctx context.Context, uid, driver string) error
	// Machines lists the drivers at work on a run, and those that died at it, in the order in which they joined.
	Machines(ctx context.Context, uid string) ([]Machine, error)

	// Retire makes a failed run abandoned: nobody can retry it any more. ErrFenced if it is neither.
	Retire(ctx context.Context, uid, message string) error
	// Forget removes a run that is finished or abandoned, with its chunks and attempts. Of one that was named and opened, Begin and Run go on to find the name and
	// how it ended (PrunedAt), so that whoever comes late with its name does not do it all again. ErrFenced if it is neither; one that is not there is no error.
	Forget(ctx context.Context, uid string) error

	// History yields runs of one job, or of all, the newest first, but none that was forgotten. It streams.
	History(ctx context.Context, of Past) iter.Seq2[Run, error]
	// Runs yields the newest runs first, but none that was forgotten.
	Runs(ctx context.Context, limit int) ([]Run, error)
	// Totals sums up the chunks of one stage of a run.
	Totals(ctx context.Context, uid string, stage int) (Totals, error)
	// Chunks yields a run's chunks by stage and ID; of the given states only, where any are given.
	Chunks(ctx context.Context, uid string, states ...ChunkState) iter.Seq2[ChunkRow, error]

	// Fence describes the ledger to a sink that may find itself in the same database; nil where there can be no such sink.
	Fence(ctx context.Context) (*connector.Fence, error)

	// Shutdown closes the ledger's connections.
	Shutdown() error
}
