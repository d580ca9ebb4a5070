// Package step holds what a stage's steps compile to. Subpackages compile and execute the kinds of step.
package step

import (
	"strconv"
	"strings"
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
	// Where are conditions that the program's filters imply on the source's rows, all of which a row must meet to yield anything. A source
	// may apply any of them first.
	Where []Condition `json:"where,omitempty"`
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
