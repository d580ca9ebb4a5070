package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger/sqlstore"
	"github.com/droverdata/drover/internal/pgident"
)

type database struct {
	pool     *pgxpool.Pool
	config   *pgx.ConnConfig
	schema   string
	renderer *sqlstore.Renderer
	// patience is how long a call waits for a server that is away; 0 until the ledger is open.
	patience time.Duration
	// unprepared is set once prepared statements were found not to last as long as their connection.
	unprepared atomic.Bool
	absence    absence
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
	return tx.Later(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "drover ledger "+d.schema+" "+name)
}

// Fence implements sqlstore.DB. FOR SHARE conflicts with the locks that claims take, and not with itself.
func (d *database) Fence(ctx context.Context) (*connector.Fence, error) {
	name, err := pgident.Database(ctx, d.pool)
	if err != nil {
		return nil, explain(err, d.config)
	}
	return &connector.Fence{
		Database: name,
		Known:    d.renderer.Render(`SELECT count(*) FROM @table(run) WHERE uid = $1`),
		Held: d.renderer.Render(`SELECT count(*) FROM (SELECT FROM @table(chunk) WHERE run_id = $1 AND stage = $2 AND id = ANY($3::bigint[])
			AND token = $4 AND state = 'running' ORDER BY id FOR SHARE) AS held`),
	}, nil
}

// Write implements sqlstore.DB. Every commit is as durable as the server makes it.
func (d *database) Write(ctx context.Context, _ bool, fn func(sqlstore.Tx) error) error {
	return d.again(ctx, func() error { return d.try(ctx, fn) })
}

// try runs fn in one transaction.
func (d *database) try(ctx context.Context, fn func(sqlstore.Tx) error) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	// The pool closes connections that come back inside a transaction.
	defer conn.Release()
	tx := d.begin(ctx, conn)
	tx.pending.Queue("begin")
	tx.pending.Queue(giveUpIdle)
	if err := lost(ctx, conn.Conn(), fn(tx)); err != nil {
		// With a context of its own: a cancelled caller's transaction must let go of its locks too. Where it fails, the pool's closing
		// of the connection does the same.
		rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_, _ = conn.Exec(rollback, "rollback")
		return err
	}
	tx.pending.Queue("commit")
	return lost(ctx, conn.Conn(), tx.send(func(answer pgx.BatchResults) error {
		tag, err := answer.Exec()
		if err == nil && tag.String() != "COMMIT" {
			err = fmt.Errorf("the ledger's server answered a commit with %s", tag)
		}
		return err
	}))
}

const (
	rollbackTimeout = 5 * time.Second
	// giveUpIdle has the server give up the transaction of a driver that falls asleep, whose locks all others would wait for. Statements follow
	// each other at once.
	giveUpIdle = `SET LOCAL idle_in_transaction_session_timeout = '5s'`
)

// Read implements sqlstore.DB.
func (d *database) Read(ctx context.Context, fn func(sqlstore.Tx) error) error {
	return d.again(ctx, func() error {
		conn, err := d.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		return lost(ctx, conn.Conn(), fn(d.begin(ctx, conn)))
	})
}

// Close implements sqlstore.DB.
func (d *database) Close() error {
	d.pool.Close()
	return nil
}

// transaction sends statements in as few round trips as their answers allow.
type transaction struct {
	ctx     context.Context // it lives as long as one call of Write or Read
	d       *database
	on      *pgxpool.Conn
	pending *pgx.Batch // statements that were not sent yet
	prepare bool       // each statement once, for all further transactions of the connection
}

func (d *database) begin(ctx context.Context, conn *pgxpool.Conn) *transaction {
	return &transaction{ctx: ctx, d: d, on: conn, pending: &pgx.Batch{}, prepare: !d.unprepared.Load() && direct(conn.Conn())}
}

// Later implements sqlstore.Tx.
func (t *transaction) Later(template string, args ...any) error {
	t.pending.Queue(t.d.renderer.Render(template), args...)
	return nil
}

// send sends what is pending and lets last read the answer to the last statement of it.
func (t *transaction) send(last func(pgx.BatchResults) error) error {
	batch := t.pending
	t.pending = &pgx.Batch{}
	if t.prepare {
		for _, q := range batch.QueuedQueries {
			if _, err := t.on.Conn().Prepare(t.ctx, q.SQL, q.SQL); err != nil {
				return fmt.Errorf("prepare a ledger statement: %w", err)
			}
		}
	}
	answer := t.on.SendBatch(t.ctx, batch)
	for range batch.Len() - 1 {
		if _, err := answer.Exec(); err != nil {
			_ = answer.Close() // it repeats the error
			return fmt.Errorf("ledger statement: %w", err)
		}
	}
	if err := last(answer); err != nil {
		_ = answer.Close()
		return err
	}
	return answer.Close()
}

// Exec implements sqlstore.Tx.
func (t *transaction) Exec(template string, args ...any) (affected int64, err error) {
	t.pending.Queue(t.d.renderer.Render(template), args...)
	err = t.send(func(answer pgx.BatchResults) error {
		tag, err := answer.Exec()
		if err != nil {
			return fmt.Errorf("ledger statement: %w", err)
		}
		affected = tag.RowsAffected()
		return nil
	})
	return affected, err
}

// Query implements sqlstore.Tx.
func (t *transaction) Query(scan func(sqlstore.Row) error, template string, args ...any) error {
	t.pending.Queue(t.d.renderer.Render(template), args...)
	return t.send(func(answer pgx.BatchResults) error {
		rows, err := answer.Query()
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
	})
}
