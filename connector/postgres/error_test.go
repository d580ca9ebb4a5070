package postgres

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

// TestEveryStateHasTheKindOfWhatMendsIt: Transient and Unreachable are tried again (a chunk whose server is away for as long as it takes, within the
// bound of an outage), the others never.
func TestEveryStateHasTheKindOfWhatMendsIt(t *testing.T) {
	for kind, states := range map[drover.Kind]string{
		// Connections that broke, sessions that were ended, serialization failures, deadlocks and locks, replica conflicts, cancelled statements, and a
		// server that is short of something for now.
		drover.Transient: "08000 08001 08003 08004 08006 08007 08P01 40000 40001 40002 40003 40P01 55P03 55006 57P01 57P02 57P05 57014 25P02 25P03 25P04 53000 53100 53200 58000 58030",
		// Starting, shutting down, or no connection left.
		drover.Unreachable: "57P03 53300",
		// What it is asked for is not there, not allowed, or over a limit that somebody set.
		drover.Refused: "3D000 42501 25006 28000 28P01 57P04 53400 0A000 0LP01 54000 55000 XX000 F0000",
		// Values.
		drover.Data: "22001 22003 22021 22P02 23502 23503 23505 23514 23P01 44000 P0001",
		// The statement.
		drover.Invalid: "42601 42703 42P01 42804 3F000 26000 34000",
	} {
		for state := range strings.FieldsSeq(states) {
			if got := kindOfState(state); got != kind {
				t.Errorf("%s is %q, want %q", state, got, kind)
			}
		}
	}
}
