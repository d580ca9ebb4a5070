package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// How long a statement of the sink waits for another session's lock, and how often the short transactions that need a strong
// lock try again. A waiting ACCESS EXCLUSIVE queues all readers behind it, so a try is short.
const (
	lockTimeout    = 20 * time.Second
	publishTimeout = 2 * time.Second
	// driverIdle keeps a machine that fell asleep amid a driver's transaction, whose statements follow each other at once, from holding its locks.
	driverIdle   = 10 * time.Second
	publishPause = 500 * time.Millisecond
	publishTries = 60
)

// tableSink implements connector.Sink. It keeps at most one idle connection.
type tableSink struct {
	spec Sink
	mode Mode
	env  connector.Env
	// schema is the one that holds drover's own tables.
	schema string

	// trace sees every statement of new connections; pause and tries replace publishPause and publishTries in tests.
	trace pgx.QueryTracer
	pause time.Duration
	tries int

	mu   sync.Mutex
	idle *pgx.Conn
}

func newSink(spec *Sink, env connector.Env) *tableSink {
	_, schema := droverSchema(spec.URL)
	mode := spec.Mode
	if mode == "" {
		mode = Error
	}
	return &tableSink{spec: *spec, mode: mode, env: env, schema: schema, pause: publishPause, tries: publishTries}
}

// Close closes the idle connection.
func (s *tableSink) Close() error {
	s.mu.Lock()
	conn := s.idle
	s.idle = nil
	s.mu.Unlock()
	if conn != nil {
		closeConn(conn)
	}
	return nil
}

// acquire returns a connection that works; release takes it back.
func (s *tableSink) acquire(ctx context.Context) (*pgx.Conn, error) {
	s.mu.Lock()
	conn := s.idle
	s.idle = nil
	s.mu.Unlock()
	if conn != nil {
		if conn.Ping(ctx) == nil {
			return conn, nil
		}
		closeConn(conn)
	}
	if s.trace == nil {
		return connect(ctx, s.spec.URL, s.env)
	}
	cfg, err := config(s.spec.URL, s.env)
	if err != nil {
		return nil, err
	}
	cfg.Tracer = s.trace
	conn, err = pgx.ConnectConfig(ctx, cfg)
	return conn, wrap(err, "connect to "+s.spec.URL.String())
}

func (s *tableSink) release(conn *pgx.Conn) {
	if conn.IsClosed() || conn.PgConn().TxStatus() != 'I' {
		closeConn(conn)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle == nil {
		s.idle = conn
		return
	}
	closeConn(conn)
}

// settings are what a transaction of the sink needs besides its statements. All of them are local to it.
type settings struct {
	lockTimeout time.Duration
	// application marks the transaction's backend, where not empty.
	application string
	// idle is how long the server waits for the next statement before it gives the transaction up; 0 for its own default.
	idle time.Duration
}

// transaction runs do in one transaction with synchronous commit. doing names it in errors. An error of do, or of the commit, leaves
// nothing behind, except that a connection lost during the commit leaves the outcome open: a receipt tells it then.
func (s *tableSink) transaction(ctx context.Context, conn *pgx.Conn, doing string, set settings, do func(tx pgx.Tx) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return wrap(err, doing)
	}
	if err := s.within(ctx, tx, set, do); err != nil {
		// A lost connection rolls back by itself; a cancelled context must not keep the rollback from being sent.
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if rollErr := tx.Rollback(stop); rollErr != nil {
			closeConn(conn)
		}
		return wrap(err, doing)
	}
	if err := tx.Commit(ctx); err != nil {
		closeConn(conn)
		return wrap(err, doing+": commit")
	}
	return nil
}

func (s *tableSink) within(ctx context.Context, tx pgx.Tx, set settings, do func(tx pgx.Tx) error) error {
	// A statement_timeout is meant for queries; loading a task may take long.
	sql := `SELECT set_config('synchronous_commit', 'on', true), set_config('lock_timeout', $1, true), set_config('statement_timeout', '0', true)`
	args := []any{fmt.Sprintf("%dms", set.lockTimeout.Milliseconds())}
	if set.application != "" {
		sql += `, set_config('application_name', $2, true)`
		args = append(args, set.application)
	}
	if set.idle > 0 {
		args = append(args, fmt.Sprintf("%dms", set.idle.Milliseconds()))
		sql += fmt.Sprintf(`, set_config('idle_in_transaction_session_timeout', $%d, true)`, len(args))
	}
	if _, err := tx.Exec(ctx, sql, args...); err != nil {
		return err
	}
	return do(tx)
}

// retryLocks repeats a short transaction that needs a strong lock until it gets it.
func (s *tableSink) retryLocks(ctx context.Context, what string, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		// A deadlock is with an attempt that waits for the gate while it holds the table.
		if !hasState(err, "55P03", "40P01") {
			return err
		}
		if try >= s.tries {
			var e *drover.Error
			if errors.As(err, &e) {
				e.Message = fmt.Sprintf("%s: other sessions held their locks for %d tries", what, try)
				e.Hint = "end the long transactions that use the table (pg_stat_activity, pg_locks), then run the same command again"
			}
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(s.pause):
		}
	}
}

// hasState reports whether err is the server's answer with one of these SQLSTATEs.
func hasState(err error, codes ...string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains(codes, pg.Code)
}

// refuse builds the error of a sink that says no.
func refuse(format string, args ...any) *drover.Error {
	return drover.Errorf(drover.Refused, format, args...)
}

// openSink returns the sink of a vocabulary value. It connects on first use.
func openSink(_ context.Context, spec drover.Sink, env connector.Env) (connector.Sink, error) {
	s, ok := spec.(*Sink)
	if !ok {
		return nil, fmt.Errorf("open a postgres sink: got %T", spec)
	}
	return newSink(s, env), nil
}
