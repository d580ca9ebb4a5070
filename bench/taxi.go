package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/droverdata/drover/internal/duck"
)

const taxiJob = `name: bench-taxi
source: {files: {path: %s}}
steps:
  - drop: [vendor_id]
  - filter: trip_distance > 1
sink:
  files:
    path: %s
    partition_by: [passenger_count, payment_type]
    mode: overwrite
`

// taxiQuery is the same as one DuckDB query.
const taxiQuery = `COPY (SELECT * EXCLUDE (vendor_id) FROM read_parquet(%s) WHERE trip_distance > 1)
TO %s (FORMAT parquet, PARTITION_BY (passenger_count, payment_type), COMPRESSION snappy)`

// taxi is 12 files of a million trips, filtered and partitioned, beside polars and one DuckDB query over the same files.
func taxi(ctx context.Context, c config) (string, error) {
	rows := c.size(12_000_000, 120_000)
	data := filepath.Join(c.dir, fmt.Sprintf("taxi-%d", rows))
	if _, err := os.Stat(filepath.Join(data, "complete")); err != nil {
		cmd := exec.CommandContext(ctx, "go", "run", "./examples/taxi/generate", "-out", data, "-rows", fmt.Sprint(rows), "-files", "12")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("make the trips: %w", err)
		}
		if err := os.WriteFile(filepath.Join(data, "complete"), nil, 0o600); err != nil {
			return "", err
		}
	}
	work, err := os.MkdirTemp(c.dir, "taxi-work-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	in, mine, theirs := filepath.Join(data, "*.parquet"), filepath.Join(work, "drover"), filepath.Join(work, "duckdb")
	if err := os.WriteFile(filepath.Join(work, "job.yaml"), fmt.Appendf(nil, taxiJob, quoted(in), quoted(mine)), 0o600); err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	fresh := func(dir string) func(context.Context) error {
		return func(context.Context) error { return os.RemoveAll(dir) }
	}
	python, err := c.python(ctx)
	if err != nil {
		return "", err
	}
	polars := filepath.Join(work, "polars")
	m := match{contestants: []contestant{
		{"drover run taxi.yaml", fresh(mine), func(ctx context.Context) (sample, error) { return c.runDrover(ctx, work, "job.yaml", c.threads, nil) }},
		{"polars: scan, filter, partitioned sink", fresh(polars), func(ctx context.Context) (sample, error) {
			return measure(func() {}, python(ctx, "taxi_polars.py", in, polars))
		}},
		{"one DuckDB query over the same files, unordered", fresh(theirs), func(ctx context.Context) (sample, error) {
			query := fmt.Sprintf(taxiQuery, duck.Literal(in), duck.Literal(theirs))
			return measure(func() {}, exec.CommandContext(ctx, self, "-duckdb", query, "-threads", fmt.Sprint(c.threads)))
		}},
	}, ratios: []ratio{{0, 1, 0.8}, {0, 2, 0}}}
	fmt.Printf("taxi: %d rows in 12 files\n", rows)
	all, err := m.compete(ctx, c)
	if err != nil {
		return "", err
	}
	want, err := count(ctx, theirs)
	if err != nil {
		return "", err
	}
	got, err := count(ctx, mine)
	if err != nil {
		return "", err
	}
	if got != want || all[0][0].rows != want {
		return "", fmt.Errorf("drover wrote %d rows and says %d, DuckDB wrote %d", got, all[0][0].rows, want)
	}
	return fmt.Sprintf("## taxi: %d rows in 12 Parquet files, filtered to %d, into Hive partitions\n\n%s", rows, want, m.report(all)), nil
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }

// runDuckDB is a rival's whole process.
func runDuckDB(ctx context.Context, query string, threads int) error {
	session, err := duck.Open(ctx, duck.Options{Threads: threads})
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Exec(ctx, query)
}

// count counts the rows of a dataset.
func count(ctx context.Context, dir string) (int64, error) {
	session, err := duck.Open(ctx, duck.Options{})
	if err != nil {
		return 0, err
	}
	defer session.Close()
	rows, err := session.Query(ctx, "SELECT count(*) FROM read_parquet("+duck.Literal(filepath.Join(dir, "**", "*.parquet"))+", hive_partitioning = false)")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	c, err := rows.Next()
	if err != nil || c.Rows() == 0 {
		return 0, err
	}
	return duck.Data[int64](c.Vector(0))[0], nil
}
