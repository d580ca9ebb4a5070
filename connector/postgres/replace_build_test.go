package postgres

import (
	"testing"
	"time"
)

// exactness.md 13: a new table has statistics when readers see it. Where autovacuum follows they are of a small sample, and autovacuum is left to
// count every row as one that was not analyzed.
func TestRule13NewTablesAreAnalyzed(t *testing.T) {
	for name, test := range map[string]struct{ with, index, buckets, left string }{
		"autovacuum follows":     {buckets: "10", left: "true"},
		"without autovacuum":     {with: "WITH (autovacuum_enabled = off)", buckets: "100", left: "false"},
		"an index on expression": {with: "WITH (autovacuum_analyze_threshold = 1000000)", index: "CREATE INDEX ON new (upper(v))", buckets: "100", left: "false"},
	} {
		t.Run(name, func(t *testing.T) {
			u, conn := database(t, `CREATE TABLE new ("Na me" int, v text, gone int) `+test.with+`; ALTER TABLE new DROP gone; `+test.index)
			// What a session has changed is told at the latest when it ends.
			filler, err := connect(t.Context(), u, testEnv())
			if err != nil {
				t.Fatal(err)
			}
			execSQL(t, filler, `INSERT INTO new SELECT i, i FROM generate_series(1, 50000) i`)
			closeConn(filler)
			const counted = `SELECT (n_mod_since_analyze > 0 OR autoanalyze_count > 0)::text FROM pg_stat_user_tables WHERE relname = 'new'`
			for column1(t, conn, counted)[0] != "true" {
				time.Sleep(10 * time.Millisecond)
			}
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := analyzeNew(t.Context(), tx, tableName{Schema: "public", Name: "new"}); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			want(t, conn, `(SELECT reltuples, relpages > 0 FROM pg_class WHERE relname = 'new')`, "(50000,t)")
			want(t, conn, `(SELECT attname, array_length(histogram_bounds::text::text[], 1) - 1 FROM pg_stats WHERE tablename = 'new')`, `("Na me",`+test.buckets+`)`, "(v,"+test.buckets+")")
			if got := column1(t, conn, counted)[0]; got != test.left {
				t.Errorf("rows are left to be analyzed: %s, want %s", got, test.left)
			}
			if got := column1(t, conn, `SHOW default_statistics_target`); got[0] != "100" {
				t.Errorf("the session's target is %s", got[0])
			}
		})
	}
}
