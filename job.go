package drover

import "time"

// Job is what a user wrote: a name, a frame, a sink, limits.
type Job struct {
	Name  string
	Frame Frame
	Sink  Sink
	// Timezone is the zone of every session that computes on timestamps. Empty means UTC.
	Timezone string
	Limits   Limits
	// Keep is how long runs that are over stay in the ledger: each run that finishes removes the job's older ones. 0 keeps them all. It is
	// not part of a job's meaning.
	Keep time.Duration
	// Ledger is a path (SQLite) or a postgres:// URL. Empty means the default below the working directory.
	Ledger string
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
	// SourceConnections bounds the connections that read the source at any one time.
	SourceConnections int `json:"source_connections,omitempty" jsonschema:"minimum=1"`
}
