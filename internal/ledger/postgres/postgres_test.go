package postgres

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/ledgertest"
	"github.com/droverdata/drover/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func connected(tb testing.TB, url string, use func(*pgx.Conn) error) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(use(conn), conn.Close(tb.Context())); err != nil {
		tb.Fatal(err)
	}
}

func execute(tb testing.TB, url, sql string) {
	tb.Helper()
	connected(tb, url, func(conn *pgx.Conn) error {
		_, err := conn.Exec(tb.Context(), sql)
		return err
	})
}

// prepared returns the database at url, with the ledger's tables, whose connections are as change wants them; nil changes nothing.
func prepared(tb testing.TB, url string, change func(*pgxpool.Config)) *database {
	tb.Helper()
	config, name, err := parse(url)
	if err != nil {
		tb.Fatal(err)
	}
	if change != nil {
		change(config)
	}
	pool, err := pgxpool.NewWithConfig(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	d := newDatabase(pool, config.ConnConfig, name)
	if err := d.prepare(tb.Context()); err != nil {
		pool.Close()
		tb.Fatal(err)
	}
	return d
}

// fixture gives the ledger a clock that can be moved: a now() that is found before the server's own.
func fixture(tb testing.TB) ledgertest.Harness {
	url := pgtest.Database(tb)
	execute(tb, url, `CREATE SCHEMA clock;
		CREATE TABLE clock.ahead AS SELECT interval '0' AS by;
		CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT pg_catalog.now() + by FROM clock.ahead'`)
	return ledgertest.Harness{
		Open: func() (ledger.Ledger, error) { return Open(tb.Context(), url+"&search_path=clock,pg_catalog") },
		Advance: func(d time.Duration) {
			execute(tb, url, fmt.Sprintf("UPDATE clock.ahead SET by = by + interval '%d microseconds'", d.Microseconds()))
		},
	}
}

func TestLedger(t *testing.T) { ledgertest.Run(t, fixture) }

func BenchmarkClaimFinish(b *testing.B) { ledgertest.Rate(b, fixture) }
