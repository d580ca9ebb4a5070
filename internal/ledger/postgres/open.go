// Package postgres keeps a ledger in a PostgreSQL database, for drivers on any number of machines.
//
// It uses no session state: no prepared statements, no settings, no session locks. So it works through a proxy that
// pools transactions, such as PgBouncer.
package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/sqlstore"
	"github.com/droverdata/drover/internal/pgdial"
	"github.com/droverdata/drover/internal/pgurl"
	"github.com/droverdata/drover/internal/redact"
)

// version is that of the tables in schema.sql.
const version = 5

// upgrades are the scripts that bring tables of version i+1 to the next one.
var upgrades = []string{
	`ALTER TABLE @schema.chunk ADD COLUMN rows_scanned bigint;
COMMENT ON COLUMN @schema.chunk.rows_scanned IS 'Rows looked at before filters were pushed down; NULL where it is not known.'`,
	`CREATE TABLE @schema.machine (
	run_id    text NOT NULL REFERENCES @schema.run (uid) ON DELETE CASCADE,
	driver    text NOT NULL,
	workers   integer NOT NULL,
	joined_at timestamptz NOT NULL,
	seen_at   timestamptz NOT NULL,
	PRIMARY KEY (run_id, driver)
);
COMMENT ON TABLE @schema.machine IS 'One row per driver at work on a run that is not over. machine.run_id = run.uid.';
COMMENT ON COLUMN @schema.machine.run_id IS 'run.uid.';
COMMENT ON COLUMN @schema.machine.driver IS 'HOST/PID, as in chunk.worker.';
COMMENT ON COLUMN @schema.machine.workers IS 'How many tasks it executes at once.';
COMMENT ON COLUMN @schema.machine.joined_at IS 'When it began to work.';
COMMENT ON COLUMN @schema.machine.seen_at IS 'Its last heartbeat.';
COMMENT ON COLUMN @schema.ledger.version IS 'Of these tables.';
COMMENT ON SEQUENCE @schema.run_number_seq IS 'Gives run.number.'`,
	`ALTER TABLE @schema.chunk ADD COLUMN rows_rejected bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN @schema.chunk.rows_rejected IS 'Of rows_in, those that went to the job''s rejects.'`,
	`ALTER TABLE @schema.run ADD COLUMN named boolean NOT NULL DEFAULT true, ADD COLUMN version text NOT NULL DEFAULT '';
ALTER TABLE @schema.run ALTER COLUMN named DROP DEFAULT, ALTER COLUMN version DROP DEFAULT;
COMMENT ON COLUMN @schema.run.named IS 'The name was given by --run.';
COMMENT ON COLUMN @schema.run.version IS 'The drover that began it; no other version works on it.';
COMMENT ON COLUMN @schema.machine.driver IS 'HOST/PID/..., as in chunk.worker.';
COMMENT ON COLUMN @schema.chunk.worker IS 'Who has, or last had, it: HOST/PID/..., as in machine.driver.';
CREATE TABLE @schema.pruned (
	uid         text NOT NULL,
	id          text NOT NULL,
	job         text NOT NULL,
	fingerprint text NOT NULL,
	state       text NOT NULL,
	engine      text NOT NULL,
	version     text NOT NULL,
	message     text,
	started_at  timestamptz NOT NULL,
	finished_at timestamptz,
	pruned_at   timestamptz NOT NULL,
	PRIMARY KEY (job, id)
);
CREATE INDEX pruned_id ON @schema.pruned (id);
COMMENT ON TABLE @schema.pruned IS 'What drover prune keeps of a run that --run named: a machine that comes late with the name finds it over.';
COMMENT ON COLUMN @schema.pruned.uid IS 'run.uid as it was.';
COMMENT ON COLUMN @schema.pruned.id IS 'Its name, unique within the job.';
COMMENT ON COLUMN @schema.pruned.job IS 'The job''s name.';
COMMENT ON COLUMN @schema.pruned.fingerprint IS 'Of the job''s meaning.';
COMMENT ON COLUMN @schema.pruned.state IS 'finished or abandoned.';
COMMENT ON COLUMN @schema.pruned.engine IS 'Where its attempts executed.';
COMMENT ON COLUMN @schema.pruned.version IS 'The drover that began it.';
COMMENT ON COLUMN @schema.pruned.message IS 'The last thing worth saying about it.';
COMMENT ON COLUMN @schema.pruned.started_at IS 'When it was created.';
COMMENT ON COLUMN @schema.pruned.finished_at IS 'When it was over.';
COMMENT ON COLUMN @schema.pruned.pruned_at IS 'When it was removed.'`,
}

//go:embed schema.sql
var schema string

// DefaultSchema is where the ledger's tables are if the URL does not say.
const DefaultSchema = "drover"

const (
	// connectTimeout bounds a connection attempt where the URL says nothing.
	connectTimeout = 15 * time.Second
	// silence is how long the ledger's host may leave data unacknowledged, or a probe unanswered, before a connection counts as lost.
	silence = 30 * time.Second
)

// Open connects to the ledger at a postgres:// or postgresql:// URL, or of libpq keywords, and creates its schema and tables where they are
// missing, or brings them up to date. ?drover_schema=NAME in the URL names another schema than drover. It fails with a *drover.Error: Invalid for
// a wrong URL, Unreachable, or Refused; none shows the password. Calls of an open ledger wait for a server that is away, up to a minute.
func Open(ctx context.Context, rawURL string) (ledger.Ledger, error) {
	return opened(ctx, rawURL, func(d *database) (bool, error) { return true, d.prepare(ctx) })
}

// OpenExisting is Open that makes no tables, though it brings older ones up to date: it returns nil without an error where there are no tables.
func OpenExisting(ctx context.Context, rawURL string) (ledger.Ledger, error) {
	return opened(ctx, rawURL, func(d *database) (bool, error) {
		var found int
		err := d.Read(ctx, func(tx sqlstore.Tx) error {
			var err error
			found, err = d.check(tx)
			return err
		})
		if err != nil || found == 0 {
			return false, err
		}
		return true, d.prepare(ctx)
	})
}

// opened connects and has look say whether the tables are there.
func opened(ctx context.Context, rawURL string, look func(*database) (bool, error)) (ledger.Ledger, error) {
	config, schemaName, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, explain(err, config.ConnConfig)
	}
	d := newDatabase(pool, config.ConnConfig, schemaName)
	there, err := look(d)
	if err != nil || !there {
		pool.Close()
		return nil, wrapped(err, "open the ledger in "+place(config.ConnConfig))
	}
	d.patience = outage
	return sqlstore.New(d), nil
}

func wrapped(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func parse(text string) (*pgxpool.Config, string, error) {
	const hint = "a ledger's URL looks like postgres://user:password@host:5432/database"
	rest, name, given := pgurl.Split(text)
	switch {
	case !given:
		name = DefaultSchema
	case name == "":
		return nil, "", drover.Errorf(drover.Invalid, "the ledger's URL has an empty %s", pgurl.SchemaParameter).WithHint("name a schema, or leave it out")
	}
	password := ""
	if strings.Contains(rest, "://") {
		u, err := url.Parse(rest)
		if err != nil || pgurl.Misread(u) {
			// The parser's message quotes the URL, and with it the password.
			return nil, "", drover.Errorf(drover.Invalid, "the ledger's URL cannot be parsed").WithHint("%s; special characters in a password are written as %%XX", hint)
		}
		password, _ = u.User.Password()
	}
	config, err := pgxpool.ParseConfig(pgdial.WithoutPublicPassfile(rest))
	if err != nil {
		return nil, "", &drover.Error{Kind: drover.Invalid, Message: redact.Passwords(scrub("the ledger's URL: "+err.Error(), password)), Hint: hint}
	}
	c := config.ConnConfig
	if err := pgdial.Settle(&c.Config); err != nil {
		if e, ok := errors.AsType[*drover.Error](err); ok {
			e.Field = "" // that of a source or a sink
		}
		return nil, "", fmt.Errorf("the ledger's URL: %w", err)
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity, c.DescriptionCacheCapacity = 0, 0
	c.DialFunc = pgdial.Dialer(silence).DialContext
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	config.AfterConnect = settle
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "drover"
	}
	return config, name, nil
}

// scrub takes a password out of a text.
func scrub(text, password string) string {
	if password == "" {
		return text
	}
	for _, form := range []string{password, url.QueryEscape(password), url.PathEscape(password)} {
		text = strings.ReplaceAll(text, form, "xxxxx")
	}
	return text
}

// place names the database to a person.
func place(c *pgx.ConnConfig) string {
	return fmt.Sprintf("postgres://%s:%d/%s", c.Host, c.Port, c.Database)
}

// prepare creates the tables unless they are there. A target in the same database shares the schema, and may create it at the same moment.
func (d *database) prepare(ctx context.Context) error {
	const tries = 3
	for try := 1; ; try++ {
		err := d.create(ctx)
		if err == nil || !duplicate(err) || try == tries {
			return err
		}
	}
}

func (d *database) create(ctx context.Context) error {
	var found int
	err := d.Read(ctx, func(tx sqlstore.Tx) error {
		var err error
		found, err = d.check(tx)
		return err
	})
	if err != nil || found == version {
		return err
	}
	return d.Write(ctx, true, func(tx sqlstore.Tx) error {
		if err := d.Lock(tx, "schema"); err != nil {
			return err
		}
		// Another driver may have created or upgraded them while this one waited for the lock.
		found, err := d.check(tx)
		if err != nil || found == version {
			return err
		}
		if found > 0 {
			if err := d.script(tx, strings.Join(upgrades[found-1:], ";\n")); err != nil {
				return fmt.Errorf("bring the ledger's tables in schema %s from version %d to %d: %w", d.schema, found, version, err)
			}
			_, err := tx.Exec(`UPDATE @table(ledger) SET version = $1`, version)
			return err
		}
		script, exists := schema, false
		// CREATE SCHEMA IF NOT EXISTS wants the right to create one even where it exists.
		if err := tx.Query(func(sqlstore.Row) error { exists = true; return nil }, `SELECT 1 FROM pg_namespace WHERE nspname = $1`, d.schema); err != nil {
			return err
		}
		if !exists {
			script = "CREATE SCHEMA @schema;\n" + script
		}
		if err := d.script(tx, script); err != nil {
			return fmt.Errorf("create the ledger's tables in schema %s: %w", d.schema, err)
		}
		_, err = tx.Exec(`INSERT INTO @table(ledger) VALUES ($1)`, version)
		return err
	})
}

// script executes statements in which @schema stands for the ledger's.
func (d *database) script(tx sqlstore.Tx, script string) error {
	script = strings.ReplaceAll(script, "@schema", pgx.Identifier{d.schema}.Sanitize())
	for statement := range strings.SplitSeq(script, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := tx.Exec(statement); err != nil {
			return err
		}
	}
	return nil
}

// check returns the version of the tables, 0 where there are none, and refuses one that this drover does not know.
func (d *database) check(tx sqlstore.Tx) (found int, err error) {
	exists := false
	err = tx.Query(func(r sqlstore.Row) error { return r.Scan(&exists) },
		`SELECT count(*) > 0 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relname = 'ledger'`, d.schema)
	if err != nil || !exists {
		return 0, err
	}
	if err := tx.Query(func(r sqlstore.Row) error { return r.Scan(&found) }, `SELECT version FROM @table(ledger)`); err != nil {
		return 0, err
	}
	if found < 1 || found > version {
		return 0, drover.Errorf(drover.Refused,
			"the ledger was made by another version of drover: the tables in schema %s have version %d, this drover knows %d", d.schema, found, version).
			WithHint("use the newer drover, or another schema with ?%s=NAME in the ledger's URL", pgurl.SchemaParameter)
	}
	return found, nil
}
