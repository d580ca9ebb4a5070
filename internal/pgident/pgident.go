// Package pgident tells one PostgreSQL database from another, however it is reached.
package pgident

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Querier is a connection, a pool or a transaction.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Database returns a text that is the same however this database is reached, and no other's: the server's system identifier, and the
// database's OID and name. A server that hides its identifier is "unknown".
func Database(ctx context.Context, conn Querier) (string, error) {
	var database string
	if err := conn.QueryRow(ctx, "SELECT format('%s/%s', oid, datname) FROM pg_database WHERE datname = current_database()").Scan(&database); err != nil {
		return "", fmt.Errorf("identify the database: %w", err)
	}
	var system string
	err := conn.QueryRow(ctx, "SELECT system_identifier::text FROM pg_control_system()").Scan(&system)
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return "unknown/" + database, nil // a service that hides it
	}
	if err != nil {
		return "", fmt.Errorf("identify the server: %w", err)
	}
	return fmt.Sprintf("%s/%s", system, database), nil
}
