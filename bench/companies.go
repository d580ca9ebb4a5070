package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// companiesJob takes a name, what follows "chunk:", and the target table.
const companiesJob = `name: %[1]s
source: {postgres: {url: "${RAW_URL}", table: raw_companies}}
chunk: {%[2]s}
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

// companiesQuery is the same transform inside the source's server.
const companiesQuery = `(SELECT id, name, lower(email), phone, website, street, trim(city), upper(state), zip_code, employees, revenue, rating, founded,
	is_active, updated_at, attributes, tags, uid, revenue::float8 / nullif(employees, 0) FROM raw_companies WHERE is_active OR NOT is_active)`

// companies is 3 million companies of 3,000 zip codes with the transform of the example: by zip code and by range, with one worker and two,
// beside raw pipes and the script that drover's users come from.
func companies(ctx context.Context, c config) (text string, err error) {
	rows, zips := c.size(3_000_000, 20_000), c.size(3_000, 100)
	p, err := c.startCompanies(ctx, rows, zips)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.server.Stop()) }()
	whole, err := p.columns(ctx)
	if err != nil {
		return "", err
	}
	kept, err := p.columns(ctx, "fax", "notes")
	if err != nil {
		return "", err
	}
	work, err := c.workDir(map[string]string{
		"zips.yaml":   fmt.Sprintf(companiesJob, "bench-zips", "by: zip_code"),
		"ranges.yaml": fmt.Sprintf(companiesJob, "bench-ranges", fmt.Sprintf("rows: %d", rows/12)),
	})
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	const added = ", revenue_per_employee float8"
	drover := func(name, job string, workers int) contestant {
		return contestant{name, p.clear("DROP TABLE IF EXISTS clean_companies"), func(ctx context.Context) (sample, error) {
			s, err := c.runDrover(ctx, work, job, workers, p.env())
			return s, errors.Join(err, p.expect(ctx, int64(rows), "clean_companies"))
		}}
	}
	m := match{server: p.pair, contestants: []contestant{
		drover("drover, zip codes, 1 worker", "zips.yaml", 1),
		drover("drover, zip codes, 2 workers", "zips.yaml", 2),
		drover("drover, 12 ranges, 2 workers", "ranges.yaml", 2),
		{"psql COPY TO \\| psql COPY FROM, binary", p.clear("DROP TABLE IF EXISTS raw_copy; CREATE TABLE raw_copy (" + whole + ")"), func(ctx context.Context) (sample, error) {
			return p.pipe(ctx, "raw_companies", "raw_copy")
		}},
		{"the same with the transform in SQL", p.clear("DROP TABLE IF EXISTS sql_copy; CREATE TABLE sql_copy (" + kept + added + ")"), func(ctx context.Context) (sample, error) {
			return p.pipe(ctx, companiesQuery, "sql_copy")
		}},
		{"pandas script, 2 processes", p.clear("DROP TABLE IF EXISTS clean_pandas; CREATE TABLE clean_pandas (" + kept + added + ")"), func(ctx context.Context) (sample, error) {
			return measure(func() {}, p.python(ctx, "companies_pandas.py", p.raw, p.clean, "2"))
		}},
	}, ratios: []ratio{{0, 3, 1.15}, {1, 3, 1.15}, {1, 2, 1.10}, {1, 4, 0}, {1, 5, 0.18}}}
	fmt.Printf("companies: %d rows, %d zip codes\n", rows, zips)
	all, err := m.compete(ctx, c)
	if err != nil {
		return "", err
	}
	if err := p.expect(ctx, int64(rows), "raw_copy", "sql_copy", "clean_pandas"); err != nil {
		return "", err
	}
	return fmt.Sprintf("## companies: %d rows of 20 columns, %d zip codes, filter, 3 set, 2 drops, from Postgres to Postgres\n\n%s", rows, zips, m.report(all)), nil
}
