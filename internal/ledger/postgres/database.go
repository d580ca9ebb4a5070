package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/droverdata/drover/internal/ledger/sqlstore"
)

type database struct {
	pool     *pgxpool.Pool
	config   *pgx.ConnConfig
	schema   string
	renderer *sqlstore.Renderer
}

func newDatabase(pool *pgxpool.Pool, config *pgx.ConnConfig, schemaName string) *database {
	return &database{pool: pool, config: config, schema: schemaName, renderer: &sqlstore.Renderer{
		Table:  func(name string) string { return pgx.Identifier{schemaName, name}.Sanitize() },
		After:  func(us string) string { return "(now() + CAST(" + us + " AS bigint) * interval '1 microsecond')" },
		Micros: func(column string) string { return "CAST(extract(epoch FROM " + column + ") * 1000000 AS bigint)" },
		Any:    func(param string) string { return "= ANY(" + param + ")" },
		Rows: func(param string, columns [][2]string) string {
			fields := make([]string, len(columns))
			for i, c := range columns {
				fields[i] = c[0] + " " + c[1]
			}
			return "json_to_recordset(CAST(" + param + " AS json)) AS r(" + strings.Join(fields, ", ") + ")"
		},
		Token:   "SELECT nextval('" + strings.ReplaceAll(pgx.Identifier{schemaName, "token"}.Sanitize(), "'", "''") + "')",
		Indexed: func(string) string { return "" },
		// Weaker than FOR UPDATE, so that it does not wait for the foreign keys of chunks.
		Lock:       "FOR NO KEY UPDATE",
		SkipLocked: "FOR NO KEY UPDATE SKIP LOCKED",
	}}
}

// Lock implements sqlstore.DB.
func (d *database) Lock(tx sqlstore.Tx, name string) error {
	_, err := tx.Exec(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "drover ledger "+d.schema+" "+name)
	return err
}

// Write implements sqlstore.DB. Every commit is as durable as the server makes it.
func (d *database) Write(ctx context.Context, _ bool, fn func(sqlstore.Tx) error) error {
	const tries = 10
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
			return fn(transaction{ctx: ctx, d: d, on: tx})
		})
		if err == nil || !retryable(err) || try == tries {
			return explain(err, d.config)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), explain(err, d.config))
		case <-time.After(time.Duration(try) * rand.N(10*time.Millisecond)):
		}
	}
}

// Read implements sqlstore.DB.
func (d *database) Read(ctx context.Context, fn func(sqlstore.Tx) error) error {
	return explain(fn(transaction{ctx: ctx, d: d, on: d.pool}), d.config)
}

// Close implements sqlstore.DB.
func (d *database) Close() error {
	d.pool.Close()
	return nil
}

// querier is a transaction or the pool.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

type transaction struct {
	ctx context.Context //nolint:containedctx // it lives as long as one call of Write or Read
	d   *database
	on  querier
}

// Exec implements sqlstore.Tx.
func (t transaction) Exec(template string, args ...any) (int64, error) {
	tag, err := t.on.Exec(t.ctx, t.d.renderer.Render(template), args...)
	if err != nil {
		return 0, fmt.Errorf("ledger statement: %w", err)
	}
	return tag.RowsAffected(), nil
}

// Query implements sqlstore.Tx.
func (t transaction) Query(scan func(sqlstore.Row) error, template string, args ...any) error {
	rows, err := t.on.Query(t.ctx, t.d.renderer.Render(template), args...)
	if err != nil {
		return fmt.Errorf("ledger query: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
