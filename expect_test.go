package drover

import (
	"errors"
	"strings"
	"testing"
)

// early is a sink whose rows are visible before the run is over.
type early struct{ place }

func (early) CommitsEarly() bool { return true }

func TestExpectationsAreValidated(t *testing.T) {
	for rule, c := range map[string]struct {
		e     Expectation
		field string // "" where it is right
	}{
		"rows of at least so many":             {Expectation{Rows: ">= 1_000"}, ""},
		"rows of a number alone":               {Expectation{Rows: " 5 "}, ""},
		"rows with a word":                     {Expectation{Rows: "> few"}, "expect[0].rows"},
		"rows below zero":                      {Expectation{Rows: "> -1"}, "expect[0].rows"},
		"more rows than can be counted":        {Expectation{Rows: "> 99999999999999999999"}, "expect[0].rows"},
		"an empty one":                         {Expectation{}, "expect[0]"},
		"two in one":                           {Expectation{Rows: "5", Check: "a"}, "expect[0].check"},
		"a column twice, in another case":      {Expectation{Unique: Strings{"a", "A"}}, "expect[0].unique[1]"},
		"no column":                            {Expectation{NotNull: Strings{}}, "expect[0].not_null"},
		"an accepted value":                    {Expectation{AcceptedValues: []Accepted{{"a", []string{""}}}}, ""},
		"a column without accepted values":     {Expectation{AcceptedValues: []Accepted{{"a", nil}}}, "expect[0].accepted_values.a"},
		"a column with two lists":              {Expectation{AcceptedValues: []Accepted{{"a", []string{"1"}}, {"A", []string{"1"}}}}, "expect[0].accepted_values.A"},
		"a sum of no column":                   {Expectation{SumEqualsSource: Strings{}}, "expect[0].sum_equals_source"},
		"a sum":                                {Expectation{SumEqualsSource: Strings{"a"}}, ""},
		"a check that is blank":                {Expectation{Check: " "}, "expect[0].check"},
		"a check is looked at by DuckDB alone": {Expectation{Check: "a >"}, ""},
	} {
		j := validJob()
		j.Expect = []Expectation{c.e}
		err := j.Validate()
		var e *Error
		if c.field == "" {
			if err != nil {
				t.Errorf("%s: %v", rule, err)
			}
		} else if !errors.As(err, &e) || e.Kind != Invalid || e.Field != c.field {
			t.Errorf("%s: %+v", rule, err)
		}
	}
}

func TestExpectationsNeedASinkThatStages(t *testing.T) {
	j := validJob()
	j.Sink = early{}
	if err := j.Validate(); err != nil {
		t.Fatal(err)
	}
	j.Expect = []Expectation{{Rows: "> 0"}}
	var e *Error
	if err := j.Validate(); !errors.As(err, &e) || e.Field != "expect" || !strings.Contains(e.Hint, "replace") {
		t.Errorf("%+v", err)
	}
}

func TestRowsHold(t *testing.T) {
	for _, c := range []struct {
		rows string
		n    int64
		want bool
	}{
		{">= 5", 5, true},
		{">= 5", 4, false},
		{"> 5", 5, false},
		{"<= 5", 5, true},
		{"< 5", 5, false},
		{"= 5", 5, true},
		{"== 5", 6, false},
		{"5", 5, true},
		{"!= 5", 5, false},
		{"<>5", 6, true},
		{"0", 0, true},
	} {
		if got, err := (Expectation{Rows: c.rows}).RowsHold(c.n); got != c.want || err != nil {
			t.Errorf("%d %s: %v, %v", c.n, c.rows, got, err)
		}
	}
}
