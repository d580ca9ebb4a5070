package drover

// Step is one operation on a frame. Exactly one field is set; Kind says which. Expressions are DuckDB SQL.
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
	// SQL is one SELECT over the relation "chunk".
	SQL string `json:"sql,omitempty"`
}

// Pair is one entry of an ordered map in a job.
type Pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Kind returns the step's name as a job file spells it: "select", "drop", "rename", "filter", "set", "cast" or "sql"; ""
// for an empty step.
func (s Step) Kind() string {
	switch {
	case s.Select != nil:
		return "select"
	case s.Drop != nil:
		return "drop"
	case s.Rename != nil:
		return "rename"
	case s.Filter != "":
		return "filter"
	case s.Set != nil:
		return "set"
	case s.Cast != nil:
		return "cast"
	case s.SQL != "":
		return "sql"
	}
	return ""
}
