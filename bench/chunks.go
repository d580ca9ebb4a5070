package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

const chunksJob = `name: %s
source: {postgres: {url: "${RAW_URL}", table: tiny}}
chunk: {%s}
sink: {postgres: {url: "${CLEAN_URL}", table: tiny_copy, mode: append}}
`

// chunks is the cost of a chunk: 40,000 of them with one row each, beside the same rows in 40 chunks.
func chunks(ctx context.Context, c config) (text string, err error) {
	p, err := startPair(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.server.Stop()) }()
	n := c.size(40_000, 1_000)
	if err := execute(ctx, p.raw, fmt.Sprintf("CREATE TABLE tiny AS SELECT i AS id, 'row ' || i AS v FROM generate_series(1, %d) i; ALTER TABLE tiny ADD PRIMARY KEY (id); ANALYZE tiny", n)); err != nil {
		return "", err
	}
	work, err := c.workDir(map[string]string{
		"many.yaml": fmt.Sprintf(chunksJob, "bench-many", "by: id"),
		"few.yaml":  fmt.Sprintf(chunksJob, "bench-few", fmt.Sprintf("rows: %d", n/40)),
	})
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	drover := func(name, job string) contestant {
		return contestant{name, p.clear("DROP TABLE IF EXISTS tiny_copy"), func(ctx context.Context) (sample, error) {
			s, err := c.runDrover(ctx, work, job, c.threads, p.env())
			return s, errors.Join(err, p.expect(ctx, int64(n), "tiny_copy"))
		}}
	}
	m := match{server: p, contestants: []contestant{drover(fmt.Sprintf("drover, %d chunks", n), "many.yaml"), drover("drover, 40 chunks", "few.yaml")}}
	fmt.Printf("chunks: %d of one row\n", n)
	all, err := m.compete(ctx, c)
	if err != nil {
		return "", err
	}
	each := (median(all[0], wall) - median(all[1], wall)) / float64(n) * 1000
	return fmt.Sprintf("## chunks: %d of one row each, Postgres to Postgres, SQLite ledger\n\n%s\n%.2f ms a chunk above the same rows in 40 chunks (aim: 1.5 ms).\n", n, m.report(all), each), nil
}
