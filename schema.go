package drover

import "strings"

// Column describes one column of a frame.
type Column struct {
	Name string `json:"name"`
	// Type is the column's type in DuckDB's spelling: "BIGINT", "DECIMAL(12,2)", "VARCHAR[]". It is empty where
	// DuckDB has no type that carries every value exactly; such a column can be moved, but no step can read it.
	Type string `json:"type,omitempty"`
	// Native is the type in the words of the system that the column comes from ("numeric(12,2)", "inet").
	Native string `json:"native,omitempty"`
	// Made says what a native type without a Type is made of, where it is the user's own: "a range of bigint". Two systems may each have
	// another type of that name.
	Made string `json:"made,omitempty"`
	// Collation is the native type's collation, quoted and qualified, where it is not the type's own.
	Collation string `json:"collation,omitempty"`
	// NotNull says that the system guarantees the absence of NULLs.
	NotNull bool `json:"not_null,omitempty"`
	// From names the source column whose values this one repeats unchanged. Empty for a computed column.
	From string `json:"from,omitempty"`
}

// Schema is the ordered columns of a frame. Names are unique without regard to case, as in DuckDB.
type Schema []Column

// Index returns the position of the column called name, compared without regard to case, or -1.
func (s Schema) Index(name string) int {
	for i, c := range s {
		if strings.EqualFold(c.Name, name) {
			return i
		}
	}
	return -1
}

// Names returns the column names in order.
func (s Schema) Names() []string {
	names := make([]string, len(s))
	for i, c := range s {
		names[i] = c.Name
	}
	return names
}
