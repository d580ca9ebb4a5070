package drover

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Expectation is something that must hold of the rows that a run has staged; a run publishes nothing while one fails. Exactly one field is set;
// Kind says which. It is not part of a job's meaning: an open run may be judged by other expectations than it began with.
type Expectation struct {
	// Rows compares the number of rows with one of >=, >, <=, <, = and !=, as in ">= 1000".
	Rows string `json:"rows,omitempty"`
	// NotNull names columns that hold no NULL.
	NotNull Strings `json:"not_null,omitempty"`
	// Unique names columns in whose values no two rows agree. As in SQL, a row with a NULL in one of them agrees with no other.
	Unique Strings `json:"unique,omitempty"`
	// AcceptedValues maps columns to the values that they may have. NULL passes, as in SQL's CHECK.
	AcceptedValues []Accepted `json:"accepted_values,omitempty"`
	// SumEqualsSource names columns of numbers whose exact sum over the rows equals that over all rows read from the source, before any step.
	SumEqualsSource Strings `json:"sum_equals_source,omitempty"`
	// Check is a condition over one row in DuckDB SQL that is false for no row. NULL passes, as in SQL's CHECK.
	Check string `json:"check,omitempty"`
}

// Accepted is the values that a column may have, as text that DuckDB converts to the column's type.
type Accepted struct {
	Column string   `json:"column"`
	Values []string `json:"values"`
}

// Kind returns the name of the field that is set, "" for an empty expectation.
func (e Expectation) Kind() string {
	if kinds := e.kinds(); len(kinds) > 0 {
		return kinds[0]
	}
	return ""
}

func (e Expectation) kinds() []string {
	var set []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"rows", e.Rows != ""},
		{"not_null", e.NotNull != nil},
		{"unique", e.Unique != nil},
		{"accepted_values", e.AcceptedValues != nil},
		{"sum_equals_source", e.SumEqualsSource != nil},
		{"check", e.Check != ""},
	} {
		if k.set {
			set = append(set, k.name)
		}
	}
	return set
}

// String is the expectation as a job file has it, on one line.
func (e Expectation) String() string {
	text := ""
	switch e.Kind() {
	case "rows":
		text = e.Rows
	case "not_null":
		text = "[" + strings.Join(e.NotNull, ", ") + "]"
	case "unique":
		text = "[" + strings.Join(e.Unique, ", ") + "]"
	case "accepted_values":
		parts := make([]string, len(e.AcceptedValues))
		for i, a := range e.AcceptedValues {
			parts[i] = a.Column + ": [" + strings.Join(a.Values, ", ") + "]"
		}
		text = "{" + strings.Join(parts, ", ") + "}"
	case "sum_equals_source":
		text = strings.Join(e.SumEqualsSource, ", ")
	case "check":
		text = e.Check
	}
	return e.Kind() + ": " + strings.Join(strings.Fields(text), " ")
}

var rowsCondition = regexp.MustCompile(`^\s*(>=|<=|<>|!=|==|=|>|<|)\s*([0-9][0-9_]*)\s*$`)

// RowsHold reports whether so many rows meet Rows.
func (e Expectation) RowsHold(rows int64) (bool, error) {
	m := rowsCondition.FindStringSubmatch(e.Rows)
	if m == nil {
		return false, Errorf(Invalid, "rows is %q, which compares nothing", e.Rows).WithField("rows").
			WithHint(`write a comparison with a number of rows, such as rows: ">= 1000"`)
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(m[2], "_", ""), 10, 64)
	if err != nil {
		return false, Errorf(Invalid, "rows is %q: more rows than there can be", e.Rows).WithField("rows")
	}
	switch m[1] {
	case ">=":
		return rows >= n, nil
	case ">":
		return rows > n, nil
	case "<=":
		return rows <= n, nil
	case "<":
		return rows < n, nil
	case "!=", "<>":
		return rows != n, nil
	}
	return rows == n, nil
}

// validateExpect checks what needs no schema.
func (j Job) validateExpect() error {
	if len(j.Expect) == 0 {
		return nil
	}
	for i, e := range j.Expect {
		if err := e.validate(); err != nil {
			return under(index("expect", i), err)
		}
	}
	if c, ok := j.Sink.(interface{ CommitsEarly() bool }); ok && c.CommitsEarly() {
		return Errorf(Invalid, "expect is checked before anything is visible, and the rows of %s are visible as soon as their chunk is finished", j.Sink).
			WithField("expect").WithHint("write mode: replace in the sink, which stages the rows, or remove expect")
	}
	return nil
}

func (e Expectation) validate() error {
	kinds := e.kinds()
	switch len(kinds) {
	case 0:
		return Errorf(Invalid, "the expectation is empty").WithHint("write one of rows, not_null, unique, accepted_values, sum_equals_source, check")
	case 1:
	default:
		return Errorf(Invalid, "one expectation has %s", strings.Join(kinds, " and ")).WithField(kinds[1]).
			WithHint("make each of them an expectation of its own, with a dash")
	}
	switch kinds[0] {
	case "rows":
		_, err := e.RowsHold(0)
		return err
	case "not_null":
		return validateColumns("not_null", e.NotNull)
	case "unique":
		return validateColumns("unique", e.Unique)
	case "accepted_values":
		return validateAccepted(e.AcceptedValues)
	case "sum_equals_source":
		return validateColumns("sum_equals_source", e.SumEqualsSource)
	default:
		return validateText("check", e.Check)
	}
}

func validateAccepted(all []Accepted) error {
	const field = "accepted_values"
	if len(all) == 0 {
		return Errorf(Invalid, "%s names no column", field).WithField(field).WithHint("write a map of columns, such as %s: {state: [NY, CA]}", field)
	}
	seen := map[string]bool{}
	for _, a := range all {
		at := field + "." + a.Column
		switch {
		case strings.TrimSpace(a.Column) == "":
			return Errorf(Invalid, "%s has an empty column name", field).WithField(field)
		case seen[strings.ToLower(a.Column)]:
			return Errorf(Invalid, "%s names column %q twice", field, a.Column).WithField(at)
		case len(a.Values) == 0:
			return Errorf(Invalid, "%s accepts no value of column %q", field, a.Column).WithField(at).
				WithHint("write a list, such as %s", fmt.Sprintf("{%s: [NY, CA]}", a.Column))
		}
		seen[strings.ToLower(a.Column)] = true
	}
	return nil
}
