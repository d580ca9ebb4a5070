package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

const capJob = `name: %s
source: {postgres: {url: "${RAW_URL}", table: %s}}
%s
steps:
  - set: {note: upper(note)}
sink: {postgres: {url: "${CLEAN_URL}", table: capped, mode: replace}}
`

// caps is about memory alone: rows of two kilobytes with 30 % of them under one key, inside 512 MiB; and four times the rows in the same memory.
func caps(ctx context.Context, c config) (text string, err error) {
	p, err := startPair(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.server.Stop()) }()
	wide, few, many := c.size(400_000, 4_000), c.size(500_000, 5_000), c.size(2_000_000, 20_000)
	const fill = `CREATE TABLE %[1]s AS SELECT i::bigint AS id, CASE WHEN i %% 10 < 3 THEN 0 ELSE i %% 1000 END AS key,
		(SELECT string_agg(md5((i + n)::text), '') FROM generate_series(1, %[3]d) n) AS note FROM generate_series(1, %[2]d) i;
		ALTER TABLE %[1]s ADD PRIMARY KEY (id); CREATE INDEX ON %[1]s (key); ANALYZE %[1]s`
	for _, sql := range []string{fmt.Sprintf(fill, "wide", wide, 64), fmt.Sprintf(fill, "few", few, 2), fmt.Sprintf(fill, "many", many, 2)} {
		if err := execute(ctx, p.raw, sql); err != nil {
			return "", err
		}
	}
	work, err := c.workDir(map[string]string{
		"wide.yaml": fmt.Sprintf(capJob, "bench-wide", "wide", "chunk: {by: key}"),
		"few.yaml":  fmt.Sprintf(capJob, "bench-few", "few", ""),
		"many.yaml": fmt.Sprintf(capJob, "bench-many", "many", ""),
	})
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	drover := func(name, job string, rows int, flags ...string) contestant {
		return contestant{name, p.clear("DROP TABLE IF EXISTS capped"), func(ctx context.Context) (sample, error) {
			s, err := c.runDrover(ctx, work, job, c.threads, p.env(), flags...)
			return s, errors.Join(err, p.expect(ctx, int64(rows), "capped"))
		}}
	}
	m := match{server: p, contestants: []contestant{
		drover(fmt.Sprintf("%d rows of 2 kB, --memory 512MiB", wide), "wide.yaml", wide, "--memory", "512MiB"),
		drover(fmt.Sprintf("%d short rows", many), "many.yaml", many),
		drover(fmt.Sprintf("%d short rows", few), "few.yaml", few),
	}, ratios: []ratio{{1, 2, 0}}}
	c.rounds = min(c.rounds, 3)
	fmt.Println("memory: rows of 2 kB, a key with 30 % of them")
	all, err := m.compete(ctx, c)
	if err != nil {
		return "", err
	}
	return "## memory: a skewed key, and four times the rows\n\n" + m.report(all) + "\nAims: the first at most 640 MiB; memory of the second at most 1.20x of the third.\n", nil
}
