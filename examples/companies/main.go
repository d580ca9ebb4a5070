// Command companies runs a job file on a table that it makes: on the Postgres databases that RAW_URL and CLEAN_URL
// name, or else on a server that it starts for the purpose and stops again. It shows the result and the ledger, and compares the result with what one
// SQL statement makes of the input.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/droverdata/drover/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

//go:embed raw.sql
var raw string

// fingerprint says in one row what a table holds; %s is a relation with the job's output columns.
const fingerprint = `SELECT count(*)::text, coalesce(sum(revenue), 0)::text, coalesce(sum(round(revenue_per_employee::numeric, 4)), 0)::text,
	md5(coalesce(string_agg(concat_ws('|', id, email, city, state, zip_code, attributes, tags, uid, updated_at, founded), ',' ORDER BY id), ''))
	FROM %s t`

// direct is what the job means, said in SQL.
const direct = `(SELECT id, lower(email) AS email, trim(city) AS city, upper(state) AS state, zip_code, attributes, tags, uid, updated_at, founded,
	revenue, revenue::float8 / nullif(employees, 0) AS revenue_per_employee FROM raw_companies WHERE is_active)`

func main() {
	drover := flag.String("drover", "bin/drover", "the drover `program` to run")
	job := flag.String("job", "examples/companies/companies.yaml", "the job `file`")
	rows := flag.Int("rows", 100_000, "how many companies to make")
	flag.Parse()
	if err := run(context.Background(), *drover, *job, *rows); err != nil {
		fmt.Fprintln(os.Stderr, "companies:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, drover, job string, rows int) (err error) {
	for _, path := range []*string{&drover, &job} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	rawURL, cleanURL := os.Getenv("RAW_URL"), os.Getenv("CLEAN_URL")
	if rawURL == "" || cleanURL == "" {
		server, err := pgtest.Start(ctx, "", pgtest.Options{})
		if err != nil {
			return fmt.Errorf("start a Postgres server: %w", err)
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		if rawURL, err = server.CreateDatabase(ctx, "raw"); err != nil {
			return err
		}
		if cleanURL, err = server.CreateDatabase(ctx, "clean"); err != nil {
			return err
		}
		fmt.Println("started a Postgres server with the databases raw and clean")
	}
	if err := makeRaw(ctx, rawURL, rows); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "drover-companies-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, args := range [][]string{{"plan", job}, {"run", job}, {"status"}, {"errors"}} {
		fmt.Printf("\n$ drover %s\n", strings.ReplaceAll(strings.Join(args, " "), job, filepath.Base(job)))
		cmd := exec.CommandContext(ctx, drover, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), "RAW_URL="+rawURL, "CLEAN_URL="+cleanURL)
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("drover %s: %w", args[0], err)
		}
	}
	return compare(ctx, rawURL, cleanURL)
}

// makeRaw makes the input table where it does not exist.
func makeRaw(ctx context.Context, url string, rows int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to the raw database: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('raw_companies') IS NOT NULL`).Scan(&there); err != nil {
		return fmt.Errorf("look for raw_companies: %w", err)
	}
	if there {
		fmt.Println("raw_companies is there already")
		return nil
	}
	start := time.Now()
	if _, err := conn.Exec(ctx, strings.Replace(raw, "$ROWS$", strconv.Itoa(rows), 1)); err != nil {
		return fmt.Errorf("make raw_companies: %w", err)
	}
	fmt.Printf("made raw_companies with %d rows in %.1fs\n", rows, time.Since(start).Seconds())
	return nil
}

func compare(ctx context.Context, rawURL, cleanURL string) error {
	want, err := describe(ctx, rawURL, direct)
	if err != nil {
		return fmt.Errorf("describe the input: %w", err)
	}
	got, err := describe(ctx, cleanURL, "clean_companies")
	if err != nil {
		return fmt.Errorf("describe the result: %w", err)
	}
	fmt.Printf("\n%-24s %12s %20s %24s   %s\n", "", "rows", "sum(revenue)", "sum(revenue_per_emp.)", "md5 of the other columns")
	fmt.Printf("%-24s %12s %20s %24s   %s\n", "the input, by one query", want[0], want[1], want[2], want[3])
	fmt.Printf("%-24s %12s %20s %24s   %s\n", "clean_companies", got[0], got[1], got[2], got[3])
	if want != got {
		return errors.New("clean_companies is NOT what the input makes")
	}
	fmt.Println("the same")
	return nil
}

func describe(ctx context.Context, url, relation string) (out [4]string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return out, err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(ctx, "SET TimeZone = 'UTC'"); err != nil {
		return out, err
	}
	err = conn.QueryRow(ctx, fmt.Sprintf(fingerprint, relation)).Scan(&out[0], &out[1], &out[2], &out[3])
	return out, err
}
