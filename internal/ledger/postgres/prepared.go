package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Parsing and planning the ledger's statements costs the server as much as executing them, so they are prepared where that is safe: where the
// server itself, and no pooler that lends its connections out by the transaction, is at the other end.

// directly is the key under which a connection's custom data says so.
const directly = "drover.direct"

// steady keeps the plans of prepared statements from being made anew for each execution, and from being made for a table that is small now.
const steady = `SELECT set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false)`

// settle finds out what is at the other end of a new connection. A pooler gives its clients process IDs of its own, since cancel requests must reach it.
func settle(ctx context.Context, conn *pgx.Conn) error {
	var pid uint32
	err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid)
	if err == nil && pid != conn.PgConn().PID() {
		return nil
	}
	if err == nil {
		_, err = conn.Exec(ctx, steady)
	}
	if err != nil {
		return fmt.Errorf("set up a connection: %w", lost(ctx, conn, err))
	}
	conn.PgConn().CustomData()[directly] = true
	return nil
}

func direct(conn *pgx.Conn) bool {
	is, _ := conn.PgConn().CustomData()[directly].(bool)
	return is
}

// misprepared reports whether a prepared statement is not, or already, there: the connection was lent out after all.
func misprepared(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "26000" || e.Code == "42P05")
}
