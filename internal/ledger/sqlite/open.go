// Package sqlite keeps a ledger in one SQLite file, for the drivers of one machine.
//
// The file is in WAL mode. Changes of a run are synced to disk; changes of chunks are written, and synced with the next change of a
// run or the next checkpoint: a crash of drover loses nothing, a power failure may take back the latest claims and finishes, and
// the next run finds their receipts in the target.
package sqlite

import (
	"context"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/sqlstore"
)

// version is that of the tables in schema.sql.
const version = 5

// upgrades are the statements that bring tables of version i+1 to the next one.
var upgrades = []string{
	`ALTER TABLE chunk ADD COLUMN rows_scanned INTEGER`,
	`CREATE TABLE machine (
	run_id    TEXT NOT NULL REFERENCES run (uid) ON DELETE CASCADE,
	driver    TEXT NOT NULL,    -- HOST/PID, as in chunk.worker
	workers   INTEGER NOT NULL, -- how many tasks it executes at once
	joined_at TEXT NOT NULL,    -- when it began to work
	seen_at   TEXT NOT NULL,    -- its last heartbeat
	PRIMARY KEY (run_id, driver)
) STRICT, WITHOUT ROWID`,
	`ALTER TABLE chunk ADD COLUMN rows_rejected INTEGER NOT NULL DEFAULT 0`,
	`ALTER TABLE run ADD COLUMN named INTEGER NOT NULL DEFAULT 1;
ALTER TABLE run ADD COLUMN version TEXT NOT NULL DEFAULT '';
CREATE TABLE pruned (
	uid         TEXT NOT NULL,
	id          TEXT NOT NULL,
	job         TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	state       TEXT NOT NULL,
	engine      TEXT NOT NULL,
	version     TEXT NOT NULL,
	message     TEXT,
	started_at  TEXT NOT NULL,
	finished_at TEXT,
	pruned_at   TEXT NOT NULL,
	PRIMARY KEY (job, id)
) STRICT;
CREATE INDEX pruned_id ON pruned (id)`,
}

//go:embed schema.sql
var schema string

// timeLayout sorts as text in the order of time, and SQLite's date functions read it.
const timeLayout = "2006-01-02 15:04:05.000000"

// busyTimeout is how long a statement waits for another process's transaction. Those take milliseconds.
const busyTimeout = 20 * time.Second

// Option changes how a ledger is opened.
type Option func(*opener)

// WithClock replaces the process's clock, which decides about leases.
func WithClock(now func() time.Time) Option { return func(c *opener) { c.now = now } }

// opener makes connections that know the functions of the ledger's SQL.
type opener struct {
	driver *sqlite3.SQLiteDriver
	dsn    string
	now    func() time.Time
}

func (c *opener) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

func (c *opener) Driver() driver.Driver { return c.driver }

func newConnector(path string, options []Option) *opener {
	// A URI, because a plain name would end at its first question mark.
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_foreign_keys": {"on"},
		"_synchronous":  {"normal"},
	}.Encode()}
	c := &opener{dsn: dsn.String(), now: time.Now}
	for _, o := range options {
		o(c)
	}
	c.driver = &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		format := func(t time.Time) string { return t.UTC().Format(timeLayout) }
		return errors.Join(
			conn.RegisterFunc("now", func() string { return format(c.now()) }, false),
			conn.RegisterFunc("after", func(us int64) string {
				return format(c.now().Add(time.Duration(us) * time.Microsecond))
			}, false),
			conn.RegisterFunc("micros", micros, true),
		)
	}}
	return c
}

// micros converts a time of the ledger to microseconds since 1970; NULL stays NULL.
func micros(text any) (any, error) {
	s, ok := text.(string)
	if !ok {
		return nil, nil // SQL's NULL
	}
	t, err := time.Parse(timeLayout, s)
	if err != nil {
		return nil, fmt.Errorf("read a time of the ledger: %w", err)
	}
	return t.UnixMicro(), nil
}

// Open opens the ledger in the file path, which it creates with its directory and its tables where needed.
// It fails with a *drover.Error: Refused where there is something else at path, or tables of a newer drover.
func Open(ctx context.Context, path string, options ...Option) (ledger.Ledger, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the ledger %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, &drover.Error{
			Kind: drover.Refused, Message: "cannot make the directory of the ledger: " + err.Error(),
			Hint: "name another place with --ledger", Cause: err,
		}
	}
	d := newDatabase(newConnector(path, options))
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the ledger %s: %w", path, err), d.Close())
	}
	return sqlstore.New(d), nil
}

// prepare switches to WAL and creates the tables.
func (d *database) prepare(ctx context.Context) error {
	if err := d.enableWAL(ctx); err != nil {
		return err
	}
	return d.Write(ctx, true, func(tx sqlstore.Tx) error {
		found := 0
		scan := func(r sqlstore.Row) error { return r.Scan(&found) }
		if err := tx.Query(scan, `SELECT count(*) FROM sqlite_master WHERE name = 'ledger'`); err != nil {
			return err
		}
		if found == 0 {
			foreign := 0
			if err := tx.Query(func(r sqlstore.Row) error { return r.Scan(&foreign) }, `SELECT count(*) FROM sqlite_master`); err != nil {
				return err
			}
			if foreign > 0 {
				return drover.Errorf(drover.Refused, "this SQLite file holds other tables than a ledger's").
					WithHint("name another file with --ledger")
			}
			if _, err := tx.Exec(schema); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO ledger (version, token) VALUES ($1, 0)`, version)
			return err
		}
		if err := tx.Query(scan, `SELECT version FROM ledger`); err != nil {
			return err
		}
		if found >= 1 && found < version {
			for _, upgrade := range upgrades[found-1:] {
				if _, err := tx.Exec(upgrade); err != nil {
					return fmt.Errorf("bring the ledger's tables from version %d to %d: %w", found, version, err)
				}
			}
			_, err := tx.Exec(`UPDATE ledger SET version = $1`, version)
			return err
		}
		if found != version {
			return drover.Errorf(drover.Refused, "the ledger was made by another version of drover: its tables have version %d, this drover knows %d",
				found, version).WithHint("use the newer drover, or name another ledger with --ledger")
		}
		return nil
	})
}

// enableWAL waits by itself: SQLite does not, for a change of the journal's mode, and several drivers may create one ledger.
func (d *database) enableWAL(ctx context.Context) error {
	for deadline := time.Now().Add(busyTimeout); ; {
		var mode string
		err := d.reads.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode)
		if err == nil && mode != "wal" {
			return drover.Errorf(drover.Refused, "SQLite cannot use write-ahead logging here (journal mode %s)", mode).
				WithHint("put the ledger on a local disk, or use a postgres:// ledger")
		}
		var e sqlite3.Error
		if !errors.As(err, &e) || e.Code != sqlite3.ErrBusy && e.Code != sqlite3.ErrLocked || time.Now().After(deadline) {
			return explain(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// explain gives SQLite's errors the kinds by which callers decide.
func explain(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	kind, hint := drover.Kind(""), ""
	switch e.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		kind, hint = drover.Transient, "another process holds the ledger's lock; is one stopped?"
	case sqlite3.ErrFull, sqlite3.ErrIoErr:
		kind, hint = drover.Unreachable, "check the disk, then run the same command again"
	case sqlite3.ErrNotADB, sqlite3.ErrCorrupt, sqlite3.ErrReadonly, sqlite3.ErrCantOpen, sqlite3.ErrPerm, sqlite3.ErrAuth:
		kind, hint = drover.Refused, "name another file with --ledger"
	default:
		return err
	}
	return &drover.Error{Kind: kind, Code: "SQLite " + e.Code.Error(), Message: "the ledger's SQLite file: " + e.Error(), Hint: hint, Cause: err}
}
