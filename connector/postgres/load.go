package postgres

import (
	"context"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5/pgconn"
)

// loaded is what load wrote of one chunk: rows, and their bytes in binary COPY.
type loaded struct{ rows, bytes int64 }

// load runs the program of in over the n chunks of an attempt and streams its rows into conn as binary COPY, inside the caller's
// open transaction. copySQL is "COPY t (a, b) FROM STDIN (FORMAT binary)"; columns are the target's columns in its order, one per
// column of in.Output. It returns the counts of each chunk. On error the transaction, or the connection, is beyond use, and
// no goroutine of load is left.
func load(ctx context.Context, conn *pgconn.PgConn, copySQL string, in connector.Input, n int, columns []column) ([]loaded, error) {
	return nil, drover.Errorf(drover.Refused, "load is being written")
}

// castable reports whether load can store values of a DuckDB type in a column of type t, as an assignment of Postgres would.
// same is true where no cast is needed.
func castable(duckType string, t *pgType) (same, ok bool) {
	return duckType == t.duck(), duckType == t.duck()
}
