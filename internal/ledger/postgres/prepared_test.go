package postgres

import (
	"testing"
	"time"

	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/sqlstore"
	"github.com/droverdata/drover/internal/pgtest"
)

func TestPreparedStatementsThatAPoolerLosesAreDoneWithout(t *testing.T) {
	d := prepared(t, pgtest.Database(t)+"&pool_max_conns=1", nil)
	l := sqlstore.New(d)
	defer l.Shutdown() //nolint:errcheck // it returns nil
	begin := func(id string) {
		t.Helper()
		if _, _, err := l.Begin(t.Context(), ledger.Request{Job: "j", Name: id, Driver: "d", Lease: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	statements := func() (n int) {
		t.Helper()
		if err := d.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%"run"%'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	begin("one")
	if statements() == 0 {
		t.Fatal("nothing is prepared on a connection to the server itself")
	}
	if _, err := d.pool.Exec(t.Context(), "DEALLOCATE ALL"); err != nil {
		t.Fatal(err)
	}
	begin("two")
	if n := statements(); n > 0 || !d.unprepared.Load() {
		t.Error(n, "statements are prepared again")
	}
}
