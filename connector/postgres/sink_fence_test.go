package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
	ledgerpg "github.com/droverdata/drover/internal/ledger/postgres"
	"github.com/jackc/pgx/v5"
)

// recorded opens a ledger at u, and in it an open run with j's chunks, which j works for.
func (j *job) recorded(u URL) ledger.Ledger {
	j.t.Helper()
	ctx := j.t.Context()
	l, err := ledgerpg.Open(ctx, string(u))
	j.must(err)
	j.t.Cleanup(func() { j.must(l.Shutdown()) })
	run, _, err := l.Begin(ctx, ledger.Request{Job: "job", Fingerprint: "f", Driver: "d", Lease: time.Hour, Engine: "local"})
	j.must(err)
	j.must(l.AddChunks(ctx, run.UID, "d", 0, func(yield func(connector.Chunk, error) bool) {
		for i := range j.chunks {
			if !yield(connector.Chunk{ID: int64(i), Key: fmt.Sprint(i)}, nil) {
				return
			}
		}
	}))
	j.must(l.Start(ctx, run.UID, "d", nil))
	j.run.UID = run.UID
	j.run.Fence, err = l.Fence(ctx)
	j.must(err)
	return l
}

func (j *job) must(err error) {
	j.t.Helper()
	if err != nil {
		j.t.Fatal(err)
	}
}

// claim takes all of j's chunks, also from a driver that is gone, and has j's next attempt carry the claim's token.
func (j *job) claim(l ledger.Ledger) ledger.Task {
	j.t.Helper()
	_, err := l.Evict(j.t.Context(), j.run.UID, func(string) bool { return true })
	j.must(err)
	task, err := l.Claim(j.t.Context(), j.run.UID, ledger.Want{Worker: "w", Lease: time.Hour})
	j.must(err)
	if len(task.Chunks) != len(j.chunks) {
		j.t.Fatalf("claimed %d chunks", len(task.Chunks))
	}
	j.token = task.Token - 1
	return task
}

func TestRule9AFencedZombieCannotCommitEvenWithoutReceiptsWhereLedgerAndTargetAreOneDatabase(t *testing.T) {
	for _, mode := range []Mode{Append, Replace, Upsert} {
		t.Run(string(mode), func(t *testing.T) {
			u, conn := database(t, "CREATE TABLE t (id bigint); INSERT INTO t VALUES (99)")
			spec := &Sink{URL: u, Table: "t", Mode: mode}
			if mode == Upsert {
				execSQL(t, conn, "CREATE UNIQUE INDEX ON t (id)")
				spec.Key = []string{"id"}
			}
			j := newJob(t, spec, numbers(0, 2), numbers(2, 4))
			l := j.recorded(u)
			j.begin()
			zombie := j.claim(l)
			next := j.claim(l)
			receipts := j.write(0, 1)
			j.must(l.Finish(t.Context(), j.run.UID, next.Token, receipts))
			execSQL(t, conn, "DELETE FROM drover.receipt")
			j.token = zombie.Token - 1
			_, err := j.try(0, 1)
			fails(t, err, drover.Fenced, "given the chunks of attempt")
			want(t, conn, "(SELECT count(*) FROM drover.receipt)", "(0)")
			if mode == Append {
				want(t, conn, "t", "(0)", "(1)", "(2)", "(3)", "(99)")
			}
		})
	}
}

func TestRule9AClaimInTheLastMomentFencesTheAttempt(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 2))
	l := j.recorded(u)
	j.begin()
	j.claim(l)
	j.trace(func(_ context.Context, _ *pgx.Conn, sql string) {
		if strings.Contains(sql, "gate") && strings.HasSuffix(sql, "FOR SHARE") {
			j.claim(l)
		}
	})
	_, err := j.try(0)
	fails(t, err, drover.Fenced, "given the chunks")
	want(t, conn, "t")
}

func TestRule9AnAttemptThatGaveItsChunksBackCannotCommit(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 2))
	l := j.recorded(u)
	j.begin()
	task := j.claim(l)
	j.must(l.Fail(t.Context(), j.run.UID, task.Token, ledger.Failure{Verdict: ledger.Release}))
	_, err := j.try(0)
	fails(t, err, drover.Fenced, "given the chunks")
	want(t, conn, "t")
}

func TestRule9TheTokenIsCheckedInTheLedgersOwnDatabaseOnly(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	elsewhere, _ := database(t, "SELECT 1")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 2))
	j.recorded(elsewhere)
	if j.begin().state().Held != "" {
		t.Error("the target believes to be the ledger's database")
	}
	j.write(0)
	want(t, conn, "t", "(0)", "(1)")
}

func TestRule9ARoleThatMayNotLockTheLedgersRowsIsWarned(t *testing.T) {
	u, conn := database(t, `CREATE ROLE guest LOGIN PASSWORD 'guest'; CREATE SCHEMA mine AUTHORIZATION guest; CREATE TABLE t (id bigint); GRANT INSERT ON t TO guest`)
	t.Cleanup(func() { execSQL(t, conn, "DROP OWNED BY guest CASCADE; DROP ROLE guest") })
	guest := URL(strings.Replace(string(u), "postgres@", "guest:guest@", 1)) + "&drover_schema=mine"
	j := newJob(t, &Sink{URL: guest, Table: "t", Mode: Append}, numbers(0, 2))
	var warned []string
	j.sink.env.Warn = func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) }
	j.recorded(u)
	j.begin()
	j.write(0)
	want(t, conn, "t", "(0)", "(1)")
	if !slices.ContainsFunc(warned, func(w string) bool { return strings.Contains(w, "may not lock its rows") }) {
		t.Errorf("warned %q", warned)
	}
	for _, w := range warned {
		if strings.Contains(w, "guest:guest") {
			t.Errorf("the password is in %q", w)
		}
	}
}
