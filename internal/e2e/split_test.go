package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRule8ASplitThatIsCutShortEndsRight kills the driver at every point between the claim of a chunk that overruns its memory and the first
// point after its split: nothing is lost or doubled, and the whole does not land beside its parts.
func TestRule8ASplitThatIsCutShortEndsRight(t *testing.T) {
	s := scenario{
		// A step makes 450 MiB of 900 rows, and the worker has 336 MiB.
		job: `
name: firms
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: zip}
steps: [{set: {n: "length(repeat(body, 2500))"}}, {drop: [body]}]
sink: {postgres: {url: "${DB}", table: clean, mode: append}}
limits: {workers: 1, memory: 400MiB}
`,
		prepare: func(t *testing.T, p *place) {
			p.postgres(t)
			p.sql(t, `CREATE TABLE raw (id bigint PRIMARY KEY, zip text, body text);
				INSERT INTO raw SELECT g, 'fat', repeat('x', 200) FROM generate_series(1, 900) g;
				CREATE INDEX ON raw (zip); ANALYZE raw; CREATE TABLE clean (id bigint, zip text, n bigint)`)
		},
		state: func(t *testing.T, p *place) string {
			return p.sql(t, "SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(n) FROM clean") + "\n" +
				p.ledger(t, "SELECT group_concat(key || ' ' || state, ', ') FROM (SELECT key, state FROM chunk ORDER BY id)")
		},
	}
	const want = "900 900 450000000\nfat split, fat (,450] finished, fat (450,) finished"
	points := 0
	for n := 1; ; n++ {
		p := s.place(t)
		marker := filepath.Join(p.dir, "killed")
		first := p.drover(t, []string{fmt.Sprintf("DROVER_FAULT=driver:%d:%s", n, marker)}, "run", "job.yaml", "--run", "once", "--json")
		if _, err := os.Stat(marker); err != nil {
			t.Fatalf("the driver passed only %d points\n%s", n-1, first.stderr)
		}
		if _, err := os.Stat(filepath.Join(p.dir, ".drover", "ledger.db")); err != nil || p.ledger(t, "SELECT count(*) FROM attempt") == "0" {
			continue // killed before the claim: TestKillNine is about that
		}
		over := p.ledger(t, "SELECT count(*) FROM chunk WHERE state = 'split'") == "1"
		points++
		r := p.drover(t, nil, "run", "job.yaml", "--run", "once", "--json")
		if r.code != 0 || r.summary(t).RowsOut != 900 {
			t.Fatalf("point %d: exit %d\n%s%s", n, r.code, r.stdout, r.stderr)
		}
		if got := s.state(t, p); got != want {
			t.Fatalf("point %d: after the rerun there is\n%s\nwant\n%s", n, got, want)
		}
		if over {
			break
		}
	}
	if points < 4 {
		t.Errorf("the driver was killed at %d points only: after the claim, before and after the void receipt, after the split", points)
	}
}

// TestRule25AnOpaqueChunkIsGivenMoreMemoryAndNeverSplit: its step sees the whole chunk, so that its bounds are part of the answer. The overrun
// is no attempt that limits.attempts counts (exactness.md 12).
func TestRule25AnOpaqueChunkIsGivenMoreMemoryAndNeverSplit(t *testing.T) {
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, `CREATE TABLE raw (id bigint PRIMARY KEY, zip text, body text);
		INSERT INTO raw SELECT g, CASE WHEN g <= 600 THEN 'fat' ELSE 'thin' END, repeat('x', 2000) FROM generate_series(1, 610) g;
		CREATE INDEX ON raw (zip); ANALYZE raw; CREATE TABLE clean (zip text, n bigint)`)
	const job = `
name: firms
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: zip}
steps: [{sql: "SELECT zip, sum(length(body))::BIGINT AS n FROM (SELECT zip, repeat(body, 250) AS body FROM chunk ORDER BY id LIMIT 1000000) GROUP BY zip"}]
sink: {postgres: {url: "${DB}", table: clean, mode: append}}
limits: {attempts: 1}
`
	p.write(t, "job.yaml", job)
	end := p.budgeted(t, 1000<<20, 2, "--memory", "1000MiB", "--workers", "2")
	if end.code != 0 {
		t.Fatalf("exit %d\n%s", end.code, end.stderr)
	}
	if got := p.sql(t, "SELECT zip || ' ' || n FROM clean ORDER BY 1"); got != "fat 300000000\nthin 5000000" {
		t.Errorf("the target has %s", got)
	}
	if got := p.ledger(t, "SELECT key, state, attempts, losses > 0 FROM chunk ORDER BY key"); got != "fat|finished|0|1\nthin|finished|0|0" {
		t.Errorf("the ledger has %s", got)
	}
	// Where it cannot fit, it says how much would do.
	p.write(t, "job.yaml", strings.Replace(job, "firms", "small", 1))
	end = p.budgeted(t, 256<<20, 1, "--memory", "256MiB", "--workers", "1")
	if end.code != 1 || !strings.Contains(end.stderr, "fat") || !strings.Contains(end.stderr, "perhaps 384 MiB") || !strings.Contains(end.stderr, "--memory 448MiB") {
		t.Fatalf("exit %d\n%s", end.code, end.stderr)
	}
	if got := p.ledger(t, "SELECT count(*) FROM chunk WHERE state = 'split'"); got != "0" {
		t.Errorf("%s chunks were split", got)
	}
}
