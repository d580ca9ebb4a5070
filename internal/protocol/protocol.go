// Package protocol is the language between a driver and its workers: one JSON line per message. The driver writes
// Tasks to the worker's standard input; the worker answers each with any number of progress messages and warnings and
// one Result on its standard output, and ends on EOF.
package protocol

import (
	"encoding/json"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/downcast"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/step"
)

// Spec is a source or a sink on the wire.
type Spec struct {
	Connector string          `json:"connector"`
	Value     json.RawMessage `json:"value"`
}

// Stage is what all tasks of a stage share.
type Stage struct {
	Source      Spec            `json:"source"`
	SourceState json.RawMessage `json:"source_state,omitempty"`
	Input       drover.Schema   `json:"input"`
	Program     step.Program    `json:"program"`
	// Reads is the source columns that the program reads; others are moved, or dropped.
	Reads  []string      `json:"reads,omitempty"`
	Steps  []drover.Step `json:"steps"`
	Output drover.Schema `json:"output"`
	Sink   Spec          `json:"sink"`
	// Rejects takes the rows that the steps or the sink cannot; nil where they fail their chunk.
	Rejects *Rejects `json:"rejects,omitempty"`
	// Sums are the columns to add up, for Receipt.Sums.
	Sums []connector.SumColumn `json:"sums,omitempty"`
	// Rehearse are the expectations that the tasks of a dry run hold against their own rows: Result.Judged.
	Rehearse []drover.Expectation `json:"rehearse,omitempty"`
	// Functions is what the program's calls need beside it.
	Functions Functions `json:"functions,omitzero"`
	// ToSpools says that the tasks leave spools of Sink, and FromSpools that they read those instead of Source, with SourceState
	// (connector.Spools).
	ToSpools   bool `json:"to_spools,omitempty"`
	FromSpools bool `json:"from_spools,omitempty"`
}

// Rejects is where a stage's rejects go.
type Rejects struct {
	Sink Spec `json:"sink"`
	// State is what the sink's Begin returned; nil in a dry run, which stages none.
	State json.RawMessage `json:"state,omitempty"`
	// Max is the most rows that a run may reject. One task with more fails at once.
	Max int64 `json:"max"`
}

// Functions says where functions are found and how long they may take.
type Functions struct {
	// Dir is the job's folder, and Bin the interpreter that the job names.
	Dir string `json:"dir,omitempty"`
	Bin string `json:"bin,omitempty"`
	// Timeout is how long one call may take; 0 means for ever.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Task is one attempt, as a worker receives it.
type Task struct {
	Run    connector.Run     `json:"run"`
	Token  int64             `json:"token"`
	Stage  Stage             `json:"stage"`
	Chunks []connector.Chunk `json:"chunks"`
	// Memory is the worker's share of the budget in bytes. The loop leaves it 0 for the usual share, or asks for as much; the engine
	// sets what it grants.
	Memory   int64  `json:"memory"`
	Threads  int    `json:"threads"`
	Timezone string `json:"timezone"`
	// Now is the start of the run: what now() and current_date mean.
	Now time.Time `json:"now"`
	// DryRun reads and transforms, and writes nothing.
	DryRun bool `json:"dry_run,omitempty"`
	// Profile says what to find out about the task's one chunk, of which nothing is kept: Result.Profile.
	Profile Finding `json:"profile,omitempty"`
	// Expect has the task check what the run has staged, and write nothing: Result.Judged. It has no chunks then.
	Expect *Expect `json:"expect,omitempty"`
	// Connections is limits.source_connections, which holds for all processes of a machine together; 0 means no limit.
	Connections int `json:"connections,omitempty"`
}

// Progress is the totals of the running attempt so far.
type Progress struct {
	RowsIn   int64 `json:"rows_in"`
	RowsOut  int64 `json:"rows_out"`
	BytesIn  int64 `json:"bytes_in"`
	BytesOut int64 `json:"bytes_out"`
	// Memory is the worker's highest memory (Pss) since it was told last, in bytes.
	Memory int64 `json:"memory"`
}

// Result is the end of an attempt: receipts, or an error.
type Result struct {
	Receipts []connector.Receipt `json:"receipts,omitempty"`
	Error    *drover.Error       `json:"error,omitempty"`
	Profile  *Profile            `json:"profile,omitempty"`
	Judged   *Judged             `json:"judged,omitempty"`
	// Granted is the share of memory that the attempt had, in bytes. The engine sets it, also beside an error.
	Granted int64 `json:"granted,omitempty"`
}

// Expect is what a task that checks staged rows needs to know.
type Expect struct {
	Expectations []drover.Expectation `json:"expectations"`
	// Input is the columns of the run's source, and Sources the sums that some expectations compare with.
	Input   drover.Schema   `json:"input,omitempty"`
	Sources []expect.Source `json:"sources,omitempty"`
	// State is connector.Stager.StagedState's.
	State json.RawMessage `json:"state,omitempty"`
}

// Judged is what such a task found.
type Judged struct {
	// Rows is how many rows are staged.
	Rows   int64           `json:"rows"`
	Broken []expect.Broken `json:"broken,omitempty"`
}

// Finding is what a task that keeps nothing looks for.
type Finding string

const (
	// Cost is time and memory: all of a Profile but Columns. Values is Columns. A worker that is to tell what its tasks cost must not have
	// looked at values before: that takes memory which no run needs.
	Cost   Finding = "cost"
	Values Finding = "values"
)

// Profile is what was found out about one chunk.
type Profile struct {
	// Read is the time of reading alone, Transform that of reading and the steps, Total that of reading, steps and writing together, as a
	// run does them: side by side.
	Read      time.Duration `json:"read"`
	Transform time.Duration `json:"transform"`
	Total     time.Duration `json:"total"`
	// Function is the part of Transform that functions take, handing over included; Read is without it.
	Function time.Duration `json:"function,omitempty"`
	// CPU is what the worker used of it during Total, Server what the source's server needs to make the rows; 0 where there is none.
	CPU    time.Duration `json:"cpu"`
	Server time.Duration `json:"server,omitempty"`
	// Rehearsed says that Total includes writing.
	Rehearsed  bool  `json:"rehearsed"`
	RowsIn     int64 `json:"rows_in"`
	RowsOut    int64 `json:"rows_out"`
	BytesIn    int64 `json:"bytes_in"`
	BytesOut   int64 `json:"bytes_out"`
	PeakMemory int64 `json:"peak_memory"`
	// Columns are the statistics of the output's columns by name, without those that DuckDB cannot read.
	Columns map[string]downcast.Stats `json:"columns,omitempty"`
	// Received are those of the columns that the first function receives.
	Received map[string]downcast.Stats `json:"received,omitempty"`
}

// ExitOverrun is the exit code of a worker that ended itself because its task passed its share of memory.
const ExitOverrun = 77

// Overrun says by how much, in bytes. It is the last thing that such a worker says, if it still can.
type Overrun struct {
	Used    int64 `json:"used"`
	Allowed int64 `json:"allowed"`
}

// Message is one line from a worker: exactly one field is set.
type Message struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	Overrun  *Overrun  `json:"overrun,omitempty"`
	// Warning is a line for the user.
	Warning string `json:"warning,omitempty"`
	// Printed is a line that a function of the user's printed.
	Printed *Printed `json:"printed,omitempty"`
}

// Printed is a line that a function printed while it had a chunk.
type Printed struct {
	Chunk string `json:"chunk"`
	Line  string `json:"line"`
}

// Aside receives what workers say to the user besides results. Its functions may be called concurrently and are never nil.
type Aside struct {
	Warn    func(string)
	Printed func(Printed)
}
