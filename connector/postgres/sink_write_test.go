package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

func numbers(from, to int) string {
	return fmt.Sprintf("SELECT i AS id FROM range(%d, %d) r(i)", from, to)
}

func TestRule6ReceiptCommitsWithTheRowsAndIsReturnedInsteadOfWriting(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 3), numbers(3, 5), numbers(5, 5)).begin()
	first := j.write(1)
	if first[0].RowsOut != 2 || first[0].RowsIn != 7 || first[0].BytesIn != 70 || first[0].PeakMemory != 42 || first[0].BytesOut == 0 {
		t.Errorf("receipt %s", asJSON(t, first))
	}
	again := j.write(0, 1, 2)
	if !slices.Equal(j.opened, []int64{0, 2}) {
		t.Errorf("opened %v", j.opened)
	}
	if asJSON(t, again[1]) != asJSON(t, first[0]) {
		t.Errorf("receipt %s, first %s", asJSON(t, again[1]), asJSON(t, first))
	}
	if again[0].RowsOut != 3 || again[2].RowsOut != 0 || again[0].Token != 2 || again[1].Token != 1 {
		t.Errorf("receipts %s", asJSON(t, again))
	}
	j.opened = nil
	if third := j.write(0, 1, 2); asJSON(t, third) != asJSON(t, again) || j.opened != nil {
		t.Errorf("receipts %s", asJSON(t, third))
	}
	want(t, conn, "(SELECT count(*), sum(id) FROM t)", "(5,10)")
	want(t, conn, "(SELECT stage, chunk_id, token, (receipt->>'rows_out')::int FROM drover.receipt)", "(0,0,2,3)", "(0,1,1,2)", "(0,2,2,0)")
}

func TestRule1AnotherRunsReceiptsAreNotFound(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	for range 2 { // same run ID, other uid
		newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 3)).complete()
	}
	want(t, conn, "(SELECT count(*) FROM t)", "(6)")
}

func TestRule7VerifyFindsLostReceipts(t *testing.T) {
	const n = 100_000
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 3)).begin()
	execSQL(t, conn, fmt.Sprintf(`INSERT INTO drover.receipt (run_uid, stage, chunk_id, token, receipt)
		SELECT '%s', 0, i, CASE i WHEN 11 THEN 0 WHEN 12 THEN 8 ELSE 5 END, '{}' FROM generate_series(0, %d) i WHERE i NOT IN (0, 4711, %d)`, j.run.UID, n-1, n-1))
	ledger := func(yield func(connector.Receipt, error) bool) {
		for i := range int64(n) {
			if i%10 != 9 && !yield(connector.Receipt{ChunkID: i, Token: 5}, nil) { // the ledger knows less than the target
				return
			}
		}
	}
	gone, err := j.sink.Verify(t.Context(), j.run, ledger)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gone, []int64{0, 11, 12, 4711}) {
		t.Errorf("gone %v", gone)
	}
	_, err = j.sink.Verify(t.Context(), j.run, func(yield func(connector.Receipt, error) bool) { yield(connector.Receipt{}, errors.New("ledger")) })
	if err == nil || err.Error() != "ledger" {
		t.Error(err)
	}
}

func TestRule7DroppedStagingTableReturnsAllChunks(t *testing.T) {
	for _, sql := range []string{"", "CREATE TABLE t (id bigint)", "CREATE TABLE t (id bigint); CREATE VIEW v AS SELECT * FROM t"} {
		u, conn := database(t, sql)
		j := newJob(t, &Sink{URL: u, Table: "t", Mode: Replace}, numbers(0, 2), numbers(2, 4)).begin()
		receipts := append(j.write(0), j.write(1)...)
		execSQL(t, conn, "DROP TABLE "+j.state().Into.sql())
		if sql == "" { // a resume makes it again, as Verify does
			j.begin()
		}
		gone, err := j.sink.Verify(t.Context(), j.run, func(yield func(connector.Receipt, error) bool) {
			for _, r := range receipts {
				if !yield(r, nil) {
					return
				}
			}
		})
		if err != nil || !slices.Equal(gone, []int64{0, 1}) {
			t.Fatalf("gone %v, %v", gone, err)
		}
		j.write(0, 1)
		j.publish()
		want(t, conn, "t", "(0)", "(1)", "(2)", "(3)")
	}
}

func TestRule7CommitsAreSynchronousAndStagingIsLogged(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint); ALTER ROLE postgres SET synchronous_commit = off")
	t.Cleanup(func() { execSQL(t, conn, "ALTER ROLE postgres RESET synchronous_commit") })
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Replace}, numbers(0, 1))
	seen := ""
	j.trace(func(ctx context.Context, conn *pgx.Conn, sql string) {
		if strings.Contains(sql, "jsonb_array_elements") {
			r := conn.PgConn().ExecParams(ctx, "SELECT current_setting('application_name') || ' ' || current_setting('synchronous_commit')", nil, nil, nil, nil).Read()
			seen = string(r.Rows[0][0])
		}
	})
	j.begin()
	want(t, conn, "(SELECT relpersistence FROM pg_class WHERE relname = '"+j.state().Into.Name+"')", "(p)")
	j.write(0)
	if mark := attemptMark(j.run, 1); seen != mark+" on" {
		t.Errorf("%q, want %s on", seen, mark)
	}
}

func TestRule8VoidReceiptKeepsTheWholeFromCommitting(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 3), numbers(0, 3)).begin()
	for range 2 {
		if r, err := j.sink.Void(t.Context(), j.run, 0); r != nil || err != nil {
			t.Fatal(r, err)
		}
	}
	_, err := j.try(0)
	fails(t, err, drover.Fenced, "split")
	committed := j.write(1)
	r, err := j.sink.Void(t.Context(), j.run, 1)
	if err != nil || r == nil || asJSON(t, *r) != asJSON(t, committed[0]) {
		t.Errorf("void of a committed chunk: %v, %v", r, err)
	}
	want(t, conn, "(SELECT count(*) FROM t)", "(3)")
	if n, err := j.sink.Abort(t.Context(), j.run); n != 1 || err != nil {
		t.Errorf("committed %d, %v: a void receipt counts", n, err)
	}
}

func TestRule8VoidWhileTheAttemptWritesFencesIt(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 3)).begin()
	j.trace(func(ctx context.Context, c *pgx.Conn, sql string) {
		if strings.HasPrefix(sql, "COPY") || strings.HasPrefix(sql, "INSERT INTO") && c != conn {
			other := newSink(&j.sink.spec, testEnv())
			defer other.Close()
			if r, err := other.Void(ctx, j.run, 0); r != nil || err != nil {
				t.Error(r, err)
			}
		}
	})
	_, err := j.try(0)
	fails(t, err, drover.Transient, "another attempt")
	want(t, conn, "t")
}

func TestRule9ClosedGateShutsOutLateAttempts(t *testing.T) {
	for _, end := range []string{"publish", "abort"} {
		for _, mode := range []Mode{Append, Replace} {
			t.Run(end+" "+string(mode), func(t *testing.T) {
				u, conn := database(t, "CREATE TABLE t (id bigint)")
				j := newJob(t, &Sink{URL: u, Table: "t", Mode: mode}, numbers(0, 2), numbers(7, 9)).begin()
				j.write(0)
				// The late attempt has written its rows and its receipt when the run is closed.
				j.trace(func(ctx context.Context, c *pgx.Conn, sql string) {
					if !strings.HasSuffix(sql, "FOR SHARE") {
						return
					}
					execSQL(t, conn, "UPDATE drover.gate SET state = 'closed', outcome = '"+map[string]string{"publish": published, "abort": aborted}[end]+"'")
				})
				_, err := j.try(1)
				fails(t, err, drover.Fenced, "closed")
				j.sink.trace = nil
				want(t, conn, "(SELECT count(*) FROM drover.receipt)", "(1)")
				if mode == Append {
					want(t, conn, "t", "(0)", "(1)")
				}
				execSQL(t, conn, "DELETE FROM drover.receipt") // the gate outlives them
				_, err = j.try(0)
				if k := drover.KindOf(err); k != drover.Fenced {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

func TestRule9PublishAndAbortEndRunningAttempts(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 2)).begin()
	zombie := stopped(t, u, attemptMark(j.run, 1), "SELECT FROM drover.gate FOR SHARE") // stopped just before its commit
	innocent := stopped(t, u, "drover/r-test/other/1", "SELECT 1")
	if n, err := j.sink.Abort(t.Context(), j.run); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if zombie.Ping(t.Context()) == nil {
		t.Error("the late attempt's backend lives")
	}
	if err := innocent.Ping(t.Context()); err != nil {
		t.Error("another run's backend was ended")
	}
	want(t, conn, "(SELECT state, outcome FROM drover.gate)", "(closed,aborted)")
}

// stopped is a connection in the middle of a transaction, as of a worker that was stopped.
func stopped(t *testing.T, u URL, application, sql string) *pgx.Conn {
	t.Helper()
	conn, err := connect(t.Context(), u, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(conn) })
	execSQL(t, conn, "SET application_name = "+literal(application)+"; BEGIN; "+sql)
	return conn
}

func TestRule10NobodyWaitsForAStoppedWorker(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 2), numbers(2, 4)).begin()
	hold := func(chunk int) string {
		return fmt.Sprintf("INSERT INTO t VALUES (99); INSERT INTO drover.receipt VALUES ('%s', 0, %d, 1, '{}')", j.run.UID, chunk)
	}
	stopped(t, u, attemptMark(j.run, 1), hold(0))
	j.token = 5
	start := time.Now()
	j.write(0)
	stopped(t, u, attemptMark(j.run, 6), hold(1))
	if r, err := j.sink.Void(t.Context(), j.run, 1); r != nil || err != nil {
		t.Error(r, err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("waited for %s", d)
	}
	want(t, conn, "t", "(0)", "(1)")
}

func TestRule10ConflictRollsBackAndIsPlannedAgain(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 2), numbers(2, 4)).begin()
	once := false
	j.trace(func(ctx context.Context, c *pgx.Conn, sql string) {
		if strings.Contains(sql, "jsonb_array_elements") && !once {
			once = true
			execSQL(t, conn, fmt.Sprintf("INSERT INTO t VALUES (2), (3); INSERT INTO drover.receipt VALUES ('%s', 0, 1, 1, '{\"chunk_id\":1,\"token\":1}')", j.run.UID))
		}
	})
	_, err := j.try(0, 1)
	fails(t, err, drover.Transient, "another attempt has committed")
	want(t, conn, "t", "(2)", "(3)")
	j.write(0, 1)
	want(t, conn, "t", "(0)", "(1)", "(2)", "(3)")
}

func TestUnknownCommitIsResolvedByTheReceipt(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	for i, sql := range []string{"commit", "FOR SHARE"} { // the connection breaks at the commit, or just before it
		j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 2)).begin()
		j.trace(func(ctx context.Context, c *pgx.Conn, text string) {
			if !strings.HasSuffix(text, sql) {
				return
			}
			j.sink.trace = nil
			if sql == "commit" { // it reaches the server, its answer does not reach us
				if _, err := c.PgConn().Exec(ctx, "COMMIT").ReadAll(); err != nil {
					t.Error(err)
				}
			}
			_ = c.PgConn().Conn().Close()
		})
		_, err := j.try(0)
		fails(t, err, drover.Transient)
		if r := j.write(0); len(r) != 1 || (r[0].Token == 1) != (sql == "commit") {
			t.Errorf("receipts %s", asJSON(t, r))
		}
		want(t, conn, "(SELECT count(*) FROM t)", fmt.Sprintf("(%d)", 2*(i+1)))
	}
}

func TestModeErrorRefusesRowsOfOthersAndAcceptsItsOwn(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint); CREATE TABLE f (id bigint); INSERT INTO f VALUES (1)")
	j := newJob(t, &Sink{URL: u, Table: "t"}, numbers(0, 2), numbers(2, 4)).begin()
	j.write(0)
	_, err := newJob(t, &Sink{URL: u, Table: "t"}, numbers(0, 2)).check()
	fails(t, err, drover.Refused, "has rows already")
	resumed := newJob(t, &Sink{URL: u, Table: "t"}, numbers(0, 2))
	resumed.sink.env.Resume = true
	if _, err := resumed.check(); err != nil {
		t.Error(err)
	}
	_, err = resumed.sink.Begin(t.Context(), resumed.run, resumed.output) // a new run after all
	fails(t, err, drover.Refused, "has rows already")
	if n, err := resumed.sink.Abort(t.Context(), resumed.run); n != 0 || err != nil {
		t.Error(n, err)
	}
	j.begin()
	j.write(1)
	j.publish()
	want(t, conn, "(SELECT count(*) FROM t)", "(4)")
}

func TestBeginIsIdempotentAndConcurrent(t *testing.T) {
	u, conn := database(t, "CREATE TABLE old (id bigint)")
	for _, spec := range []Sink{{Table: "fresh"}, {Table: "old", Mode: Replace}, {Table: "u", Mode: Upsert, Key: []string{"id"}}} {
		spec.URL = u
		run := connector.Run{UID: newUID(), ID: "r-1", Job: "j"}
		states := make(chan string, 6)
		for range cap(states) {
			j := newJob(t, &spec, numbers(0, 2))
			go func() {
				state, err := j.sink.Begin(t.Context(), run, j.output)
				if err != nil {
					state = []byte(err.Error())
				}
				states <- string(state)
			}()
		}
		first := <-states
		for range cap(states) - 1 {
			if s := <-states; s != first {
				t.Errorf("%s\n%s", first, s)
			}
		}
	}
	want(t, conn, "(SELECT count(*) FROM drover.gate)", "(3)")
}

func TestRule9ARunGivenUpBeforeItBeganNamesTheTarget(t *testing.T) {
	u, conn := database(t, "")
	newJob(t, &Sink{URL: u, Table: "another", Mode: Append}, numbers(0, 1)).begin() // so that drover's tables exist
	j := newJob(t, &Sink{URL: u, Table: "never_made", Mode: Append}, numbers(0, 1))
	if _, err := j.sink.Abort(t.Context(), j.run); err != nil {
		t.Fatal(err)
	}
	_, err := j.sink.Begin(t.Context(), j.run, j.output)
	fails(t, err, drover.Fenced, "never_made is closed to it", "run the same command again")
	want(t, conn, "(SELECT FROM pg_tables WHERE tablename = 'never_made')")
}

func TestAbort(t *testing.T) {
	u, conn := database(t, "CREATE TABLE old (id bigint)")
	exists := func(name string) bool {
		return column1(t, conn, "SELECT to_regclass("+literal(name)+")::text")[0] != "NULL"
	}
	for range 2 { // before any Begin, and again
		j := newJob(t, &Sink{URL: u, Table: "t"}, numbers(0, 2))
		if n, err := j.sink.Abort(t.Context(), j.run); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		newJob(t, &Sink{URL: u, Table: "old", Mode: Append}, numbers(0, 2)).begin() // so that drover's tables exist
	}
	fresh := newJob(t, &Sink{URL: u, Table: "t"}, numbers(0, 2)).begin()
	if n, err := fresh.sink.Abort(t.Context(), fresh.run); n != 0 || err != nil || exists("t") {
		t.Error(n, err, "an empty table that the run created stays")
	}
	_, err := fresh.sink.Begin(t.Context(), fresh.run, fresh.output)
	fails(t, err, drover.Fenced, "given up")
	_, err = fresh.sink.Publish(t.Context(), fresh.run, fresh.output, nil)
	fails(t, err, drover.Fenced, "given up")

	kept := newJob(t, &Sink{URL: u, Table: "t"}, numbers(0, 2)).begin()
	kept.write(0)
	for range 2 {
		if n, err := kept.sink.Abort(t.Context(), kept.run); n != 1 || err != nil || !exists("t") {
			t.Error(n, err)
		}
	}
	staged := newJob(t, &Sink{URL: u, Table: "old", Mode: Replace}, numbers(0, 2)).begin()
	staged.write(0)
	if n, err := staged.sink.Abort(t.Context(), staged.run); n != 0 || err != nil || exists(staged.state().Into.sql()) {
		t.Error(n, err, "staging stays")
	}
	done := newJob(t, &Sink{URL: u, Table: "old", Mode: Append}, numbers(0, 2)).complete()
	if n, err := done.sink.Abort(t.Context(), done.run); n != 1 || err != nil {
		t.Error(n, err)
	}
	done.publish() // still a no-op, not a fenced run
}
