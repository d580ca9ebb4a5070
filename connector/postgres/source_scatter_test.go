package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

func TestScatteredValuesAskForFewTasks(t *testing.T) {
	u, _ := database(t, `CREATE TABLE t (id int PRIMARY KEY, tidy int, wild int, "odd ""name" text);
		INSERT INTO t SELECT i, i / 100, (i::bigint * 7919 % 100)::int, 'x' || i % 7 FROM generate_series(1, 10000) i; ANALYZE t;
		CREATE TABLE unknown (id int PRIMARY KEY, k int)`)
	for _, c := range []struct {
		table    string
		chunking drover.Chunking
		want     bool
	}{
		{"t", drover.Chunking{By: "wild"}, true},
		{"t", drover.Chunking{By: `odd "name`}, true},
		{"t", drover.Chunking{By: "tidy"}, false},
		{"t", drover.Chunking{By: "wild", Spool: true}, false},
		{"t", drover.Chunking{Rows: 100}, false},
		{"t", drover.Chunking{}, false},
		{"unknown", drover.Chunking{By: "k"}, true},
	} {
		s := openTestSource(t, Table(string(u), c.table))
		if got, err := s.FewTasks(t.Context(), c.chunking); err != nil || got != c.want {
			t.Errorf("%s %+v: %v, %v", c.table, c.chunking, got, err)
		}
	}
}

func TestScatteredValuesOfMuchOfATableAreReadByAPassOverIt(t *testing.T) {
	u, conn := database(t, `CREATE TABLE t (id int PRIMARY KEY, tidy int, wild int, pad text);
		INSERT INTO t SELECT i, i / 1000, (i::bigint * 7919 % 100)::int, repeat('x', 100) FROM generate_series(1, 100000) i;
		CREATE INDEX ON t (tidy); CREATE INDEX ON t (wild); ANALYZE t`)
	execSQL(t, conn, `CREATE ROLE secured LOGIN PASSWORD 'secured'; GRANT SELECT ON t TO secured;
		ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY po ON t USING (true)`)
	t.Cleanup(func() { execSQL(t, conn, "DROP OWNED BY secured CASCADE; DROP ROLE secured") })
	// With this the planner would rather fetch each row by the index than read the table from end to end.
	execSQL(t, conn, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET random_page_cost = 0.1', current_database()); END $$")
	for _, c := range []struct {
		by         string
		from, upto int // of the chunks
		secured    bool
		passes     int64
	}{
		{"wild", 0, 50, false, 1},
		{"wild", 50, 60, false, 0},
		{"tidy", 0, 50, false, 0},
		{"wild", 0, 50, true, 0}, // its policies may need indexes
	} {
		url := string(u)
		if c.secured {
			url = strings.Replace(url, "postgres@", "secured:secured@", 1)
		}
		s := openTestSource(t, Table(url, "t"))
		schema, err := s.Schema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st, chunks := cutAll(t, s, drover.Chunking{By: c.by})
		session := newSession(t)
		opened, err := s.Open(t.Context(), session, schema, st, chunks[c.from:c.upto])
		if err != nil {
			t.Fatal(err)
		}
		rows, err := session.Texts(t.Context(), "SELECT count(*) FROM "+opened.All())
		if want := fmt.Sprint((c.upto - c.from) * 1000); err != nil || (*rows[0][0] != want && c.by == "wild") {
			t.Errorf("%+v: %s rows, %v", c, *rows[0][0], err)
		}
		var passes int64
		var indexes, bitmaps string
		used := opened.(*relation).idle[0]
		err = used.QueryRow(t.Context(), `SELECT seq_scan, current_setting('enable_indexscan'), current_setting('enable_bitmapscan')
			FROM pg_stat_xact_user_tables WHERE relname = 't'`).Scan(&passes, &indexes, &bitmaps)
		if err = errors.Join(err, opened.Close()); err != nil {
			t.Fatal(err)
		}
		if passes != c.passes || indexes != "on" || bitmaps != "on" {
			t.Errorf("%+v: %d passes; the next statement has index scans %s, bitmap scans %s", c, passes, indexes, bitmaps)
		}
	}
}
