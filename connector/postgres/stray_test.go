package postgres

import (
	"strings"
	"testing"
)

func TestStagingTablesOfALostLedgerAreNamedWithTheCommandThatDropsThem(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint); CREATE TABLE other (id bigint)")
	spec := &Sink{URL: u, Table: "t", Mode: Replace}
	notes := func(spec *Sink) string {
		check, err := newJob(t, spec, numbers(0, 2)).check()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(check.Notes, "\n")
	}
	if got := notes(spec); strings.Contains(got, "DROP TABLE") {
		t.Errorf("nothing was left, and the plan says %s", got)
	}
	lost := newJob(t, spec, numbers(0, 2)).begin()
	drop := "DROP TABLE " + lost.state().Into.sql()
	if got := notes(spec); !strings.Contains(got, "run r-test of job job") || !strings.Contains(got, drop) {
		t.Errorf("the plan says %s", got)
	}
	if got := notes(&Sink{URL: u, Table: "other", Mode: Replace}); strings.Contains(got, drop) {
		t.Errorf("the plan for another target says %s", got)
	}
	resumed := newJob(t, spec, numbers(0, 2))
	resumed.sink.env.Resume = true // the run may be the unfinished one
	if check, err := resumed.check(); err != nil || strings.Contains(strings.Join(check.Notes, "\n"), drop) {
		t.Errorf("%v %v", check.Notes, err)
	}
	execSQL(t, conn, "DELETE FROM drover.gate")
	if got := notes(spec); !strings.Contains(got, "nothing is known of") || !strings.Contains(got, drop) {
		t.Errorf("without a gate the plan says %s", got)
	}
	execSQL(t, conn, "DROP SCHEMA drover CASCADE; "+drop)
	if got := notes(spec); strings.Contains(got, "DROP TABLE") {
		t.Errorf("it was dropped, and the plan says %s", got)
	}
}
