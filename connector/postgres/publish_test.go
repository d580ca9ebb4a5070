package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// A publish whose connection breaks at its i-th statement, for every i, and is repeated, ends as an undisturbed one. Where the
// statement is a commit, it reaches the server in one half of the tests and does not in the other.
func TestPublishInterruptedAnywhereEndsTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		spec       Sink
		sql, probe string
		rows       string
	}{
		"swap":   {Sink{Table: "rich", Mode: Replace}, richTable, `(SELECT id, code, "Na me" FROM rich)`, "(7,3,new)"},
		"refill": {Sink{Table: "t", Mode: Replace}, "CREATE TABLE t (id bigint, code int); INSERT INTO t VALUES (1, 1); CREATE VIEW v AS SELECT id FROM t", "v", "(7)"},
		"rename": {Sink{Table: "t", Mode: Replace}, "", "(SELECT id FROM t)", "(7)"},
		"append": {Sink{Table: "t", Mode: Append}, "CREATE TABLE t (id bigint, code int)", "(SELECT id FROM t)", "(7)"},
	} {
		for _, delivered := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, commits delivered: %t", name, delivered), func(t *testing.T) {
				u, conn := database(t, c.sql)
				row := "SELECT 7::BIGINT AS id, 3 AS code"
				var before []string
				if name == "swap" {
					row = richRow
					dropRoles(t, conn)
				}
				if name != "rename" {
					before = aspects(t, conn, c.spec.Table)
				}
				c.spec.URL = u
				j := newJob(t, &c.spec, row).begin()
				j.write(0)
				interruptEverywhere(t, j, delivered)
				want(t, conn, c.probe, c.rows)
				want(t, conn, "(SELECT state, outcome FROM drover.gate)", "(closed,published)")
				if got := column1(t, conn, "SELECT relname::text FROM pg_class WHERE relname LIKE 'drover\\_%'"); len(got) > 0 {
					t.Errorf("left behind: %q", got)
				}
				if d := difference(before, aspects(t, conn, c.spec.Table)); before != nil && d != "" {
					t.Error(d)
				}
			})
		}
	}
}

// interruptEverywhere publishes again and again, interrupted at one statement more each time, until a publish passes. Once the
// staging table is built it starts anew, for the statements left.
func interruptEverywhere(t *testing.T, j *job, delivered bool) {
	t.Helper()
	built, cuts := false, 0
	for i := 1; ; i++ {
		statements := 0
		j.trace(func(ctx context.Context, conn *pgx.Conn, sql string) {
			if strings.Contains(sql, "pg_terminate_backend") || strings.Contains(sql, "ping") || sql == "rollback" {
				return // best effort
			}
			if statements++; statements != i {
				return
			}
			cuts++
			if delivered && sql == "commit" {
				if _, err := conn.PgConn().Exec(ctx, "COMMIT").ReadAll(); err != nil {
					t.Error(err)
				}
			}
			_ = conn.PgConn().Conn().Close()
		})
		_, err := j.sink.Publish(t.Context(), j.run, j.output, nil)
		j.trace(nil)
		j.sink.trace = nil
		if err == nil {
			t.Logf("interrupted %d times", cuts)
			j.publish() // and once more, for nothing
			return
		}
		fails(t, err, drover.Transient)
		if !built {
			conn, err := connect(t.Context(), j.sink.spec.URL, testEnv())
			if err != nil {
				t.Fatal(err)
			}
			if column1(t, conn, "SELECT (sink->>'built')::text FROM drover.gate")[0] == "true" {
				built, i = true, 0
			}
			closeConn(conn)
		}
	}
}

func TestRule13ReadersAreNotQueuedBehindPublish(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint); INSERT INTO t VALUES (9)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Replace}, numbers(0, 1)).begin()
	j.write(0)
	reader := stopped(t, u, "reader", "SELECT * FROM t")
	j.sink.pause, j.sink.tries = 10*time.Millisecond, 2
	_, err := j.sink.Publish(t.Context(), j.run, j.output, nil)
	fails(t, err, drover.Transient, "55P03", "2 tries", "pg_stat_activity")
	want(t, conn, "t", "(9)")
	j.sink.tries = 100
	done := make(chan error, 1)
	go func() {
		_, err := j.sink.Publish(t.Context(), j.run, j.output, nil)
		done <- err
	}()
	for column1(t, conn, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 't'::regclass)::text")[0] != "true" {
		select { // until it waits for the reader, and other readers behind it
		case err := <-done:
			t.Fatalf("it did not wait for the reader: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	want(t, conn, "t", "(9)") // which they would for ever, since only what follows ends the reader
	execSQL(t, reader, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want(t, conn, "t", "(0)")
}

func TestSinkSurvivesARestartOfTheServer(t *testing.T) {
	server, err := pgtest.Start(t.Context(), "", pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	u := URL(server.URL("postgres"))
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Replace}, numbers(0, 2), numbers(2, 4)).begin()
	restart := func() {
		t.Helper()
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	j.write(0)
	restart()
	j.write(1)
	restart()
	once := false
	j.trace(func(_ context.Context, _ *pgx.Conn, sql string) {
		if strings.HasPrefix(sql, "LOCK TABLE") || strings.HasPrefix(sql, "ALTER TABLE") && !once {
			once = true
			if err := server.Restart(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	_, err = j.sink.Publish(t.Context(), j.run, j.output, nil)
	fails(t, err, drover.Transient)
	j.sink.trace = nil
	j.publish()
	conn, err := connect(t.Context(), u, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	want(t, conn, "t", "(0)", "(1)", "(2)", "(3)")
	gone, err := j.sink.Verify(t.Context(), j.run, func(yield func(connector.Receipt, error) bool) {
		_ = yield(connector.Receipt{ChunkID: 0, Token: 1}, nil) && yield(connector.Receipt{ChunkID: 1, Token: 2}, nil)
	})
	if len(gone) > 0 || err != nil { // a published run still has its receipts, though not its staging table
		t.Error(gone, err)
	}
	j.begin() // and can be joined
}

func TestPublishWithoutItsGateIsRefused(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 1)).begin()
	execSQL(t, conn, "DELETE FROM drover.gate")
	_, err := j.sink.Publish(t.Context(), j.run, j.output, nil)
	fails(t, err, drover.Refused, "gate is gone")
	_, err = j.sink.Begin(t.Context(), j.run, j.output)
	fails(t, err, drover.Refused, "gate is gone", "--new")
}
