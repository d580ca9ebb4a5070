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
	// Downcast gives functions that follow (python, go) the smallest types that hold every value: of these columns, or of "all".
	// The columns' types towards SQL and the sink stay.
	Downcast Strings `json:"downcast,omitempty"`
	// SQL is one SELECT over the relation "chunk".
	SQL string `json:"sql,omitempty"`
}

// AllColumns is the value of Step.Downcast that means every column.
const AllColumns = "all"

// Pair is one entry of an ordered map in a job.
type Pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Kind returns the step's name as a job file spells it: "select", "drop", "rename", "filter", "set", "cast", "downcast" or
// "sql"; ""
// for an empty step.
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
	} {
		if field.set {
			kinds = append(kinds, field.name)
		}
	}
	return kinds
}
