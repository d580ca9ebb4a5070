package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/droverdata/drover/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// pair is a server with the two databases of a Postgres benchmark. The server is durable: commits are as safe for drover as for its
// rivals.
type pair struct {
	server     *pgtest.Server
	raw, clean string
}

func startPair(ctx context.Context) (*pair, error) {
	server, err := pgtest.Start(ctx, "", pgtest.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "256MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min",
	}})
	if err != nil {
		return nil, fmt.Errorf("start a Postgres server: %w", err)
	}
	p := &pair{server: server}
	if p.raw, err = server.CreateDatabase(ctx, "raw"); err == nil {
		p.clean, err = server.CreateDatabase(ctx, "clean")
	}
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return p, nil
}

// rivalry is what the benchmarks of the companies need: a server that has them, and the rivals.
type rivalry struct {
	*pair
	psql   string
	python func(ctx context.Context, script string, args ...string) *exec.Cmd
}

// startCompanies starts a server with so many companies in so many zip codes.
func (c config) startCompanies(ctx context.Context, rows, zips int) (*rivalry, error) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		return nil, fmt.Errorf("find the rival: %w (install the Postgres client)", err)
	}
	python, err := c.python(ctx)
	if err != nil {
		return nil, err
	}
	p, err := startPair(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.makeCompanies(ctx, rows, zips); err != nil {
		return nil, errors.Join(err, p.server.Stop())
	}
	return &rivalry{p, psql, python}, nil
}

// env is what drover's job files need to find the databases.
func (p *pair) env() []string { return []string{"RAW_URL=" + p.raw, "CLEAN_URL=" + p.clean} }

func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	_, err = conn.Exec(ctx, sql)
	return err
}

// expect says an error unless all tables of the target database have so many rows.
func (p *pair) expect(ctx context.Context, want int64, tables ...string) error {
	conn, err := pgx.Connect(ctx, p.clean)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	for _, table := range tables {
		var n int64
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize()).Scan(&n); err != nil {
			return err
		}
		if n != want {
			return fmt.Errorf("%s has %d rows of %d", table, n, want)
		}
	}
	return nil
}

// clear runs sql in the target database before a round, and writes out what the round before left dirty.
func (p *pair) clear(sql string) func(context.Context) error {
	return func(ctx context.Context) error {
		return errors.Join(execute(ctx, p.clean, sql), execute(ctx, p.clean, "CHECKPOINT"))
	}
}

// makeCompanies fills raw_companies with so many rows, spread over so many zip codes: those of one zip lie all over the table.
func (p *pair) makeCompanies(ctx context.Context, rows, zips int) error {
	raw, err := os.ReadFile("examples/companies/raw.sql")
	if err != nil {
		return err
	}
	sql := strings.NewReplacer("$ROWS$", fmt.Sprint(rows), "(i % 300) * 331", fmt.Sprintf("(h %% %d) * %d", zips, 99_000/zips)).Replace(string(raw))
	if err := execute(ctx, p.raw, sql); err != nil {
		return fmt.Errorf("make the companies: %w", err)
	}
	return execute(ctx, p.raw, "VACUUM (FREEZE, ANALYZE) raw_companies")
}

// columns lists raw_companies' columns with their types, without those that are dropped.
func (p *pair) columns(ctx context.Context, dropped ...string) (columns string, err error) {
	conn, err := pgx.Connect(ctx, p.raw)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	err = conn.QueryRow(ctx, `SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY attnum)
		FROM pg_attribute WHERE attrelid = 'raw_companies'::regclass AND attnum > 0 AND attname <> ALL ($1)`, append([]string{}, dropped...)).Scan(&columns)
	return columns, err
}

// pipe copies what the query or table from yields into a table of the target database, by two psql processes.
func (p *rivalry) pipe(ctx context.Context, from, table string) (sample, error) {
	read := exec.CommandContext(ctx, p.psql, "-qX", "-d", p.raw, "-c", "COPY "+from+" TO STDOUT (FORMAT binary)")
	write := exec.CommandContext(ctx, p.psql, "-qX", "-d", p.clean, "-c", "COPY "+table+" FROM STDIN (FORMAT binary)")
	r, w, err := os.Pipe()
	if err != nil {
		return sample{}, err
	}
	read.Stdout, write.Stdin = w, r
	return measure(func() {
		// Each process has its end; as long as this one has it too, nobody sees the end of the stream.
		_, _ = r.Close(), w.Close()
	}, read, write)
}

// workDir makes a folder with job files.
func (c config) workDir(jobs map[string]string) (string, error) {
	work, err := os.MkdirTemp(c.dir, "work-")
	if err != nil {
		return "", err
	}
	for name, job := range jobs {
		if err := os.WriteFile(filepath.Join(work, name), []byte(job), 0o600); err != nil {
			return "", err
		}
	}
	return work, nil
}
