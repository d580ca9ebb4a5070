package drover

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
)

// Step is one operation on a frame: exactly one of the fields from Select to Go is set, and Kind says which. Expressions are DuckDB SQL.
type Step struct {
	// Select keeps these columns, in this order.
	Select []string `json:"select,omitempty"`
	// Drop removes these columns.
	Drop []string `json:"drop,omitempty"`
	// Rename maps an old column name to its new one.
	Rename []Pair `json:"rename,omitempty"`
	// Filter keeps the rows for which the expression is true.
	Filter string `json:"filter,omitempty"`
	// Set maps a column, new or existing, to an expression over the step's input row. All expressions see the input, never
	// each other's results.
	Set []Pair `json:"set,omitempty"`
	// Cast maps a column to the type that it is converted to.
	Cast []Pair `json:"cast,omitempty"`
	// Downcast gives functions that follow (python, go) smaller types of these columns, or of "all": integers, DOUBLE as FLOAT, texts of few values as
	// categories, the smallest that hold the source's first chunks. A chunk with a value that does not fit keeps the column's own type. The types
	// towards SQL and the sink stay.
	Downcast Strings `json:"downcast,omitempty"`
	// SQL is one SELECT over the relation "chunk".
	SQL string `json:"sql,omitempty"`
	// Python names a function that is called with each chunk as a data frame and returns another: "clean.py:clean", in a file below the job's
	// folder, or "package.module:function".
	Python string `json:"python,omitempty"`
	// Go names Func, for the ledger and in errors.
	Go string `json:"go,omitempty" jsonschema:"-"`
	// Func is the function of a go step. It is part of the program, whose hash stands for it in the job's meaning.
	Func Func `json:"-"`

	// Schema declares the columns that the function of a python or go step returns, with their DuckDB types. Without it they are those of the
	// sink's table where the step is the last and the table exists, else what the function returns for a sample.
	Schema []Pair `json:"schema,omitempty"`
	// Frame is the kind of data frame that the function takes and returns. By default its first parameter's annotation says so, else it is
	// pandas.
	Frame string `json:"frame,omitempty" jsonschema:"enum=pandas,enum=polars,enum=pyarrow"`
	// DTypes is which dtypes a pandas function receives. By default numpy's for each column of which they lose nothing, and nullable or Arrow's for
	// the others.
	DTypes string `json:"dtypes,omitempty" jsonschema:"enum=numpy,enum=nullable,enum=pyarrow"`
}

// Func is called with all rows of one chunk, which hold the values as DuckDB exports them to Arrow, and returns others. It owns neither: the batch
// that it gets is valid until it returns, and the one that it returns is released by the caller. An error, or a panic, fails the
// chunk.
type Func func(ctx context.Context, chunk arrow.RecordBatch) (arrow.RecordBatch, error)

// AllColumns is the value of Step.Downcast that means every column.
const AllColumns = "all"

// Pair is one entry of an ordered map in a job.
type Pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Kind returns the step's name as a job file spells it: "select", "drop", "rename", "filter", "set", "cast", "downcast", "sql",
// "python" or "go"; "" for an empty step.
func (s Step) Kind() string {
	if kinds := s.kinds(); len(kinds) > 0 {
		return kinds[0]
	}
	return ""
}

// kinds names the fields that are set. A step that is valid has one.
func (s Step) kinds() []string {
	var kinds []string
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"select", s.Select != nil},
		{"drop", s.Drop != nil},
		{"rename", s.Rename != nil},
		{"filter", s.Filter != ""},
		{"set", s.Set != nil},
		{"cast", s.Cast != nil},
		{"downcast", s.Downcast != nil},
		{"sql", s.SQL != ""},
		{"python", s.Python != ""},
		{"go", s.Go != ""},
	} {
		if field.set {
			kinds = append(kinds, field.name)
		}
	}
	return kinds
}

// Calls reports whether the step is a function that is called with whole chunks.
func (s Step) Calls() bool { return s.Python != "" || s.Go != "" }
