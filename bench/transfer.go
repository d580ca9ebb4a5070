package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const extractJob = `name: bench-extract
source: {postgres: {url: "${RAW_URL}", table: raw_plain}}
sink: {files: {path: out, format: parquet, mode: overwrite}}
`

const loadJob = `name: bench-load
source: {files: {path: plain.parquet}}
sink: {postgres: {url: "${CLEAN_URL}", table: plain, mode: append}}
`

// plainColumns are those of the companies whose types ConnectorX reads: no array.
const plainColumns = `id, name, email, phone, fax, website, street, city, state, zip_code, employees, revenue::float8 AS revenue, rating, founded, is_active,
	updated_at, attributes::text AS attributes, uid::text AS uid, notes`

// transfer is Postgres to Parquet beside ConnectorX with polars, and Parquet to Postgres beside a raw COPY of the same rows from a file.
func transfer(ctx context.Context, c config) (text string, err error) {
	rows := c.size(3_000_000, 20_000)
	p, err := c.startCompanies(ctx, rows, 3_000)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.server.Stop()) }()
	plain := "CREATE TABLE raw_plain AS SELECT " + plainColumns + " FROM raw_companies; ALTER TABLE raw_plain ADD PRIMARY KEY (id); DROP TABLE raw_companies"
	if err := errors.Join(execute(ctx, p.raw, plain), execute(ctx, p.raw, "VACUUM (FREEZE, ANALYZE) raw_plain")); err != nil {
		return "", err
	}
	work, err := c.workDir(map[string]string{"extract.yaml": extractJob, "load.yaml": loadJob})
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	theirs, file, binary := filepath.Join(work, "connectorx.parquet"), filepath.Join(work, "plain.parquet"), filepath.Join(work, "plain.copy")
	dump := exec.CommandContext(ctx, p.psql, "-qX", "-d", p.raw, "-c", `\copy raw_plain TO `+binary+` (FORMAT binary)`)
	if out, err := dump.CombinedOutput(); err != nil {
		return "", fmt.Errorf("write the rows to a file: %w\n%s", err, out)
	}
	out := match{server: p.pair, contestants: []contestant{
		{"drover, Postgres to Parquet", nil, func(ctx context.Context) (sample, error) {
			s, err := c.runDrover(ctx, work, "extract.yaml", c.threads, p.env())
			if err == nil && s.rows != int64(rows) {
				err = fmt.Errorf("%d rows of %d were written", s.rows, rows)
			}
			return s, err
		}},
		{"ConnectorX and polars", nil, func(ctx context.Context) (sample, error) {
			return measure(func() {}, p.python(ctx, "extract_connectorx.py", p.raw, "raw_plain", theirs, fmt.Sprint(c.threads)))
		}},
	}, ratios: []ratio{{0, 1, 0.8}}}
	fmt.Printf("transfer: %d rows\n", rows)
	extracted, err := out.compete(ctx, c)
	if err != nil {
		return "", err
	}
	if err := os.Rename(theirs, file); err != nil {
		return "", err
	}
	const table = `(id bigint, name text, email text, phone text, fax text, website text, street text, city text, state text, zip_code text, employees integer,
		revenue float8, rating real, founded date, is_active boolean, updated_at timestamptz, attributes text, uid text, notes text)`
	in := match{server: p.pair, contestants: []contestant{
		{"drover, Parquet to Postgres", p.clear("DROP TABLE IF EXISTS plain; CREATE TABLE plain " + table), func(ctx context.Context) (sample, error) {
			return c.runDrover(ctx, work, "load.yaml", c.threads, p.env())
		}},
		{"psql \\copy of a binary file", p.clear("DROP TABLE IF EXISTS plain_copy; CREATE TABLE plain_copy " + table), func(ctx context.Context) (sample, error) {
			return measure(func() {}, exec.CommandContext(ctx, p.psql, "-qX", "-d", p.clean, "-c", `\copy plain_copy FROM `+binary+` (FORMAT binary)`))
		}},
	}, ratios: []ratio{{0, 1, 1.3}}}
	loaded, err := in.compete(ctx, c)
	if err != nil {
		return "", err
	}
	if err := p.expect(ctx, int64(rows), "plain", "plain_copy"); err != nil {
		return "", err
	}
	return fmt.Sprintf("## transfer: %d rows of 19 columns between Postgres and Parquet\n\n%s\n%s", rows, out.report(extracted), in.report(loaded)), nil
}
