package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/open"
)

// claiming is for how long the drivers of one measurement claim and finish.
const claiming = 3 * time.Second

// drivers is what many machines on one run gain: chunks claimed and finished a second on one Postgres ledger, and two drivers beside one.
func drivers(ctx context.Context, c config) (text string, err error) {
	p, err := startPair(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.server.Stop()) }()
	claims, err := c.claims(ctx, p)
	if err != nil {
		return "", err
	}
	shared, err := c.shared(ctx, p)
	return claims + "\n" + shared, err
}

// claims measures chunks claimed and finished a second, by so many drivers, in tasks of one chunk and of many.
func (c config) claims(ctx context.Context, p *pair) (string, error) {
	counts, sizes := []int{1, 2, 4, 8}, []int{1, 50}
	rates := map[[2]int][]float64{}
	fmt.Println("drivers: claims and finishes on one Postgres ledger")
	for round := range c.rounds {
		for i := range counts {
			n := counts[(i+round)%len(counts)]
			for _, size := range sizes {
				rate, err := c.claimRate(ctx, p.clean, n, size)
				if err != nil {
					return "", fmt.Errorf("%d drivers, %d chunks a task: %w", n, size, err)
				}
				fmt.Printf("  round %d  %d drivers, %2d chunks a task %8.0f chunks/s\n", round+1, n, size, rate)
				rates[[2]int{n, size}] = append(rates[[2]int{n, size}], rate)
			}
		}
	}
	var b strings.Builder
	b.WriteString("## drivers: chunks claimed and finished a second on one Postgres ledger, all drivers together\n\n| drivers | tasks of 1 chunk | tasks of 50 chunks |\n| --- | --- | --- |\n")
	for _, n := range counts {
		fmt.Fprintf(&b, "| %d | %.0f | %.0f |\n", n, middle(rates[[2]int{n, 1}]), middle(rates[[2]int{n, 50}]))
	}
	b.WriteString("\nAims: over 2,000 for 8 drivers in bulk, and no driver more slows the sum. Drivers and server share the cores.\n")
	return b.String(), nil
}

// claimRate has n drivers, each with connections of its own, claim and finish the chunks of one run.
func (c config) claimRate(ctx context.Context, url string, n, size int) (rate float64, err error) {
	if err := execute(ctx, url, "DROP SCHEMA IF EXISTS drover CASCADE"); err != nil {
		return 0, err
	}
	own := make([]ledger.Ledger, 0, n)
	defer func() {
		for _, l := range own {
			err = errors.Join(err, l.Shutdown())
		}
	}()
	for range n {
		l, err := open.Open(ctx, url)
		if err != nil {
			return 0, err
		}
		own = append(own, l)
	}
	total := c.size(40_000, 1_000) * min(size, 5)
	run, _, err := own[0].Begin(ctx, ledger.Request{Job: "claims", Fingerprint: "f", Driver: "planner", Lease: time.Minute, Engine: "local"})
	if err != nil {
		return 0, err
	}
	chunks := func(yield func(connector.Chunk, error) bool) {
		for i := range total {
			if !yield(connector.Chunk{ID: int64(i), Key: fmt.Sprintf("%05d", i), Bounds: json.RawMessage(`{"key": 1}`), Rows: 1, Bytes: 100}, nil) {
				return
			}
		}
	}
	if err := errors.Join(own[0].AddChunks(ctx, run.UID, "planner", 0, chunks), own[0].Start(ctx, run.UID, "planner", json.RawMessage(`{}`))); err != nil {
		return 0, err
	}
	if err := errors.Join(execute(ctx, url, "VACUUM ANALYZE drover.chunk"), execute(ctx, url, "CHECKPOINT")); err != nil {
		return 0, err
	}
	var done atomic.Int64
	var all sync.WaitGroup
	failed := make([]error, n)
	begun := time.Now()
	for i, l := range own {
		all.Go(func() {
			for failed[i] == nil && time.Since(begun) < claiming {
				var task ledger.Task
				task, failed[i] = l.Claim(ctx, run.UID, ledger.Want{Worker: fmt.Sprintf("driver %d", i), Lease: time.Minute, MaxChunks: size})
				if failed[i] != nil || len(task.Chunks) == 0 {
					return
				}
				receipts := make([]connector.Receipt, len(task.Chunks))
				for j, chunk := range task.Chunks {
					receipts[j] = connector.Receipt{ChunkID: chunk.ID, Token: task.Token, RowsIn: 1, RowsOut: 1, BytesIn: 100, BytesOut: 100}
				}
				if failed[i] = l.Finish(ctx, run.UID, task.Token, receipts); failed[i] == nil {
					done.Add(int64(len(receipts)))
				}
			}
		})
	}
	all.Wait()
	return float64(done.Load()) / time.Since(begun).Seconds(), errors.Join(failed...)
}

// sharedJob spends nearly all of its time in the workers' own processors.
const sharedJob = `name: bench-shared
source: {postgres: {url: "${RAW_URL}", table: seeds}}
chunk: {by: part}
steps: [{sql: "SELECT id, part, (SELECT count(*) FROM range(%d) r(n) WHERE hash(n, id) %% 7 = 3) AS n FROM chunk"}]
sink: {postgres: {url: "${CLEAN_URL}", table: grown, mode: append}}
ledger: "${CLEAN_URL}"
`

// shared is a run by two drivers of one worker each beside one driver of one worker, and one of two.
func (c config) shared(ctx context.Context, p *pair) (string, error) {
	const parts, rows = 48, 480
	sql := fmt.Sprintf("CREATE TABLE seeds AS SELECT i AS id, i %% %d AS part FROM generate_series(1, %d) i; ALTER TABLE seeds ADD PRIMARY KEY (id); CREATE INDEX ON seeds (part); ANALYZE seeds", parts, rows)
	if err := execute(ctx, p.raw, sql); err != nil {
		return "", err
	}
	work, err := c.workDir(map[string]string{"shared.yaml": fmt.Sprintf(sharedJob, c.size(5_000_000, 1_000))})
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	contest := func(name string, drivers, workers int) contestant {
		return contestant{name, p.clear("DROP TABLE IF EXISTS grown; DROP SCHEMA IF EXISTS drover CASCADE"), func(ctx context.Context) (sample, error) {
			var cmds []*exec.Cmd
			for range drivers {
				cmd := exec.CommandContext(ctx, c.drover, "run", "shared.yaml", "--run", "shared", "--quiet", "--workers", fmt.Sprint(workers))
				cmd.Dir, cmd.Env = work, append(os.Environ(), p.env()...)
				cmds = append(cmds, cmd)
			}
			s, err := measure(func() {}, cmds...)
			return s, errors.Join(err, p.expect(ctx, rows, "grown"))
		}}
	}
	m := match{server: p, contestants: []contestant{
		contest("1 driver of 1 worker", 1, 1), contest("2 drivers of 1 worker", 2, 1), contest("1 driver of 2 workers", 1, 2),
	}, ratios: []ratio{{1, 0, 1 / 1.8}, {2, 0, 0}}}
	fmt.Println("drivers: one run by one, and by two")
	all, err := m.compete(ctx, c)
	if err != nil {
		return "", err
	}
	speedup := paired(all[0], all[1], wall)
	return fmt.Sprintf("### One run by two drivers: %d rows in %d chunks, a step that keeps a core busy\n\n%s\nTwo drivers are %.2f times as fast as one (aim: 1.8, where the machine has the cores; the server shares them).\n",
		rows, parts, m.report(all), speedup), nil
}
