package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger/sqlstore"
)

// database is one connection that writes and a pool that reads. SQLite has one writer at a time anyway; waiting for it here
// costs microseconds, where SQLite's own waiting sleeps for milliseconds.
type database struct {
	writes, reads *sql.DB
	turn          chan struct{} // holds one token: the right to use writer
	writer        *sql.Conn     // opened by the first writer
	synced        bool          // writer's commits are synced now
	statements    map[string]*sql.Stmt
	renderer      *sqlstore.Renderer
}

func newDatabase(c *opener) *database {
	d := &database{
		writes: sql.OpenDB(c), reads: sql.OpenDB(c), turn: make(chan struct{}, 1),
		statements: map[string]*sql.Stmt{}, renderer: renderer(),
	}
	d.reads.SetMaxOpenConns(4)
	d.turn <- struct{}{}
	return d
}

func renderer() *sqlstore.Renderer {
	return &sqlstore.Renderer{
		Table:  func(name string) string { return "main." + name },
		After:  func(us string) string { return "(SELECT after(CAST(" + us + " AS bigint)))" },
		Micros: func(column string) string { return "micros(" + column + ")" },
		Any:    func(param string) string { return "IN (SELECT value FROM json_each(" + param + "))" },
		Rows: func(param string, columns [][2]string) string {
			fields := make([]string, len(columns))
			for i, c := range columns {
				fields[i] = "value->>'$." + c[0] + "' AS " + c[0]
				if c[1] == "json" {
					fields[i] = "nullif(value->'$." + c[0] + "', 'null') AS " + c[0]
				}
			}
			return "(SELECT " + strings.Join(fields, ", ") + " FROM json_each(" + param + ")) AS r"
		},
		Token:   "UPDATE main.ledger SET token = token + 1 RETURNING token",
		Indexed: func(index string) string { return "INDEXED BY " + index },
	}
}

// Lock implements sqlstore.DB. A transaction that writes has the whole database.
func (*database) Lock(sqlstore.Tx, string) error { return nil }

// Fence implements sqlstore.DB. No sink writes SQLite files.
func (*database) Fence(context.Context) (*connector.Fence, error) { return nil, nil } // nil is an answer

// Write implements sqlstore.DB.
func (d *database) Write(ctx context.Context, synced bool, fn func(sqlstore.Tx) error) (err error) {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.turn:
	}
	defer func() { d.turn <- struct{}{} }()
	if d.writer == nil {
		if d.writer, err = d.writes.Conn(ctx); err != nil {
			return explain(err)
		}
	}
	if synced != d.synced {
		mode := map[bool]string{true: "FULL", false: "NORMAL"}[synced]
		if _, err := d.writer.ExecContext(ctx, "PRAGMA synchronous = "+mode); err != nil {
			return explain(err)
		}
		d.synced = synced
	}
	// Only waiting for the lock can take long. After it nothing is interrupted: a statement takes less than the cleaning up would.
	_, err = d.writer.ExecContext(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		err = ctx.Err() // the driver may not have noticed
	}
	inner := context.WithoutCancel(ctx)
	if err == nil {
		err = fn(transaction{ctx: inner, d: d, prepare: d.prepared})
	}
	if err == nil {
		_, err = d.writer.ExecContext(inner, "COMMIT")
	}
	if err != nil {
		// It fails where there is no transaction, which is what is wanted.
		_, _ = d.writer.ExecContext(inner, "ROLLBACK")
	}
	return explain(err)
}

// Read implements sqlstore.DB.
func (d *database) Read(ctx context.Context, fn func(sqlstore.Tx) error) error {
	return explain(fn(transaction{ctx: ctx, d: d}))
}

// prepared returns the writer's statement for a template. There are a few dozen templates.
func (d *database) prepared(ctx context.Context, template string) (*sql.Stmt, error) {
	if s, ok := d.statements[template]; ok {
		return s, nil
	}
	s, err := d.writer.PrepareContext(ctx, d.render(template))
	if err != nil {
		return nil, err
	}
	d.statements[template] = s
	return s, nil
}

var parameter = regexp.MustCompile(`\$(\d)`)

// render turns $1 into ?1, because SQLite would number $-names by their first occurrence, and now() into a subquery, which
// is computed once a statement instead of once a row.
func (d *database) render(template string) string {
	return strings.ReplaceAll(parameter.ReplaceAllString(d.renderer.Render(template), "?$1"), "now()", "(SELECT now())")
}

// Close implements sqlstore.DB.
func (d *database) Close() error {
	<-d.turn
	defer func() { d.turn <- struct{}{} }()
	var errs []error
	for _, s := range d.statements {
		errs = append(errs, s.Close())
	}
	clear(d.statements)
	if d.writer != nil {
		errs = append(errs, d.writer.Close())
		d.writer = nil
	}
	if err := errors.Join(append(errs, d.writes.Close(), d.reads.Close())...); err != nil {
		return fmt.Errorf("close the ledger: %w", err)
	}
	return nil
}

// transaction executes on the writer, or, without prepare, on the readers.
type transaction struct {
	ctx     context.Context // it lives as long as one call of Write or Read
	d       *database
	prepare func(context.Context, string) (*sql.Stmt, error)
}

// Exec implements sqlstore.Tx.
func (t transaction) Exec(template string, args ...any) (int64, error) {
	if len(args) == 0 && strings.Contains(template, ";") { // the schema: several statements cannot be prepared as one
		_, err := t.d.writer.ExecContext(t.ctx, template)
		return 0, err
	}
	s, err := t.prepare(t.ctx, template) //nolint:sqlclosecheck // Close closes it
	if err != nil {
		return 0, err
	}
	list, err := arguments(args)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(t.ctx, list...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Later implements sqlstore.Tx. There is no way to save.
func (t transaction) Later(template string, args ...any) error {
	_, err := t.Exec(template, args...)
	return err
}

// Query implements sqlstore.Tx.
func (t transaction) Query(scan func(sqlstore.Row) error, template string, args ...any) error {
	list, err := arguments(args)
	if err != nil {
		return err
	}
	rows, err := t.rows(template, list)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells what went wrong
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (t transaction) rows(template string, list []any) (*sql.Rows, error) {
	if t.prepare == nil {
		return t.d.reads.QueryContext(t.ctx, t.d.render(template), list...)
	}
	s, err := t.prepare(t.ctx, template) //nolint:sqlclosecheck // Close closes it
	if err != nil {
		return nil, err
	}
	return s.QueryContext(t.ctx, list...)
}

// arguments passes lists as JSON, for json_each.
func arguments(args []any) ([]any, error) {
	list := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case []int64, []string:
			data, err := json.Marshal(a)
			if err != nil {
				return nil, fmt.Errorf("encode a list: %w", err)
			}
			list[i] = string(data)
		default:
			list[i] = a
		}
	}
	return list, nil
}
