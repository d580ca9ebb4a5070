package postgres

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func testEnv() connector.Env {
	return connector.Env{Timezone: "UTC", Application: "drover/test/1", Warn: func(string, ...any) {}}
}

// database makes a database, runs sql in it and returns its URL and a connection.
func database(t testing.TB, sql string) (URL, *pgx.Conn) {
	t.Helper()
	u := URL(pgtest.Database(t))
	conn, err := connect(t.Context(), u, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(conn) })
	execSQL(t, conn, sql)
	return u, conn
}

func execSQL(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
		t.Fatalf("%v in\n%s", err, sql)
	}
}

func TestDroverSchemaIsTakenOutOfTheURL(t *testing.T) {
	for _, c := range []struct{ in, url, schema string }{
		{"postgres://u:p@h/db?drover_schema=mine&sslmode=disable", "postgres://u:p@h/db?sslmode=disable", "mine"},
		{"postgres://u:p@h/db", "postgres://u:p@h/db", "drover"},
		{"host=h drover_schema='my s' dbname=d", "host=h dbname=d", "my s"},
		{"host=h dbname=d", "host=h dbname=d", "drover"},
	} {
		u, s := droverSchema(URL(c.in))
		if string(u) != c.url || s != c.schema {
			t.Errorf("%s: got %s and %s", c.in, string(u), s)
		}
	}
}

func TestParametersThatPsqlTakesConnect(t *testing.T) {
	good, _ := database(t, "SELECT 1")
	sign := "?"
	if strings.Contains(string(good), "?") {
		sign = "&"
	}
	conn, err := connect(t.Context(), good+URL(sign+"gssencmode=disable&keepalives=1&keepalives_idle=30&sslcompression=0&hostaddr=127.0.0.1"), testEnv())
	if err != nil {
		t.Fatal(err)
	}
	closeConn(conn)
	if _, err := connect(t.Context(), good+URL(sign+"gssencmode=require"), testEnv()); drover.KindOf(err) != drover.Invalid || !strings.Contains(err.Error(), "gssencmode") {
		t.Error(err)
	}
}

func TestConnectErrorsAreTypedAndHideThePassword(t *testing.T) {
	s := pgtest.Shared(t)
	_ = s
	good, conn := database(t, "SELECT 1")
	execSQL(t, conn, "DROP ROLE IF EXISTS conn_test; CREATE ROLE conn_test LOGIN PASSWORD 'right'")
	base := string(good)
	at := strings.Index(base, "@")
	for name, c := range map[string]struct {
		url  string
		kind drover.Kind
	}{
		"wrong password": {"postgres://conn_test:s3cret@" + base[at+1:], drover.Refused},
		"nobody listens": {"postgres://u:s3cret@127.0.0.1:1/db", drover.Unreachable},
		"no such host":   {"postgres://u:s3cret@nowhere.invalid/db", drover.Unreachable},
		"no URL":         {"postgres://u:s3cret@h:port/db", drover.Invalid},
	} {
		_, err := connect(t.Context(), URL(c.url), testEnv())
		if drover.KindOf(err) != c.kind {
			t.Errorf("%s: kind %q of %v", name, drover.KindOf(err), err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v shows the password", name, err)
		}
	}
	_, err := connect(t.Context(), URL(base[:strings.LastIndex(base, "/")]+"/nope"), testEnv())
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Refused || e.Code != "3D000" || e.Hint == "" {
		t.Errorf("no such database: %#v", err)
	}
}

func TestServerErrorsNameCodeColumnAndSample(t *testing.T) {
	_, conn := database(t, "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)")
	execSQL(t, conn, "INSERT INTO t VALUES (7, 'x')")
	_, err := conn.Exec(t.Context(), "INSERT INTO t VALUES (7, 'y')")
	var e *drover.Error
	if !errors.As(wrap(err, "insert"), &e) || e.Kind != drover.Data || e.Code != "23505" || e.Sample != "7" || !strings.Contains(e.Message, "t_pkey") {
		t.Errorf("got %#v", e)
	}
	_, err = conn.Exec(t.Context(), "INSERT INTO t VALUES (8, NULL)")
	if !errors.As(wrap(err, "insert"), &e) || e.Kind != drover.Data || e.Column != "v" || strings.Contains(e.Error(), "Failing row") {
		t.Errorf("got %#v", e)
	}
	_, err = conn.Exec(t.Context(), "SELECT nope FROM t")
	if drover.KindOf(wrap(err, "select")) != drover.Invalid {
		t.Errorf("got %v", err)
	}
	_, err = conn.Exec(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())")
	if k := drover.KindOf(wrap(err, "select")); k != drover.Transient {
		t.Errorf("terminated: %q %v", k, err)
	}
}
