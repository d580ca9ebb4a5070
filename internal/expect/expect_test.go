package expect_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/expect"
)

var output = drover.Schema{
	{Name: "id", Type: "BIGINT"},
	{Name: "state", Type: "VARCHAR"},
	{Name: "amount", Type: "DECIMAL(12,2)"},
	{Name: "note", Type: "VARCHAR"},
	{Name: "address", Native: "inet"},
}

const (
	good = `SELECT * FROM (VALUES (1, 'NY', 1.25, 'a', NULL), (2, 'CA', 2.50, NULL, 'x'::BLOB), (3, 'NY', 2.50, '', 'y'::BLOB))
		t(id, state, amount, note, address)`
	bad = `SELECT * FROM (VALUES (1, 'NY', 1.25, 'a', 'x'::BLOB), (2, 'XX', NULL, 'n/a', 'x'::BLOB), (2, NULL, -1.00, '7', 'x'::BLOB),
		(NULL, 'NY', 3.00, '8', 'y'::BLOB), (NULL, 'Ohio', 4.00, '9', NULL)) t(id, state, amount, note, address)`
)

// staged makes a query's rows what a run has staged. It counts how often they are read.
func staged(t *testing.T, query string) (expect.Staged, *int) {
	t.Helper()
	s, err := duck.Open(t.Context(), duck.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	reads := 0
	return expect.Staged{Session: s, Output: output, Relation: func() string {
		reads++
		return "(SELECT id::BIGINT AS id, state, amount::DECIMAL(12,2) AS amount, note, address FROM (" + query + "))"
	}}, &reads
}

func TestAnExpectationHoldsOrSaysWhichRowsBreakIt(t *testing.T) {
	for name, c := range map[string]struct {
		expectation drover.Expectation
		holds       string
		breaks      string
		want        expect.Broken
	}{
		"rows": {
			drover.Expectation{Rows: "< 4"},
			good, bad,
			expect.Broken{Message: "there are 5 rows"},
		},
		"not null": {
			drover.Expectation{NotNull: drover.Strings{"ID", "amount"}},
			good, bad,
			expect.Broken{Message: "3 rows with NULL", Rows: 3, Samples: []string{"id=2, amount=NULL, state=XX, note=n/a", "id=NULL, amount=3.00, state=NY, note=8", "id=NULL, amount=4.00, state=Ohio, note=9"}},
		},
		"not null of a column that DuckDB has no type for": {
			drover.Expectation{NotNull: drover.Strings{"address"}},
			"SELECT * FROM (" + good + ") WHERE address IS NOT NULL", bad,
			expect.Broken{Message: "1 row with NULL", Rows: 1, Samples: []string{"id=NULL, state=Ohio, amount=4.00, note=9"}},
		},
		"unique, where NULLs are no values": {
			drover.Expectation{Unique: drover.Strings{"id"}},
			good, bad,
			expect.Broken{Message: "2 rows share 1 value", Rows: 2, Samples: []string{"id=2 (2 rows)"}},
		},
		"unique together": {
			drover.Expectation{Unique: drover.Strings{"state", "amount"}},
			good, good + " UNION ALL " + good,
			expect.Broken{Message: "6 rows share 3 values", Rows: 6, Samples: []string{"state=CA, amount=2.50 (2 rows)", "state=NY, amount=1.25 (2 rows)", "state=NY, amount=2.50 (2 rows)"}},
		},
		"accepted values, which NULL passes": {
			drover.Expectation{AcceptedValues: []drover.Accepted{{Column: "state", Values: []string{"NY", "CA"}}}},
			good, bad,
			expect.Broken{Message: "2 rows with another value", Rows: 2, Samples: []string{"state=Ohio, id=NULL, amount=4.00, note=9", "state=XX, id=2, amount=NULL, note=n/a"}},
		},
		"accepted values of two columns": {
			drover.Expectation{AcceptedValues: []drover.Accepted{{Column: "id", Values: []string{"1", "2", "3"}}, {Column: "amount", Values: []string{"1.25", "2.5"}}}},
			good, bad,
			expect.Broken{Message: "3 rows with another value", Rows: 3, Samples: []string{"id=2, amount=-1.00, state=NULL, note=7", "id=NULL, amount=3.00, state=NY, note=8", "id=NULL, amount=4.00, state=Ohio, note=9"}},
		},
		"check, which NULL passes": {
			drover.Expectation{Check: "length(chunk.state) = 2 AND amount > 0 -- comment"},
			good, bad,
			expect.Broken{Message: "2 rows for which it is false", Rows: 2, Samples: []string{"state=Ohio, amount=4.00, id=NULL, note=9", "state=NULL, amount=-1.00, id=2, note=7"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rows, _ := staged(t, c.holds)
			if _, broken, err := expect.Check(t.Context(), rows, []drover.Expectation{c.expectation}); err != nil || len(broken) > 0 {
				t.Errorf("it should hold: %+v, %v", broken, err)
			}
			rows, _ = staged(t, c.breaks)
			_, broken, err := expect.Check(t.Context(), rows, []drover.Expectation{c.expectation})
			if err != nil || len(broken) != 1 {
				t.Fatalf("%+v, %v", broken, err)
			}
			c.want.Expectation, c.want.Field = c.expectation.String(), "expect[0]."+c.expectation.Kind()
			if diff := cmp.Diff(c.want, broken[0]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOfNoRowsEverythingHoldsButTheirNumber(t *testing.T) {
	rows, _ := staged(t, good+" LIMIT 0")
	n, broken, err := expect.Check(t.Context(), rows, []drover.Expectation{
		{Rows: ">= 1"},
		{NotNull: drover.Strings{"id"}},
		{Unique: drover.Strings{"id"}},
		{Check: "id < 0"},
		{AcceptedValues: []drover.Accepted{{Column: "id", Values: []string{"7"}}}},
		{Rows: "0"},
	})
	if err != nil || n != 0 || len(broken) != 1 || broken[0].Message != "there are 0 rows" {
		t.Fatalf("%d rows, %+v, %v", n, broken, err)
	}
}

func TestTheRowsAreReadOnceForAllExpectationsOfSingleRows(t *testing.T) {
	rows, reads := staged(t, good)
	if _, broken, err := expect.Check(t.Context(), rows, []drover.Expectation{
		{Rows: "3"}, {NotNull: drover.Strings{"id"}}, {Check: "id > 0"}, {Check: "amount > 0"}, {Unique: drover.Strings{"id"}},
	}); err != nil || len(broken) > 0 {
		t.Fatalf("%+v, %v", broken, err)
	}
	if *reads != 2 {
		t.Errorf("%d passes: one is enough, and one for unique", *reads)
	}
}

func TestAnExpectationThatFailsOnAValueIsBrokenAndTheOthersAreJudged(t *testing.T) {
	rows, _ := staged(t, bad)
	n, broken, err := expect.Check(t.Context(), rows, []drover.Expectation{
		{Check: "note::INTEGER > 0"}, {NotNull: drover.Strings{"state"}}, {Rows: "5"},
	})
	if err != nil || n != 5 || len(broken) != 2 {
		t.Fatalf("%d, %+v, %v", n, broken, err)
	}
	if !strings.HasPrefix(broken[0].Message, "it cannot be evaluated: ") || !strings.Contains(broken[0].Message, "'a'") || broken[1].Message != "1 row with NULL" {
		t.Errorf("%+v", broken)
	}
}

func TestSamplesAreShortAndHidePasswords(t *testing.T) {
	rows, _ := staged(t, `SELECT 1 AS id, 'postgres://u:hunter2@host/db' AS state, 1 AS amount, repeat('x', 500) || chr(7) AS note, NULL AS address`)
	_, broken, err := expect.Check(t.Context(), rows, []drover.Expectation{{Check: "state = note AND id = 0"}})
	if err != nil || len(broken) != 1 {
		t.Fatalf("%+v, %v", broken, err)
	}
	if s := strings.Join(broken[0].Samples, "\n"); strings.Contains(s, "hunter2") || len(s) > 200 || !strings.Contains(s, "id=1") {
		t.Errorf("%q", s)
	}
}

func TestAnExpectationThatDoesNotFitTheColumnsIsRefusedWithItsPlace(t *testing.T) {
	rows, _ := staged(t, good)
	input := append(slices.Clone(output), drover.Column{Name: "ratio", Type: "DOUBLE"})
	output := append(slices.Clone(output), drover.Column{Name: "ratio", Type: "DECIMAL(12,2)"}, drover.Column{Name: "made", Type: "BIGINT"})
	for name, c := range map[string]struct {
		e     drover.Expectation
		field string
		parts []string
	}{
		"unknown column":           {drover.Expectation{NotNull: drover.Strings{"id", "stat"}}, "expect[0].not_null[1]", []string{"stat", "does not exist", `Did you mean "state"`}},
		"unknown unique column":    {drover.Expectation{Unique: drover.Strings{"zip"}}, "expect[0].unique[0]", []string{"zip", "id, state"}},
		"column of no type":        {drover.Expectation{Unique: drover.Strings{"address"}}, "expect[0].unique[0]", []string{"inet", "address"}},
		"unknown accepted":         {drover.Expectation{AcceptedValues: []drover.Accepted{{Column: "zip", Values: []string{"1"}}}}, "expect[0].accepted_values.zip", []string{"zip"}},
		"value of another type":    {drover.Expectation{AcceptedValues: []drover.Accepted{{Column: "id", Values: []string{"1", "NY"}}}}, "expect[0].accepted_values.id[1]", []string{`"NY"`, "BIGINT"}},
		"check of no column":       {drover.Expectation{Check: "zip > 1"}, "expect[0].check", []string{"zip"}},
		"check that is no truth":   {drover.Expectation{Check: "amount + 1"}, "expect[0].check", []string{"BOOLEAN", "DECIMAL"}},
		"check of wrong types":     {drover.Expectation{Check: "id > 'x'"}, "expect[0].check", []string{"x"}},
		"check of many rows":       {drover.Expectation{Check: "sum(id) > 1"}, "expect[0].check", []string{"sum"}},
		"check that is no SQL":     {drover.Expectation{Check: "id >"}, "expect[0].check", []string{"syntax"}},
		"sum of no column":         {drover.Expectation{SumEqualsSource: drover.Strings{"amout"}}, "expect[0].sum_equals_source[0]", []string{`Did you mean "amount"`}},
		"sum of texts":             {drover.Expectation{SumEqualsSource: drover.Strings{"state"}}, "expect[0].sum_equals_source[0]", []string{"VARCHAR in the source", "types:"}},
		"sum of an inet":           {drover.Expectation{SumEqualsSource: drover.Strings{"address"}}, "expect[0].sum_equals_source[0]", []string{"inet"}},
		"sum of a computed column": {drover.Expectation{SumEqualsSource: drover.Strings{"made"}}, "expect[0].sum_equals_source[0]", []string{"does not exist in the source", "renamed"}},
		"sum of floats cast":       {drover.Expectation{SumEqualsSource: drover.Strings{"ratio"}}, "expect[0].sum_equals_source[0]", []string{"DOUBLE in the source and DECIMAL(12,2) in the output", "exact sums differ"}},
		"check of an inet":         {drover.Expectation{Check: "address IS NULL"}, "expect[0].check", []string{"address"}},
	} {
		_, err := expect.Bind(t.Context(), rows.Session, []drover.Expectation{c.e}, input, output)
		var e *drover.Error
		if !errors.As(err, &e) || e.Kind != drover.Invalid || !strings.HasPrefix(e.Field, c.field) {
			t.Errorf("%s: %+v", name, err)
			continue
		}
		for _, part := range c.parts {
			if !strings.Contains(e.Message+" "+e.Hint, part) {
				t.Errorf("%s lacks %q: %s (%s)", name, part, e.Message, e.Hint)
			}
		}
	}
}
