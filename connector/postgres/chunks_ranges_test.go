package postgres

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

func TestRangesOfTheKeyCoverEveryRowOnce(t *testing.T) {
	u, conn := database(t, `CREATE TABLE one (id bigint PRIMARY KEY); INSERT INTO one SELECT g FROM generate_series(1, 1000) g;
		CREATE TABLE two (id bigint, a text COLLATE "en-x-icu" NOT NULL, b int NOT NULL, PRIMARY KEY (a, b));
		INSERT INTO two SELECT g, chr(65 + g % 7) || chr(97 + g % 5), g FROM generate_series(1, 1000) g;
		CREATE TABLE "Mixed Case" (id bigint, "The ""Key""" uuid PRIMARY KEY);
		INSERT INTO "Mixed Case" SELECT g, md5(g::text)::uuid FROM generate_series(1, 1000) g;
		CREATE TABLE parted (id bigint PRIMARY KEY, v int) PARTITION BY RANGE (id);
		CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (500); CREATE TABLE parted2 PARTITION OF parted DEFAULT;
		INSERT INTO parted SELECT g FROM generate_series(1, 1000) g;
		CREATE TABLE empty (id bigint PRIMARY KEY)`)
	session := newSession(t)
	for name, n := range map[string]int64{"one": 1000, "public.two": 1000, `"Mixed Case"`: 1000, "parted": 1000, "empty": 0} {
		s := openTestSource(t, Table(string(u), name))
		for _, step := range []int64{1000, 333, 500, 7} {
			st, chunks := cutAll(t, s, drover.Chunking{Rows: step})
			if want := max((n+step-1)/step, 1); int64(len(chunks)) != want {
				t.Errorf("%s by %d: %d chunks of %d: %q", name, step, len(chunks), want, keys(chunks))
			}
			covers(t, readChunks(t, s, session, st, chunks), n)
		}
	}
	// What is inserted behind the end meanwhile belongs to the last range.
	s := openTestSource(t, Table(string(u), "one"))
	st, chunks := cutAll(t, s, drover.Chunking{Rows: 100})
	execSQL(t, conn, "INSERT INTO one VALUES (1001)")
	covers(t, readChunks(t, s, session, st, chunks), 1001)
	if got := chunks[1].Key + chunks[9].Key; got != "(100,200](900,)" {
		t.Error(got)
	}
}

// A chunk that is found by reading the table from its beginning costs as much as all the chunks before it.
func TestRangesAreCutByTheKeysIndexAlone(t *testing.T) {
	u, _ := database(t, `CREATE TABLE src (a int, b int, pad text, PRIMARY KEY (a, b)); INSERT INTO src SELECT g / 3, g, repeat('x', 200) FROM generate_series(1, 20000) g; ANALYZE src`)
	s := openTestSource(t, Table(string(u), "src"))
	p, end := begun(t, s)
	defer end()
	chunks := 0
	p.yield = func(connector.Chunk) bool { chunks++; return true }
	if err := p.ranges(drover.Chunking{Rows: 500}); err != nil {
		t.Fatal(err)
	}
	var scans int64
	if err := p.conn.QueryRow(t.Context(), "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'src'").Scan(&scans); err != nil {
		t.Fatal(err)
	}
	if chunks != 40 || scans != 0 {
		t.Errorf("%d chunks, %d scans of the table", chunks, scans)
	}
}

// Where nobody asked for chunks of so many rows, the statistics say where to cut, and no row has to be passed for it.
func TestChunksBySizeAreCutByTheStatisticsOfTheKey(t *testing.T) {
	const fill = "INSERT INTO %s SELECT g, repeat(md5(g::text), 16) FROM generate_series(1, 60000) g;"
	var sql string
	for table, key := range map[string]string{"number": "id bigint", "day": "id timestamptz", "text": "id text", "stale": "id int", "bare": "id int"} {
		sql += fmt.Sprintf("CREATE TABLE %s (%s PRIMARY KEY, pad text);", table, key)
		value := map[string]string{"day": "timestamptz '2020-01-01' + g * interval '1 minute'", "text": "g::text"}[table]
		sql += strings.Replace(fmt.Sprintf(fill, table), "SELECT g,", "SELECT "+cmp.Or(value, "g")+",", 1)
		if table != "bare" {
			sql += "ANALYZE " + table + ";"
		}
	}
	u, conn := database(t, sql+"INSERT INTO stale SELECT g, repeat(md5(g::text), 16) FROM generate_series(60001, 70000) g")
	session := newSession(t)
	for table, want := range map[string]int{"number": 3, "day": 3, "text": 1, "stale": 1, "bare": 1} {
		s := openTestSource(t, Table(string(u), table))
		p, end := begun(t, s)
		var chunks []connector.Chunk
		p.yield = func(c connector.Chunk) bool { chunks = append(chunks, c); return true }
		if err := p.ranges(drover.Chunking{}); err != nil {
			t.Fatal(err)
		}
		var scans int64
		if err := p.conn.QueryRow(t.Context(), "SELECT seq_scan + idx_scan FROM pg_stat_xact_user_tables WHERE relname = $1", table).Scan(&scans); err != nil {
			t.Fatal(err)
		}
		end()
		if len(chunks) != want || scans != 0 {
			t.Errorf("%s: chunks %q, %d scans", table, keys(chunks), scans)
		}
		if table != "number" {
			continue
		}
		for _, c := range chunks {
			if c.Rows != 20000 {
				t.Errorf("chunk %s has an estimate of %d rows", c.Key, c.Rows)
			}
		}
		execSQL(t, conn, "INSERT INTO number VALUES (60001, ''), (60002, '')") // beyond what the statistics have seen
		st, chunks := cutAll(t, s, drover.Chunking{})
		covers(t, readChunks(t, s, session, st, chunks), 60002)
	}
}
