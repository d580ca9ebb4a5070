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

const companiesJob = `name: bench-companies
source: {postgres: {url: "${RAW_URL}", table: raw_companies}}
chunk: {by: zip_code}
steps:
  - filter: is_active OR NOT is_active
  - set:
      state: upper(state)
      city: trim(city)
      revenue_per_employee: revenue / nullif(employees, 0)
  - drop: [fax, notes]
  - sql: SELECT * REPLACE (lower(email) AS email) FROM chunk
sink: {postgres: {url: "${CLEAN_URL}", table: clean_companies, mode: replace}}
`

const chunksJob = `name: bench-chunks
source: {postgres: {url: "${RAW_URL}", table: tiny}}
chunk: {by: id}
sink: {postgres: {url: "${CLEAN_URL}", table: tiny_copy, mode: append}}
`

// pair is a server with the two databases of a Postgres benchmark. The server is durable: commits are as safe for drover as for its
// rivals.
type pair struct {
	server     *pgtest.Server
	raw, clean string
}

func startPair(ctx context.Context) (*pair, error) {
	server, err := pgtest.Start(ctx, "", pgtest.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min",
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

func exec1(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	_, err = conn.Exec(ctx, sql)
	return err
}

func (p *pair) rows(ctx context.Context, table string) (n int64, err error) {
	conn, err := pgx.Connect(ctx, p.clean)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	err = conn.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize()).Scan(&n)
	return n, err
}

// clear empties the target database between runs, and writes out what the run before left dirty.
func (p *pair) clear(sql string) func(context.Context) error {
	return func(ctx context.Context) error {
		return errors.Join(exec1(ctx, p.clean, sql), exec1(ctx, p.clean, "CHECKPOINT"))
	}
}

// companies is a million companies by zip code with the transform of the example, beside a raw binary pipe of the table.
func companies(ctx context.Context, c config) (text string, err error) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		return "", fmt.Errorf("find the rival: %w (install the Postgres client)", err)
	}
	p, err := startPair(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.server.Stop()) }()
	rows := c.size(1_000_000, 20_000)
	raw, err := os.ReadFile("examples/companies/raw.sql")
	if err != nil {
		return "", err
	}
	if err := exec1(ctx, p.raw, strings.Replace(string(raw), "$ROWS$", fmt.Sprint(rows), 1)); err != nil {
		return "", fmt.Errorf("make the companies: %w", err)
	}
	work, err := workDir(c, companiesJob)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	like, err := pipeTarget(ctx, p)
	if err != nil {
		return "", err
	}
	contestants := []contestant{
		{"drover run companies.yaml, all rows kept", p.clear("DROP TABLE IF EXISTS clean_companies"), func(ctx context.Context) (sample, error) {
			return c.runDrover(ctx, work, "job.yaml", "RAW_URL="+p.raw, "CLEAN_URL="+p.clean)
		}},
		{"psql COPY TO \\| psql COPY FROM, binary", p.clear("DROP TABLE IF EXISTS raw_copy; " + like), func(ctx context.Context) (sample, error) {
			return pipe(ctx, psql, p)
		}},
	}
	fmt.Printf("companies: %d rows\n", rows)
	all, err := compete(ctx, c, contestants)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"clean_companies", "raw_copy"} {
		n, err := p.rows(ctx, name)
		if err != nil {
			return "", err
		}
		if n != int64(rows) {
			return "", fmt.Errorf("%s has %d rows of %d", name, n, rows)
		}
	}
	return fmt.Sprintf("## companies: %d rows of 20 columns in 301 chunks, transformed, from Postgres to Postgres\n\n%s", rows, table(contestants, all)), nil
}

func workDir(c config, job string) (string, error) {
	work, err := os.MkdirTemp(c.dir, "pg-work-")
	if err != nil {
		return "", err
	}
	return work, os.WriteFile(filepath.Join(work, "job.yaml"), []byte(job), 0o600)
}

// pipeTarget returns the statement that makes a table like raw_companies, without indexes, as drover's own target has none.
func pipeTarget(ctx context.Context, p *pair) (string, error) {
	conn, err := pgx.Connect(ctx, p.raw)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	var columns string
	err = conn.QueryRow(ctx, `SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY attnum)
		FROM pg_attribute WHERE attrelid = 'raw_companies'::regclass AND attnum > 0`).Scan(&columns)
	return "CREATE TABLE raw_copy (" + columns + ")", err
}

func pipe(ctx context.Context, psql string, p *pair) (sample, error) {
	from := exec.CommandContext(ctx, psql, "-qX", "-d", p.raw, "-c", "COPY raw_companies TO STDOUT (FORMAT binary)")
	to := exec.CommandContext(ctx, psql, "-qX", "-d", p.clean, "-c", "COPY raw_copy FROM STDIN (FORMAT binary)")
	r, w, err := os.Pipe()
	if err != nil {
		return sample{}, err
	}
	from.Stdout, to.Stdin = w, r
	return measure(func() {
		// Each process has its end; as long as this one has it too, nobody sees the end of the stream.
		_, _ = r.Close(), w.Close()
	}, from, to)
}

// chunks is the cost of a chunk: 40,000 of them with one row each.
func chunks(ctx context.Context, c config) (text string, err error) {
	p, err := startPair(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.server.Stop()) }()
	n := c.size(40_000, 1_000)
	if err := exec1(ctx, p.raw, fmt.Sprintf("CREATE TABLE tiny AS SELECT i AS id, 'row ' || i AS v FROM generate_series(1, %d) i; ALTER TABLE tiny ADD PRIMARY KEY (id); ANALYZE tiny", n)); err != nil {
		return "", err
	}
	work, err := workDir(c, chunksJob)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	c.rounds = min(c.rounds, 3)
	contestants := []contestant{{"drover run", p.clear("DROP TABLE IF EXISTS tiny_copy"), func(ctx context.Context) (sample, error) {
		return c.runDrover(ctx, work, "job.yaml", "RAW_URL="+p.raw, "CLEAN_URL="+p.clean)
	}}}
	fmt.Printf("chunks: %d of one row\n", n)
	all, err := compete(ctx, c, contestants)
	if err != nil {
		return "", err
	}
	if got, err := p.rows(ctx, "tiny_copy"); err != nil || got != int64(n) {
		return "", errors.Join(fmt.Errorf("%d rows of %d arrived", got, n), err)
	}
	each := median(all[0], func(s sample) float64 { return s.wall.Seconds() }) / float64(n) * 1000
	return fmt.Sprintf("## chunks: %d of one row each, Postgres to Postgres, SQLite ledger\n\n%s\n%.2f ms a chunk, all told.\n", n, table(contestants, all), each), nil
}
