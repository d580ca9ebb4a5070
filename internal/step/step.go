// Package step holds what a stage's steps compile to. Subpackages compile and execute the kinds of step.
package step

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
)

// Tag is the hidden BIGINT column that a Program carries from its input relation through every step to its
// output. It says which chunk of the task, or which row of a batch, an output row came from.
const Tag = "__drover_tag"

// input and chunk are the places in Program.SQL where the input relation and, in a program that is not row-wise, the chunk's index go.
const (
	input = "/*drover:input*/"
	chunk = "/*drover:chunk*/"
)

// Program is the compiled form of a stage's steps: one SELECT over an input relation. It is plain data.
type Program struct {
	// SQL yields the output columns in order and then Tag. It contains Input() where the input relation goes, once, and, unless
	// RowWise, Index() where the chunk's index goes.
	SQL string `json:"sql"`
	// RowWise says that each output row depends on one input row alone, so the program may run on any batch of rows.
	// Otherwise it must see exactly one whole chunk at a time.
	RowWise bool `json:"row_wise"`
	// Why says in a few words why RowWise is false.
	Why string `json:"why,omitempty"`
	// Calls are functions that are called before SQL, in this order; the input of SQL is then what the last one returned. A program with calls is
	// not row-wise. Tail is what follows them.
	Calls []Call `json:"calls,omitempty"`
	// RowWiseTail says of a program with calls that its SQL looks at one row at a time.
	RowWiseTail bool `json:"row_wise_tail,omitempty"`
	// Where are conditions that the program's filters imply on the source's rows, all of which a row must meet to yield anything. A source
	// may apply any of them first.
	Where []Condition `json:"where,omitempty"`
	// Rest is what Where does not say of the filters, as SQL: only the program can apply it. Those that follow calls, or a step that sees whole
	// chunks, are a part of it.
	Rest []string `json:"rest,omitempty"`
}

// Call is a function that is called with one whole chunk at a time, unless it has no rows.
type Call struct {
	// Step is the function's step in the job, from 0.
	Step int `json:"step"`
	// Before makes the function's rows of those of the call before it, or of the source.
	Before Program `json:"before"`
	// Input and Output are the columns that the function takes and returns.
	Input  drover.Schema `json:"input"`
	Output drover.Schema `json:"output"`
	// Narrow are those columns of Input that the function receives in a smaller type, with that type: a step downcast is before it. A chunk with a
	// value that the type does not hold keeps Input's. NarrowedBy are the chunks that the types were found in.
	Narrow     drover.Schema `json:"narrow,omitempty"`
	NarrowedBy []string      `json:"narrowed_by,omitempty"`
	// Function is what to call.
	Function Function `json:"function"`
	// Told says in a few words where Output comes from.
	Told string `json:"told,omitempty"`
}

// Field is the place of the function in the job file.
func (c Call) Field() string { return fmt.Sprintf("steps[%d].%s", c.Step, c.Function.Kind()) }

// Function names a function of the user's, in words that mean the same on every machine.
type Function struct {
	// Python is the function of a python step, as the job says it; Frame is the kind of data frame that it takes and DTypes the dtypes.
	Python string `json:"python,omitempty"`
	Frame  string `json:"frame,omitempty"`
	DTypes string `json:"dtypes,omitempty"`
	// Go is the name of a function of the program.
	Go string `json:"go,omitempty"`
}

// Kind is the function's step as a job file spells it.
func (f Function) Kind() string {
	if f.Go != "" {
		return "go"
	}
	return "python"
}

// Receives says what a call hands over: "each chunk as a pandas data frame".
func (f Function) Receives() string {
	switch {
	case f.Go != "":
		return "each chunk as an Arrow record batch"
	case f.DTypes != "":
		return "each chunk as a " + f.Frame + " data frame, " + f.DTypes + " dtypes"
	}
	return "each chunk as a " + f.Frame + " data frame"
}

// Tail is the program that follows the calls.
func (p Program) Tail() Program {
	if len(p.Calls) == 0 {
		return p
	}
	return Program{SQL: p.SQL, RowWise: p.RowWiseTail, Why: p.Why}
}

// Input returns the placeholder for the input relation in Program.SQL.
func Input() string { return input }

// Index returns the placeholder for the chunk's index in the SQL of a Program that is not row-wise.
func Index() string { return chunk }

// Over returns a row-wise program's SELECT over relation: a table name, or a parenthesised SELECT, that yields the input
// columns and Tag. A program that is not row-wise takes Chunk instead; its Over is not valid SQL.
func (p Program) Over(relation string) string {
	return strings.ReplaceAll(p.SQL, input, relation)
}

// Chunk returns the program's SELECT over the relation of one whole chunk, whose rows it tags with index.
func (p Program) Chunk(relation string, index int) string {
	return strings.NewReplacer(input, relation, chunk, strconv.Itoa(index)).Replace(p.SQL)
}
