package postgres

import (
	"fmt"
	"slices"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// begun is a planner of the source, in a transaction that lasts until end.
func begun(t *testing.T, s *source) (p *planner, end func()) {
	t.Helper()
	d, err := s.describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.begin(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return &planner{ctx: t.Context(), conn: c, src: s, about: d}, func() { s.end(t.Context(), c) }
}

// distinctOf plans the chunks by k of table src, and says whether an index listed them.
func distinctOf(t *testing.T, url string) (chunks []connector.Chunk, listed bool) {
	t.Helper()
	s := openTestSource(t, Table(url, "src"))
	_, chunks = cutAll(t, s, drover.Chunking{By: "k"})
	p, end := begun(t, s)
	defer end()
	_, listed, err := p.distinct(find(p.about.columns, "k"))
	if err != nil {
		t.Fatal(err)
	}
	return chunks, listed
}

func TestFewValuesAreListedByTheirIndex(t *testing.T) {
	u, conn := database(t, typeSQL+"CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
	for typ, c := range valueCases {
		if typ == "xid" {
			continue // it has no order
		}
		execSQL(t, conn, fmt.Sprintf(`DROP TABLE IF EXISTS src; CREATE TABLE src (k %[1]s); INSERT INTO src VALUES %[2]s; INSERT INTO src SELECT k FROM src, generate_series(1, 5000);
			CREATE INDEX ON src (k); ANALYZE src`, typ, c.values))
		chunks, listed := distinctOf(t, string(u))
		if want := typ != "pair"; listed != want {
			t.Errorf("%s: listed by the index: %t, want %t", typ, listed, want)
		}
		var groups, rows, got int64
		if err := conn.QueryRow(t.Context(), "SELECT count(*), sum(n) FROM (SELECT count(*) AS n FROM src GROUP BY k) x").Scan(&groups, &rows); err != nil {
			t.Fatal(err)
		}
		names := keys(chunks)
		for i, ch := range chunks {
			got += ch.Rows
			if i < len(c.want) && c.want[i] == "" {
				names[i] = ""
			}
		}
		if c.want != nil && !slices.Equal(names, c.want) {
			t.Errorf("%s: chunks %q, want %q", typ, names, c.want)
		}
		if int64(len(chunks)) != groups || got < rows/5 || got > rows*2 {
			t.Errorf("%s: %d chunks of %d rows for %d values of %d rows", typ, len(chunks), got, groups, rows)
		}
	}
}

func TestValuesAreCountedWhereAnIndexWouldNotListThemSooner(t *testing.T) {
	u, conn := database(t, "")
	for name, sql := range map[string]string{
		"many values":        "CREATE TABLE src AS SELECT (i / 10)::text AS k FROM generate_series(1, 20000) i; CREATE INDEX ON src (k)",
		"no index":           "CREATE TABLE src AS SELECT (i % 10)::text AS k FROM generate_series(1, 20000) i",
		"a partial index":    "CREATE TABLE src AS SELECT (i % 10)::text AS k FROM generate_series(1, 20000) i; CREATE INDEX ON src (k) WHERE k < '5'",
		"another order":      `CREATE TABLE src AS SELECT (i % 10)::text AS k FROM generate_series(1, 20000) i; CREATE INDEX ON src (k text_pattern_ops)`,
		"another collation":  `CREATE TABLE src AS SELECT (i % 10)::text AS k FROM generate_series(1, 20000) i; CREATE INDEX ON src (k COLLATE "POSIX")`,
		"a second column":    "CREATE TABLE src AS SELECT (i % 10)::text AS k, i FROM generate_series(1, 20000) i; CREATE INDEX ON src (i, k)",
		"an expression":      "CREATE TABLE src AS SELECT (i % 10)::text AS k FROM generate_series(1, 20000) i; CREATE INDEX ON src (lower(k))",
		"all rows are gone":  "CREATE TABLE src AS SELECT (i % 10)::text AS k FROM generate_series(1, 20000) i; CREATE INDEX ON src (k); ANALYZE src; DELETE FROM src",
		"a hash index alone": "CREATE TABLE src AS SELECT (i % 10)::text AS k FROM generate_series(1, 20000) i; CREATE INDEX ON src USING hash (k)",
	} {
		analyze := "; ANALYZE src"
		if name == "all rows are gone" {
			analyze = ""
		}
		execSQL(t, conn, "DROP TABLE IF EXISTS src; "+sql+analyze)
		chunks, listed := distinctOf(t, string(u))
		var groups, rows, got int64
		if err := conn.QueryRow(t.Context(), "SELECT count(*), coalesce(sum(n), 0) FROM (SELECT count(*) AS n FROM src GROUP BY k) x").Scan(&groups, &rows); err != nil {
			t.Fatal(err)
		}
		for _, ch := range chunks {
			got += ch.Rows
		}
		if listed || int64(len(chunks)) != max(groups, 1) || got != rows {
			t.Errorf("%s: listed %t; %d chunks of %d rows for %d values of %d rows", name, listed, len(chunks), got, groups, rows)
		}
	}
}
