package drover

import "slices"

// Source says where a frame's rows come from. It is plain data, defined by a connector's vocabulary, and
// marshals to and from JSON with everything that a worker needs to read it, credentials included.
type Source interface {
	// Connector names the connector that reads it: "files", "postgres".
	Connector() string
	// String describes it to a person in a few words, without secrets.
	String() string
	// Meaning is the part that belongs to the job's fingerprint: what is read, without hosts and credentials.
	Meaning() any
}

// Sink says where a frame's rows go. Its methods mean what Source's mean.
type Sink interface {
	Connector() string
	String() string
	Meaning() any
}

// Chunking says how a source is cut into chunks. The zero value lets the source choose by size. At most one of By, Rows
// and Files is set.
type Chunking struct {
	// By names a column: one chunk per value, NULL included.
	By string `json:"by,omitempty"`
	// Keys is a query that lists the values of By instead of asking the table.
	Keys string `json:"keys,omitempty"`
	// Others says what becomes of rows whose value Keys does not list: "" makes one more chunk of them, "ignore" leaves
	// them out.
	Others string `json:"others,omitempty" jsonschema:"enum=ignore"`
	// NewKeys leaves out the keys that finished runs of the job have loaded. For sinks that keep what is there: append and upsert.
	NewKeys bool `json:"new_keys,omitempty"`
	// Spool reads the source once and groups its rows by By on local disk.
	Spool bool `json:"spool,omitempty"`
	// Rows is the number of rows a chunk should have.
	Rows int64 `json:"rows,omitempty" jsonschema:"minimum=1"`
	// Files is the number of files a chunk has.
	Files int `json:"files,omitempty" jsonschema:"minimum=1"`
}

// IsZero reports whether nothing was said about chunking.
func (c Chunking) IsZero() bool { return c == Chunking{} }

// Frame is a lazy table: a source and the steps on it. Methods return a new frame; nothing runs until a job does.
type Frame struct {
	Source Source
	Chunk  Chunking
	Steps  []Step
}

// Read starts a frame at a source.
func Read(src Source) Frame { return Frame{Source: src} }

func (f Frame) with(s Step) Frame {
	f.Steps = append(slices.Clip(slices.Clone(f.Steps)), s)
	return f
}

// ChunkBy cuts the source into one chunk per value of column.
func (f Frame) ChunkBy(column string) Frame { f.Chunk = Chunking{By: column}; return f }

// ChunkRows cuts the source into chunks of about n rows.
func (f Frame) ChunkRows(n int64) Frame { f.Chunk = Chunking{Rows: n}; return f }

// ChunkFiles cuts the source into chunks of n files.
func (f Frame) ChunkFiles(n int) Frame { f.Chunk = Chunking{Files: n}; return f }

// Select keeps the named columns, in this order.
func (f Frame) Select(columns ...string) Frame { return f.with(Step{Select: columns}) }

// Drop removes the named columns.
func (f Frame) Drop(columns ...string) Frame { return f.with(Step{Drop: columns}) }

// Rename gives a column a new name.
func (f Frame) Rename(from, to string) Frame { return f.with(Step{Rename: []Pair{{from, to}}}) }

// Filter keeps the rows for which expr is true.
func (f Frame) Filter(expr string) Frame { return f.with(Step{Filter: expr}) }

// Set computes columns from the input row.
func (f Frame) Set(assignments ...Pair) Frame { return f.with(Step{Set: assignments}) }

// Cast converts a column to a DuckDB type.
func (f Frame) Cast(column, typ string) Frame { return f.with(Step{Cast: []Pair{{column, typ}}}) }

// Downcast gives functions that follow the smallest types that hold every value of these columns, or of AllColumns.
func (f Frame) Downcast(columns ...string) Frame { return f.with(Step{Downcast: columns}) }

// SQL applies one SELECT over the relation "chunk".
func (f Frame) SQL(query string) Frame { return f.with(Step{SQL: query}) }

// Python calls a function with each chunk as a data frame: "clean.py:clean", or "package.module:function".
func (f Frame) Python(function string) Frame { return f.with(Step{Python: function}) }

// Map calls fn with all rows of each chunk. The name stands for it in the ledger and in errors.
func (f Frame) Map(name string, fn Func) Frame { return f.with(Step{Go: name, Func: fn}) }

// Returning declares the columns that the function of the last step returns, with their DuckDB types. A frame whose last step is
// none is returned as it is.
func (f Frame) Returning(columns ...Pair) Frame {
	if len(f.Steps) == 0 || !f.Steps[len(f.Steps)-1].Calls() {
		return f
	}
	f.Steps = slices.Clone(f.Steps)
	f.Steps[len(f.Steps)-1].Schema = columns
	return f
}
