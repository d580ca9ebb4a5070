// Command bench measures drover beside its rivals: in one run, turn by turn, on the same data and as many cores. It writes the medians and
// their ratios into bench/RESULTS.md. Run it by `make bench` from the repository's root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// config is what all benchmarks share.
type config struct {
	drover  string
	dir     string // for data that later runs of the bench use again
	threads int
	rounds  int
	quick   bool
}

// size returns n, or quick's share of it.
func (c config) size(n, quick int) int {
	if c.quick {
		return quick
	}
	return n
}

func main() {
	drover := flag.String("drover", "bin/drover", "the drover `program` to measure")
	dir := flag.String("dir", ".cache/bench", "a `folder` for the data")
	threads := flag.Int("threads", min(runtime.NumCPU(), 2), "threads of the rivals, workers of drover")
	rounds := flag.Int("rounds", 5, "how often each is run")
	quick := flag.Bool("quick", false, "little data, one round: to try the harness, not to learn anything")
	only := flag.String("only", "", "one of taxi, companies, companies-pandas, transfer, chunks, drivers, memory; the results of the others stay")
	results := flag.String("results", "bench/RESULTS.md", "where the results go; empty: standard output alone")
	duckdb := flag.String("duckdb", "", "internal: run this DuckDB `query` and end")
	flag.Parse()
	ctx := context.Background()
	if *duckdb != "" {
		if err := runDuckDB(ctx, *duckdb, *threads); err != nil {
			fail(err)
		}
		return
	}
	if *quick {
		*rounds = 1
	}
	c := config{threads: *threads, rounds: *rounds, quick: *quick}
	var err error
	if c.drover, err = filepath.Abs(*drover); err != nil {
		fail(err)
	}
	if c.dir, err = filepath.Abs(*dir); err != nil {
		fail(err)
	}
	if err := run(ctx, c, *only, *results); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// benchmark returns its part of the results, as Markdown.
type benchmark struct {
	name string
	run  func(context.Context, config) (string, error)
}

func run(ctx context.Context, c config, only, results string) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	var report strings.Builder
	fmt.Fprintf(&report, "# Results\n\nWritten by `make bench`%s: %d rounds, turn by turn, medians; %d threads or workers on %d cores, %s/%s, %s.\n",
		map[bool]string{true: " with `BENCH=-quick`, which tells nothing"}[c.quick], c.rounds, c.threads, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	report.WriteString("CPU is that of the measured processes; the Postgres server's is told apart. Memory is the peak of the whole process tree (sum of Pss, looked at each 40 ms in which more is resident than ever before).\nRatios are the median of the rounds' own.\n")
	benchmarks := []benchmark{{"taxi", taxi}, {"companies", companies}, {"companies-pandas", companiesPandas}, {"transfer", transfer}, {"chunks", chunks}, {"drivers", drivers}, {"memory", caps}}
	if only != "" && !slices.ContainsFunc(benchmarks, func(b benchmark) bool { return b.name == only }) {
		return fmt.Errorf("there is no benchmark %q", only)
	}
	var failed error
	var alone string // what the only one says
	for _, b := range benchmarks {
		if only != "" && b.name != only {
			continue
		}
		text, err := b.run(ctx, c)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", b.name, err))
			continue
		}
		alone = text
		report.WriteString("\n" + text)
		fmt.Println("\n" + text)
	}
	if results == "" || failed != nil {
		return failed
	}
	text := report.String()
	if old, err := os.ReadFile(results); err == nil && only != "" {
		text = replaced(string(old), only, fmt.Sprintf("%s\nMeasured by itself, later: %d rounds.\n", alone, c.rounds))
	}
	return os.WriteFile(results, []byte(text), 0o644)
}

// replaced is results in which one part is another text, or is the last if there was none.
func replaced(results, part, text string) string {
	const heading = "\n## "
	parts := strings.Split(results, heading)
	text = strings.TrimPrefix("\n"+text, heading)
	i := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(p, part+":") })
	if i < 0 {
		return strings.Join(append(parts, text), heading)
	}
	parts[i] = text
	return strings.Join(parts, heading)
}
