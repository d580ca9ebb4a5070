package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestAStandbyFollowsItsPrimary(t *testing.T) {
	primary, err := Start(t.Context(), "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, primary)
	standby, err := primary.Standby(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, standby)
	if _, err := primary.CreateDatabase(t.Context(), "later"); err != nil {
		t.Fatal(err)
	}
	if err := standby.CaughtUp(t.Context(), primary); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), standby.URL("later"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	var recovers bool
	if err := conn.QueryRow(t.Context(), "SELECT pg_is_in_recovery()").Scan(&recovers); err != nil || !recovers {
		t.Error(recovers, err)
	}
}

func stopped(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
