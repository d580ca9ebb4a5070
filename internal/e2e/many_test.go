package e2e

import (
	"testing"
	"time"
)

// TestManyChunks: 40,000 chunks of one row each, every one in the ledger, every row once.
func TestManyChunks(t *testing.T) {
	t.Parallel()
	const n = 40_000
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, `
CREATE TABLE raw (id bigint PRIMARY KEY, zip text, name text);
INSERT INTO raw SELECT g, lpad(g::text, 5, '0'), 'name ' || g FROM generate_series(1, 40000) g;
CREATE INDEX ON raw (zip);
ANALYZE raw;
CREATE TABLE clean (LIKE raw INCLUDING ALL)`)
	p.write(t, "job.yaml", heldJob)
	begun := time.Now()
	s := p.must(t, "run", "job.yaml", "--json").summary(t)
	took := time.Since(begun)
	if s.Chunks.Total != n || s.Chunks.Finished != n || s.RowsIn != n || s.RowsOut != n {
		t.Errorf("summary: %+v", s)
	}
	if got := p.sql(t, `SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(id) FROM clean`); got != "40000 40000 800020000" {
		t.Errorf("the target has rows, ids, sum %s", got)
	}
	if got := p.ledger(t, `SELECT state, count(*), count(DISTINCT key), min(rows_out), max(rows_out) FROM chunk GROUP BY state`); got != "finished|40000|40000|1|1" {
		t.Errorf("the ledger has %s", got)
	}
	t.Logf("%.2f ms a chunk, %v in all", float64(took.Microseconds())/1000/n, took.Round(time.Millisecond))
}
