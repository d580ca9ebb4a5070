package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/sqlstore"
	"github.com/droverdata/drover/internal/pgtest"
)

const secret = "s3cr%t/pw"

// as returns url for another role, with the secret as its password.
func as(url, role string) string {
	return strings.Replace(url, "postgres@", role+":s3cr%25t%2Fpw@", 1)
}

func TestRefusalsNameThePlaceAndNeverThePassword(t *testing.T) {
	url := pgtest.Database(t)
	execute(t, url, `CREATE ROLE keeper LOGIN PASSWORD 's3cr%t/pw'`)
	defer execute(t, url, `DROP ROLE keeper`)
	nobody := strings.Replace(url, fmt.Sprint(pgtest.Shared(t).Port()), "1", 1)
	for name, c := range map[string]struct {
		url, code, text string
		kind            drover.Kind
	}{
		"unknown role":     {as(url, "stranger"), "28P01", "127.0.0.1", drover.Refused},
		"wrong password":   {strings.Replace(as(url, "keeper"), "s3cr", "S3CR", 1), "28P01", "127.0.0.1", drover.Refused},
		"unknown database": {strings.Replace(as(url, "keeper"), "?", "x?", 1), "3D000", "does not exist", drover.Refused},
		"no right":         {as(url, "keeper"), "42501", "permission denied", drover.Refused},
		"nobody listens":   {as(nobody, "keeper"), "", "127.0.0.1:1/", drover.Unreachable},
		"no such host":     {strings.Replace(as(url, "keeper"), "127.0.0.1", "no-such-host.invalid", 1), "", "no-such-host.invalid", drover.Unreachable},
		"not a URL":        {"postgres://keeper:s3cr%t/pw@host/db", "", "cannot be parsed", drover.Invalid},
		"wrong sslmode":    {strings.Replace(as(url, "keeper"), "sslmode=disable", "sslmode=sometimes", 1), "", "sslmode", drover.Invalid},
		"empty schema":     {as(url, "keeper") + "&drover_schema=", "", "drover_schema", drover.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Open(t.Context(), c.url)
			if err == nil {
				t.Fatal("opened", l.Shutdown())
			}
			var e *drover.Error
			if !errors.As(err, &e) || e.Kind != c.kind || e.Code != c.code || e.Hint == "" || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v: %+v", err, e)
			}
			all := fmt.Sprintf("%v %+v %#v %v", err, e, e, errors.Unwrap(e))
			for _, form := range []string{secret, "s3cr%25t%2Fpw", "s3cr", "S3CR"} {
				if strings.Contains(all, form) {
					t.Errorf("the password is shown: %s", all)
				}
			}
		})
	}
}

func TestSchemaParameterMovesTheLedger(t *testing.T) {
	url := pgtest.Database(t)
	execute(t, url, `CREATE ROLE owner LOGIN PASSWORD 's3cr%t/pw'; CREATE SCHEMA "own ""x""" AUTHORIZATION owner`)
	// The role may not create schemas, and needs not.
	l, err := Open(t.Context(), as(url, "owner")+`&drover_schema=own+%22x%22`)
	if err != nil {
		t.Fatal(err)
	}
	run, role, err := l.Begin(t.Context(), ledger.Request{Job: "j", Driver: "d", Lease: time.Minute})
	if err != nil || role != ledger.Plan {
		t.Fatal(run, role, err)
	}
	execute(t, url, `SELECT 1/count(*) FROM "own ""x""".run WHERE id = '`+run.ID+`'`)
	if err := l.Shutdown(); err != nil {
		t.Error(err)
	}
	if n := number(t, url, `SELECT count(*) FROM pg_namespace WHERE nspname = 'drover'`); n != 0 {
		t.Error("the default schema was created")
	}
	execute(t, url, `DROP SCHEMA "own ""x""" CASCADE; DROP ROLE owner`)
}

func number(tb testing.TB, url, sql string) (n int) {
	tb.Helper()
	connected(tb, url, func(conn *pgx.Conn) error { return conn.QueryRow(tb.Context(), sql).Scan(&n) })
	return n
}

func TestDriversThatOpenAtOnceCreateOneLedger(t *testing.T) {
	url := pgtest.Database(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			l, err := Open(t.Context(), url)
			if err != nil {
				t.Error(err)
				return
			}
			if err := l.Shutdown(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := number(t, url, `SELECT count(*) FROM drover.ledger`); n != 1 {
		t.Errorf("%d versions", n)
	}
	described(t, url)
}

func TestSchemaThatATargetCreatesAtTheSameMoment(t *testing.T) {
	url := pgtest.Database(t)
	var l ledger.Ledger
	connected(t, url, func(conn *pgx.Conn) error {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `CREATE SCHEMA drover`); err != nil {
			return err
		}
		opened := make(chan error)
		go func() {
			var err error
			l, err = Open(t.Context(), url)
			opened <- err
		}()
		// It does not see the schema, and waits for this transaction when it creates its own.
		for number(t, url, `SELECT count(*) FROM pg_locks WHERE NOT granted`) == 0 {
			time.Sleep(time.Millisecond)
		}
		return errors.Join(tx.Commit(t.Context()), <-opened)
	})
	if err := l.Shutdown(); err != nil {
		t.Error(err)
	}
}

func TestNewerLedgerIsRefused(t *testing.T) {
	url := pgtest.Database(t)
	l, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Shutdown(); err != nil {
		t.Error(err)
	}
	execute(t, url, `UPDATE drover.ledger SET version = 99`)
	_, err = Open(t.Context(), url)
	if drover.KindOf(err) != drover.Refused || !strings.Contains(err.Error(), "version 99") {
		t.Error(err)
	}
}

func TestALedgerOfAnEarlierVersionIsBroughtUpToDate(t *testing.T) {
	url := pgtest.Database(t)
	l, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	run, _, err := l.Begin(t.Context(), ledger.Request{Job: "j", Driver: "d", Lease: time.Minute})
	if err := errors.Join(err, l.Shutdown()); err != nil {
		t.Fatal(err)
	}
	execute(t, url, `ALTER TABLE drover.chunk DROP COLUMN rows_scanned, DROP COLUMN rows_rejected; DROP TABLE drover.machine; ALTER TABLE drover.run DROP COLUMN named, DROP COLUMN version; DROP TABLE drover.pruned; COMMENT ON COLUMN drover.ledger.version IS NULL; COMMENT ON SEQUENCE drover.run_number_seq IS NULL; UPDATE drover.ledger SET version = 1`)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			l, err := OpenExisting(t.Context(), url)
			if err != nil || l == nil {
				t.Error(l, err)
				return
			}
			for _, err := range l.Chunks(t.Context(), run.UID) {
				t.Error(err)
			}
			if err := l.Shutdown(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	execute(t, url, fmt.Sprintf(`SELECT 1/count(*) FROM drover.ledger WHERE version = %d; SELECT rows_scanned, rows_rejected FROM drover.chunk`, version))
	described(t, url)
}

// described checks that every table, column and sequence says what it means.
func described(t *testing.T, url string) {
	t.Helper()
	missing := ""
	connected(t, url, func(conn *pgx.Conn) error {
		return conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(what, ', ' ORDER BY what), '') FROM (
			SELECT c.relname::text AS what FROM pg_class c WHERE c.relnamespace = 'drover'::regnamespace AND c.relkind IN ('r', 'S')
				AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''
			UNION ALL SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
				WHERE c.relnamespace = 'drover'::regnamespace AND c.relkind = 'r' AND coalesce(col_description(c.oid, a.attnum), '') = '') missing`).Scan(&missing)
	})
	if missing != "" {
		t.Errorf("without a comment: %s", missing)
	}
}

func TestNoSessionStateIsLeftBehindAPooler(t *testing.T) {
	// What looks at a new connection would find that there is none.
	d := prepared(t, pgtest.Database(t)+"&pool_max_conns=1", func(c *pgxpool.Config) { c.AfterConnect = nil })
	l := sqlstore.New(d)
	defer l.Shutdown() //nolint:errcheck // it returns nil
	if _, _, err := l.Begin(t.Context(), ledger.Request{Job: "j", Driver: "d", Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Runs(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	var n int
	// One connection: what Begin had used is what this looks at.
	if err := d.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_prepared_statements)
		+ (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())
		+ (SELECT count(*) FROM pg_settings WHERE source = 'session')`).Scan(&n); err != nil || n != 0 {
		t.Error(n, err)
	}
}

func TestLedgerSurvivesItsServersDeath(t *testing.T) {
	s, err := pgtest.Start(t.Context(), "", pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var ledgers [2]ledger.Ledger // a patient and an impatient one
	for i := range ledgers {
		d := prepared(t, s.URL("postgres"), nil)
		d.patience = outage * time.Duration(1-i)
		ledgers[i] = sqlstore.New(d)
		defer ledgers[i].Shutdown() //nolint:errcheck // it returns nil
	}
	run, _, err := ledgers[0].Begin(t.Context(), ledger.Request{Job: "j", Driver: "d", Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledgers[1].Runs(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	told := make(chan ledger.Absence, 10)
	ledgers[0].(ledger.Watcher).Watch(func(a ledger.Absence) { told <- a })
	ledgers[1].(ledger.Watcher).Watch(func(a ledger.Absence) { t.Errorf("one that does not wait tells %+v", a) })
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	for range 4 {
		waiting.Go(func() {
			if runs, err := ledgers[0].Runs(t.Context(), 1); err != nil || len(runs) != 1 || runs[0].UID != run.UID {
				t.Error(runs, err)
			}
			if err := ledgers[0].Renew(t.Context(), run.UID, "d", time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	l := ledgers[1]
	for range 3 {
		_, err := l.Runs(t.Context(), 1)
		if kind := drover.KindOf(err); kind != drover.Transient && kind != drover.Unreachable {
			t.Errorf("kind %q: %v", kind, err)
		}
		_, err = l.Claim(t.Context(), run.UID, ledger.Want{Lease: time.Minute})
		if kind := drover.KindOf(err); kind != drover.Transient && kind != drover.Unreachable {
			t.Errorf("kind %q: %v", kind, err)
		}
	}
	if a := <-told; drover.KindOf(a.Cause) == "" || time.Until(a.Until) < outage/2 || a.Lasted != 0 {
		t.Errorf("while it is away: %+v", a)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting.Wait()
	if a := <-told; a.Lasted < unnoticed || len(told) > 0 {
		t.Errorf("once it is back: %+v, and %d more", a, len(told))
	}
	if again, err := l.Run(t.Context(), "j", ""); err != nil || again.UID != run.UID {
		t.Error(again, err)
	}
}

func TestCancelledCallsSaySo(t *testing.T) {
	l, err := Open(t.Context(), pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Shutdown() //nolint:errcheck // it returns nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Claim(ctx, "x", ledger.Want{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
