package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// companiesPandas is the example of the pandas function beside the script that such a function comes from, with the same function: the script
// reads with read_sql and writes with to_csv and COPY, in as many processes.
func companiesPandas(ctx context.Context, c config) (text string, err error) {
	rows, zips := c.size(3_000_000, 20_000), c.size(3_000, 100)
	p, err := c.startCompanies(ctx, rows, zips)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.server.Stop()) }()
	kept, err := p.columns(ctx, "fax", "notes")
	if err != nil {
		return "", err
	}
	files := map[string]string{}
	for _, name := range []string{"companies.yaml", "clean.py"} {
		data, err := os.ReadFile(filepath.Join("examples", "companies-pandas", name))
		if err != nil {
			return "", err
		}
		files[name] = string(data)
	}
	work, err := c.workDir(files)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	table := func(name string) func(context.Context) error {
		return p.clear("DROP TABLE IF EXISTS " + name + "; CREATE TABLE " + name + " (" + kept + ", revenue_per_employee float8)")
	}
	env := append(p.env(), "VIRTUAL_ENV="+filepath.Join(c.dir, "rivals"))
	m := match{server: p.pair, contestants: []contestant{
		{fmt.Sprintf("drover, %d workers", c.threads), table("clean_companies"), func(ctx context.Context) (sample, error) {
			return c.runDrover(ctx, work, "companies.yaml", c.threads, env)
		}},
		{fmt.Sprintf("pandas script, %d processes", c.threads), table("clean_pandas"), func(ctx context.Context) (sample, error) {
			return measure(func() {}, p.python(ctx, "companies_pandas.py", p.raw, p.clean, fmt.Sprint(c.threads), filepath.Join(work, "clean.py")))
		}},
	}, ratios: []ratio{{0, 1, 0.33}}}
	fmt.Printf("companies-pandas: %d rows, %d zip codes\n", rows, zips)
	all, err := m.compete(ctx, c)
	if err != nil {
		return "", err
	}
	if err := p.same(ctx, "clean_companies", "clean_pandas"); err != nil {
		return "", err
	}
	return fmt.Sprintf("## companies-pandas: %d rows of 20 columns, %d zip codes, the same pandas function, from Postgres to Postgres, results equal\n\n%s", rows, zips, m.report(all)), nil
}

// same says an error unless two tables of the target database have the same rows, and some.
func (p *pair) same(ctx context.Context, a, b string) error {
	conn, err := pgx.Connect(ctx, p.clean)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	a, b = pgx.Identifier{a}.Sanitize(), pgx.Identifier{b}.Sanitize()
	var n, other int64
	const query = `SELECT (SELECT count(*) FROM %[1]s), (SELECT count(*) FROM (TABLE %[1]s EXCEPT ALL TABLE %[2]s) x) + (SELECT count(*) FROM (TABLE %[2]s EXCEPT ALL TABLE %[1]s) y)`
	if err := conn.QueryRow(ctx, fmt.Sprintf(query, a, b)).Scan(&n, &other); err != nil {
		return err
	}
	if n == 0 || other > 0 {
		return fmt.Errorf("of %d rows of %s and those of %s, %d have no equal", n, a, b, other)
	}
	return nil
}
