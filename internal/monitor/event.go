// Package monitor is what a run tells about itself: events, a structure first and text second. The consumers here turn them into
// a bar on a terminal, into plain lines, or into JSON lines.
package monitor

import (
	"time"

	"github.com/droverdata/drover"
)

// Event is one thing that happened in a run: one of the structs of this package, by value. Events are facts and carry
// no secrets.
type Event interface {
	// event names the kind of event in JSON logs.
	event() string
}

// Planned says what is going to run. It comes first, once.
type Planned struct {
	Job    string `json:"job"`
	Source string `json:"source"`
	Sink   string `json:"sink"`
	// By is the column that the source was cut by, if any.
	By     string `json:"by,omitempty"`
	Chunks int64  `json:"chunks"`
	// Loaded is how many keys were left out because earlier runs have loaded them.
	Loaded int64 `json:"loaded_keys,omitempty"`
	// Rows and Bytes are the source's estimates; 0 when unknown.
	Rows  int64 `json:"rows,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`
	// Path says in a few words which route the rows take: "fast path: 15 of 18 columns untouched".
	Path string `json:"path,omitempty"`
	// Notes are the plan's further lines: casts, how it will publish, indexes to make.
	Notes []string `json:"notes,omitempty"`
}

// Opened says that the run is in the ledger and work begins.
type Opened struct {
	Run string `json:"run"`
	// Ledger is a path or a server and database, without secrets.
	Ledger  string `json:"ledger"`
	Workers int    `json:"workers"`
	// Memory is the budget of the whole process tree in bytes.
	Memory int64 `json:"memory_bytes"`
	// Resumed says that the run was there before this process, which takes it up or joins another one in it.
	Resumed bool `json:"resumed"`
	// Beside is how many other drivers are at work on it.
	Beside int `json:"beside,omitempty"`
	// FinishedBefore of Chunks were finished when this process came.
	FinishedBefore int64     `json:"finished_before"`
	Chunks         int64     `json:"chunks"`
	StartedAt      time.Time `json:"started_at"`
	// DryRun says that nothing is written.
	DryRun bool `json:"dry_run,omitempty"`
}

// Merging says that the first stage is complete and the second one begins, which merges what the first has spooled. The Progress that
// follows is that of the merge.
type Merging struct {
	// FinishedBefore of Chunks were finished when this process came.
	Chunks         int64 `json:"chunks"`
	FinishedBefore int64 `json:"finished_before,omitempty"`
}

// Progress is the state of the run. It comes several times a second at most; every one replaces the one before.
type Progress struct {
	// Total counts all chunks but split ones; Running ones belong to neither Finished nor Failed.
	Total    int64 `json:"total"`
	Finished int64 `json:"finished"`
	Running  int64 `json:"running"`
	Failed   int64 `json:"error"`
	// RowsIn and the next three are the sums over finished chunks and running attempts of the whole run.
	RowsIn   int64 `json:"rows_in"`
	RowsOut  int64 `json:"rows_out"`
	BytesIn  int64 `json:"bytes_in"`
	BytesOut int64 `json:"bytes_out"`
	// RowsPerSecond and BytesPerSecond are rates of reading, over the last few seconds.
	RowsPerSecond  float64 `json:"rows_per_second"`
	BytesPerSecond float64 `json:"bytes_per_second"`
	// Memory is what driver and workers use now, in bytes.
	Memory int64 `json:"memory_bytes"`
	// Left is the estimate of the time that is left; 0 when unknown.
	Left time.Duration `json:"left_ns,omitempty"`
}

// ChunkFailed says that an attempt of a chunk failed when it was alone.
type ChunkFailed struct {
	// By is the column that the source was cut by, if any, and Key the chunk's key.
	By    string        `json:"by,omitempty"`
	Key   string        `json:"key"`
	Error *drover.Error `json:"error"`
	// Attempts is how often the chunk failed alone, and Losses how often it lost its worker, or overran its memory, alone. Final says that it is not tried
	// again in this run.
	Attempts int  `json:"attempts"`
	Losses   int  `json:"losses,omitempty"`
	Final    bool `json:"final"`
	// Budget is the --memory in bytes under which the chunk would have room, where it failed for want of it.
	Budget int64 `json:"budget_bytes,omitempty"`
}

// Warning is something for the user to know that is not an error.
type Warning struct {
	Text string `json:"text"`
}

// Waiting says that a server is away, or a connection to it was lost, and that what needs it is tried again and again until Until.
type Waiting struct {
	// For is what is waited for: "the ledger".
	For   string `json:"for"`
	Cause string `json:"cause"`
	// Until is zero where a server has only not answered yet.
	Until time.Time `json:"until,omitzero"`
}

// Back says that what was waited for is there again, after so many seconds.
type Back struct {
	// For is as in Waiting.
	For     string  `json:"for"`
	Seconds float64 `json:"seconds"`
}

// Printed is a line that a function of the user's printed while it had the chunk.
type Printed struct {
	Chunk string `json:"chunk"`
	Line  string `json:"line"`
}

// Draining says that the run was asked to stop: Running attempts are finished and no new ones begin.
type Draining struct {
	Running int `json:"running"`
}

// Checking says that every chunk is finished and what is staged is held against the job's expectations.
type Checking struct {
	Expectations int `json:"expectations"`
}

// ExpectationFailed says that the staged rows broke an expectation, and so nothing is published.
type ExpectationFailed struct {
	// Expectation is as in the job: "unique: [id]".
	Expectation string `json:"expectation"`
	Message     string `json:"message"`
	// Rows is how many rows break it, where it is about single ones, and Samples are some of them.
	Rows    int64    `json:"rows,omitempty"`
	Samples []string `json:"samples,omitempty"`
}

// Publishing says that every chunk is finished and the result is being made visible.
type Publishing struct {
	Sink string `json:"sink"`
}

// Ended is the last event of a run, however it ended.
type Ended struct {
	Run   string `json:"run"`
	State string `json:"state"`
	// Sink is as in Planned.
	Sink string `json:"sink"`
	// Total and the next three count chunks.
	Total    int64 `json:"total"`
	Finished int64 `json:"finished"`
	Failed   int64 `json:"error"`
	Pending  int64 `json:"pending"`
	RowsIn   int64 `json:"rows_in"`
	RowsOut  int64 `json:"rows_out"`
	// RowsRejected of RowsIn went to Rejects, which is empty where the job has none.
	RowsRejected int64  `json:"rows_rejected,omitempty"`
	Rejects      string `json:"rejects,omitempty"`
	Files        int64  `json:"files"`
	// Seconds is the time of this process on the run; RowsHere are the rows that it read in that time.
	Seconds    float64 `json:"seconds"`
	RowsHere   int64   `json:"rows_here"`
	PeakMemory int64   `json:"peak_memory_bytes"`
	// Published says that the result is visible.
	Published bool `json:"published"`
	// MaxErrors is limits.max_errors where the run stopped early because of it, with Pending chunks not tried.
	MaxErrors int `json:"max_errors,omitempty"`
	// Visible says that the rows of finished chunks are visible although the run is not over.
	Visible bool `json:"visible,omitempty"`
	// Interrupted says that the run was stopped and can be resumed.
	Interrupted bool `json:"interrupted,omitempty"`
	DryRun      bool `json:"dry_run,omitempty"`
	// FinishedAt is of a run that others finished before this process came to it; PrunedAt of one of which drover prune left no more: its counts are all 0.
	FinishedAt time.Time `json:"finished_at,omitzero"`
	PrunedAt   time.Time `json:"pruned_at,omitzero"`
}

func (Planned) event() string           { return "planned" }
func (Opened) event() string            { return "opened" }
func (Merging) event() string           { return "merging" }
func (Progress) event() string          { return "progress" }
func (ChunkFailed) event() string       { return "chunk_failed" }
func (Warning) event() string           { return "warning" }
func (Waiting) event() string           { return "waiting" }
func (Back) event() string              { return "back" }
func (Printed) event() string           { return "printed" }
func (Draining) event() string          { return "draining" }
func (Publishing) event() string        { return "publishing" }
func (Checking) event() string          { return "checking" }
func (ExpectationFailed) event() string { return "expectation_failed" }
func (Ended) event() string             { return "ended" }
