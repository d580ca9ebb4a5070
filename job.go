package drover

import "time"

// Job is what a user wrote: a name, a frame, a sink, limits.
type Job struct {
	Name  string
	Frame Frame
	Sink  Sink
	// PythonEnv is the Python that python steps run in.
	PythonEnv PythonEnv
	// Dir is the folder in which the files that steps name are found; empty means the working directory. It is not part of a job's meaning.
	Dir string
	// Timezone is the zone of every session that computes on timestamps. Empty means UTC.
	Timezone string
	Limits   Limits
	// Rejects takes the rows that cannot be converted or stored. Nil: such a row fails its chunk.
	Rejects *Rejects
	// Expect must hold of the rows before they are published. It is not part of a job's meaning.
	Expect []Expectation
	// Keep is how long runs that are over stay in the ledger: each run that finishes removes the job's older ones. 0 keeps them all. It is
	// not part of a job's meaning.
	Keep time.Duration
	// Ledger is a path (SQLite) or a postgres:// URL. Empty means the default below the working directory.
	Ledger string
	// Test is what drover test compares; nil where the job has none. It is not part of a job's meaning.
	Test *Test
}

// Test is how a job's result is compared with the truth, without its sink.
type Test struct {
	// Source is read in the place of the job's, to its end; nil reads a sample of the job's own chunks.
	Source Source
	// Sample is how many chunks are read of the source. 0 is all of Source, or 5 of the job's own.
	Sample int
	// Truth is what the result must be: a dataset or a table.
	Truth Source
	// Key is the columns of the result that say which rows belong together.
	Key []string
	// Ignore is columns that are not compared.
	Ignore []string
	// Tolerance is how far two floats may be apart: by Tolerance × max(1, their size).
	Tolerance float64
}

// Rejects says where rows go that cannot be converted or stored, and how many may. Where they go is part of a job's meaning, and that they go; how
// many is a limit.
type Rejects struct {
	// Sink holds them, one row each: what they are is the same for every job. It says by its method Rejects that it can.
	Sink Sink `json:"-"`
	// Max fails the run once more rows were rejected. Default 1000.
	Max int64 `json:"max,omitempty" jsonschema:"minimum=1"`
}

// DefaultMaxRejects is what a Max of 0 means.
const DefaultMaxRejects = 1000

// Most is Max or its default.
func (r Rejects) Most() int64 {
	if r.Max > 0 {
		return r.Max
	}
	return DefaultMaxRejects
}

// Into returns the sink as it is opened for rejects. A sink takes part by implementing
//
//	Rejects() (drover.Sink, error)  // the sink as it holds rejects; Field relative to the value
func (r Rejects) Into() (Sink, error) {
	k, ok := r.Sink.(interface{ Rejects() (Sink, error) })
	if !ok {
		return nil, Errorf(Invalid, "%s cannot hold rejects: what it writes is visible before the run is published", r.Sink.Connector()).
			WithHint("write rejects: {files: {path: rejects/}}")
	}
	return k.Rejects()
}

// String is where rejects go, in a few words and without a password: rejects are always added to those of earlier runs, whatever mode the sink would have
// as a job's.
func (r Rejects) String() string {
	if p, ok := r.Sink.(interface{ Place() string }); ok {
		return p.Place()
	}
	return r.Sink.String()
}

// Functions are the Go functions of the job's steps by their names.
func (j Job) Functions() map[string]Func {
	functions := map[string]Func{}
	for _, s := range j.Frame.Steps {
		if s.Func != nil {
			functions[s.Go] = s.Func
		}
	}
	return functions
}

// Limits bound what a run may use. A zero field means the default. Limits are not part of a job's meaning.
type Limits struct {
	// Workers is the number of worker processes.
	Workers int `json:"workers,omitempty" jsonschema:"minimum=1"`
	// Memory is the budget of the whole process tree in bytes.
	Memory int64 `json:"memory,omitempty" unit:"bytes"`
	// Attempts is how often a chunk is tried alone before it ends in error. Default 3.
	Attempts int `json:"attempts,omitempty" jsonschema:"minimum=1"`
	// MaxErrors stops the run once so many chunks have ended in error. 0 means never.
	MaxErrors int `json:"max_errors,omitempty" jsonschema:"minimum=0"`
	// SourceConnections bounds the connections that all of drover's processes of one machine have to the source at any one time.
	SourceConnections int `json:"source_connections,omitempty" jsonschema:"minimum=1"`
	// ChunkTimeout is how long a function may take for one chunk, such as 10m: then its process is ended, and the attempt has failed.
	// 0 means for ever.
	ChunkTimeout time.Duration `json:"chunk_timeout,omitempty" unit:"age"`
}

// PythonEnv says which Python runs a job's functions. What it names is not part of the job's meaning; the versions found there are.
type PythonEnv struct {
	// Bin is the interpreter, by default that of the active virtual environment, else python3. A relative path starts at the job file's
	// folder.
	Bin string `json:"bin,omitempty"`
	// Requirements must be installed there, such as pandas>=2: they are checked before anything runs.
	Requirements []string `json:"requirements,omitempty"`
}
