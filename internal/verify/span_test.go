package verify_test

import (
	"strings"
	"testing"
	"time"
)

// TestTheSecondPassReadsTheRangesThatDiffer: of a Postgres table by its index, where the key is a whole number.
func TestTheSecondPassReadsTheRangesThatDiffer(t *testing.T) {
	d := newDatabase(t)
	table := d.table(t, "CREATE TABLE %s AS SELECT g AS id, 'c' || g % 7 AS city FROM generate_series(1, 200000) g; ALTER TABLE %s ADD PRIMARY KEY (id); ANALYZE %s")
	file := parquet(t, "SELECT range AS id, CASE WHEN range IN (17, 100000) THEN 'x' ELSE 'c' || range % 7 END AS city FROM range(2, 200001)")
	want(t, diff(t, table, file, "id"), 1, 0, 2)
	var scans, fetched int64
	// What a backend has counted shows once it has ended.
	for range 100 {
		if err := d.conn.QueryRow(t.Context(), "SELECT seq_scan, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 't1'").Scan(&scans, &fetched); err != nil {
			t.Fatal(err)
		}
		if fetched > 2 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if fetched == 0 || fetched > 1000 {
		t.Errorf("%d scans, and %d rows by the index", scans, fetched)
	}
}

func TestRangesHoldAllKeysThatThereAre(t *testing.T) {
	d := newDatabase(t)
	const keys = `(-9223372036854775808), (-9223372036854775807), (-70000), (-1), (0), (1), (65536), (9223372036854775806), (9223372036854775807), (NULL)`
	table := d.table(t, "SELECT id::bigint, 'a' AS v FROM (VALUES "+keys+") t(id)")
	narrow := d.table(t, "SELECT id::int, 'a' AS v FROM (VALUES (-3), (-1), (0), (7)) t(id)")
	empty := d.table(t, "SELECT 1::bigint AS id, 'a' AS v WHERE false")
	for key := range strings.SplitSeq(keys, ", ") {
		changed := parquet(t, "SELECT id::BIGINT AS id, CASE WHEN id IS NOT DISTINCT FROM "+key+" THEN 'b' ELSE 'a' END AS v FROM (VALUES "+keys+") t(id)")
		r := diff(t, table, changed, "id")
		if r.Changed != 1 || r.Missing+r.Extra != 0 {
			t.Errorf("%s changed: %s", key, text(t, r))
		}
		// What lies beyond the range that the table knows of is found as well.
		beyond := parquet(t, "SELECT * FROM (VALUES (-3, 'a'), (-1, 'a'), (0, 'a'), (7, 'a'), ("+key+"::BIGINT, 'z')) t(id, v)")
		if r := diff(t, narrow, beyond, "id"); r.Missing+r.Changed != 0 || r.Extra != 1 {
			t.Errorf("%s more: %s", key, text(t, r))
		}
	}
	want(t, diff(t, empty, table, "id"), 0, 10, 0)
	want(t, diff(t, empty, empty, "id"), 0, 0, 0)
}
