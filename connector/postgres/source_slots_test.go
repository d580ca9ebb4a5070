package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
)

// bounded opens a source that has only so many connections with all others of this test.
func bounded(t *testing.T, u URL, limit int, warn func(string, ...any)) *source {
	t.Helper()
	env := testEnv()
	env.Connections = limit
	if warn != nil {
		env.Warn = warn
	}
	s, err := openSource(t.Context(), Table(string(u), "t"), env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.(*source)
}

func TestSourceConnectionsBoundAllSourcesOfAMachine(t *testing.T) {
	u, _ := database(t, "CREATE TABLE t (id bigint PRIMARY KEY)")
	t.Setenv("TMPDIR", t.TempDir())
	s, other, lower := bounded(t, u, 2, nil), bounded(t, u, 2, nil), bounded(t, u, 1, nil)
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 5*slotPoll)
		t.Cleanup(cancel)
		return ctx
	}
	first, err := s.begin(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	// The last slot is the first that is taken: a job with a lower limit has one all the same.
	second, err := lower.begin(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.begin(short(), ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a third connection: %v", err)
	}
	elsewhere, _ := database(t, "CREATE TABLE t (id bigint PRIMARY KEY)")
	if _, err := bounded(t, elsewhere, 1, nil).Schema(t.Context()); err != nil {
		t.Errorf("another database's connections are bounded by this one's: %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		conn, err := other.begin(t.Context(), "")
		if err == nil {
			other.end(t.Context(), conn)
		}
		waiting <- err
	}()
	s.end(t.Context(), first) // not kept for a later task
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	lower.end(t.Context(), second)
	if n := s.slots.held.Load() + lower.slots.held.Load() + other.slots.held.Load(); n != 0 {
		t.Errorf("%d slots are held", n)
	}
}

func TestASecondConnectionIsNotWaitedForForEver(t *testing.T) {
	u, _ := database(t, "CREATE TABLE t (id bigint PRIMARY KEY)")
	t.Setenv("TMPDIR", t.TempDir())
	s := bounded(t, u, 1, nil)
	s.slots.patience = slotPoll
	conn, err := s.begin(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.end(t.Context(), conn)
	var e *drover.Error
	if _, err := s.begin(t.Context(), ""); !errors.As(err, &e) || e.Kind != drover.Transient || !strings.Contains(e.Hint, "source_connections") {
		t.Error(err)
	}
}

func TestOneConnectionDoesNotDoForRangesOfPages(t *testing.T) {
	u, _ := database(t, "CREATE TABLE t (id bigint); INSERT INTO t SELECT generate_series(1, 10000); ANALYZE t")
	t.Setenv("TMPDIR", t.TempDir())
	_, err := bounded(t, u, 1, nil).Begin(t.Context(), drover.Chunking{Rows: 1000}, nil)
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Invalid || e.Field != "limits.source_connections" {
		t.Fatal(err)
	}
	s := bounded(t, u, 2, nil)
	st, chunks := cutAll(t, s, drover.Chunking{Rows: 1000})
	if n := len(readChunks(t, bounded(t, u, 2, nil), newSession(t), st, chunks)); n != len(chunks) || n < 2 {
		t.Errorf("%d of %d chunks", n, len(chunks))
	}
}

func TestALockDirectoryOfAnotherUserIsRefused(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, fmt.Sprintf("drover-%d", os.Getuid()))); err != nil {
		t.Fatal(err)
	}
	env := testEnv()
	env.Connections = 1
	if _, err := openSource(t.Context(), Table("postgres://h/db", "t"), env); drover.KindOf(err) != drover.Refused {
		t.Error(err)
	}
}

func TestStatementTimeoutEndsAStatementForGood(t *testing.T) {
	u, _ := database(t, "CREATE TABLE t (id bigint PRIMARY KEY)")
	slow := Query(string(u), "SELECT 1 AS id FROM pg_sleep(600)")
	slow.StatementTimeout = 100 * time.Millisecond
	s := openTestSource(t, slow)
	st, chunks := cutAll(t, s, drover.Chunking{})
	schema, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	session := newSession(t)
	rel, err := s.Open(t.Context(), session, schema, st, chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer rel.Close()
	rows, err := session.Query(t.Context(), "SELECT * FROM "+rel.All())
	if err == nil {
		_, err = rows.Next()
		rows.Close()
	}
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Refused || e.Code != "57014" || e.Field != "source.postgres.statement_timeout" {
		t.Errorf("%#v", err)
	}
	// While chunks are cut, too.
	keyed := openTestSource(t, Table(string(u), "t"))
	keyed.spec.StatementTimeout = 100 * time.Millisecond
	for _, err := range keyed.Chunks(t.Context(), drover.Chunking{By: "id", Keys: "SELECT 1 FROM pg_sleep(600)"}, nil) {
		if drover.KindOf(err) != drover.Refused {
			t.Error(err)
		}
	}
}

func TestACancelledStatementIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		limit, took time.Duration
		want        drover.Kind
	}{
		"no timeout":          {0, time.Hour, drover.Transient},
		"before the timeout":  {time.Minute, time.Second, drover.Transient},
		"at the timeout":      {time.Minute, time.Minute, drover.Refused},
		"in a long statement": {time.Minute, time.Hour, drover.Refused},
	} {
		s := &source{spec: Source{StatementTimeout: c.limit}}
		err := s.explain(&drover.Error{Kind: drover.Transient, Code: stateCancelled}, time.Now().Add(-c.took))
		if drover.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each of these runs keeps a snapshot for as long as it takes, and its tasks need a connection besides.
func TestRunsWithSnapshotsLeaveASlotForTasks(t *testing.T) {
	u, _ := database(t, "CREATE TABLE t (id bigint); INSERT INTO t SELECT generate_series(1, 10000); ANALYZE t")
	t.Setenv("TMPDIR", t.TempDir())
	chunking := drover.Chunking{Rows: 1000}
	planner, joiner, other := bounded(t, u, 2, nil), bounded(t, u, 2, nil), bounded(t, u, 2, nil)
	st, chunks := cutAll(t, planner, chunking)
	if _, err := joiner.Begin(t.Context(), chunking, st); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 5*slotPoll)
	defer cancel()
	if _, err := other.Begin(short, chunking, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("another run's snapshot has the last slot: %v", err)
	}
	if n := len(readChunks(t, bounded(t, u, 2, nil), newSession(t), st, chunks)); n != len(chunks) || n < 2 {
		t.Errorf("%d of %d chunks", n, len(chunks))
	}
}

func TestAnIdleDriverKeepsNoConnection(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint PRIMARY KEY)")
	s, err := openSource(t.Context(), Table(string(u), "t"), testEnv())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Schema(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections stay", n)
		}
	}
}
