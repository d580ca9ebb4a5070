package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/droverdata/drover/connector"
)

// blockedAfter is how long a receipt waits for its key before drover looks who holds it.
const blockedAfter = time.Second

// runMark begins the application_name of every transaction that writes for a run. It holds part of the uid: a name such as "nightly" may
// be another job's too.
func runMark(run connector.Run) string {
	id := []byte(run.ID)
	for i, c := range id {
		if c <= ' ' || c > '~' || c == '/' {
			id[i] = '_'
		}
	}
	return fmt.Sprintf("drover/%.24s/%.8s/", id, run.UID)
}

// attemptMark is the application_name of an attempt's transaction: 63 bytes at most.
func attemptMark(run connector.Run, token int64) string {
	return fmt.Sprintf("%s%d", runMark(run), token)
}

// unblocked runs do, a statement that takes a receipt's key in the transaction marked mine, and ends the backends of earlier attempts that
// keep it waiting: a worker that was stopped in the middle of its transaction would hold the key for ever (exactness.md 10).
// Attempts with a token below below are earlier. It is best effort: where it fails, lock_timeout ends the waiting.
func (s *tableSink) unblocked(ctx context.Context, run connector.Run, mine string, below int64, do func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(blockedAfter):
			}
			_ = s.endBlockers(ctx, run, mine, below)
		}
	})
	err := do()
	cancel()
	watch.Wait()
	return err
}

func (s *tableSink) endBlockers(ctx context.Context, run connector.Run, mine string, below int64) error {
	conn, err := connect(ctx, s.spec.URL, s.env)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	mark := runMark(run)
	_, err = conn.Exec(ctx, `
		SELECT pg_terminate_backend(b.pid)
		FROM pg_stat_activity a, unnest(pg_blocking_pids(a.pid)) k(pid) JOIN pg_stat_activity b ON b.pid = k.pid
		WHERE a.application_name = $1 AND a.datname = current_database() AND starts_with(b.application_name, $2)
			AND CASE WHEN substr(b.application_name, $3) ~ '^[0-9]{1,18}$' THEN substr(b.application_name, $3)::int8 < $4 ELSE false END`,
		mine, mark, len(mark)+1, below)
	return err
}

// endAttempts ends the backends of all attempts of a run whose gate is closed, or about to be. Best effort.
func (s *tableSink) endAttempts(ctx context.Context, run connector.Run) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return
	}
	defer s.release(conn)
	mark := runMark(run)
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE starts_with(application_name, $1) AND substr(application_name, $2) ~ '^[0-9]+$' AND datname = current_database() AND pid <> pg_backend_pid()`,
		mark, len(mark)+1)
	if err != nil && ctx.Err() == nil {
		s.env.Warn("backends of run %s could not be ended: %s", run.ID, strings.TrimSpace(err.Error()))
	}
}
