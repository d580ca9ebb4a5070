package sqlstep

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// table makes a table and returns its schema.
func table(t testing.TB, s *duck.Session, name, query string) drover.Schema {
	t.Helper()
	if err := s.Exec(t.Context(), "CREATE OR REPLACE TABLE "+name+" AS "+query); err != nil {
		t.Fatal(err)
	}
	schema, err := s.Describe(t.Context(), "SELECT * FROM "+name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// rows runs a query and returns its rows as sorted lines.
func rows(t testing.TB, s *duck.Session, query string) []string {
	t.Helper()
	got, err := s.Texts(t.Context(), query)
	if err != nil {
		t.Fatalf("%v in\n%s", err, query)
	}
	out := lines(got)
	slices.Sort(out)
	return out
}

func lines(rows [][]*string) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		cells := make([]string, len(r))
		for j, v := range r {
			cells[j] = "NULL"
			if v != nil {
				cells[j] = *v
			}
		}
		out[i] = strings.Join(cells, "|")
	}
	return out
}

func mustCompile(t testing.TB, s *duck.Session, schema drover.Schema, steps ...drover.Step) Compiled {
	t.Helper()
	c, err := Compile(t.Context(), s, steps, 0, schema)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLaterStepsNeverMeetRowsThatAFilterRemoved: DuckDB merges nested conditions and orders them by cost, so each case has a cheap condition
// that fails on rows which a dearer, earlier filter removes.
func TestLaterStepsNeverMeetRowsThatAFilterRemoved(t *testing.T) {
	s := session(t)
	schema := table(t, s, "t", "SELECT range AS id, CASE WHEN range % 3 = 0 THEN 'n/a' ELSE range::VARCHAR END AS b, range % 7 AS m FROM range(20000)")
	p := func(k, v string) drover.Pair { return drover.Pair{Key: k, Value: v} }
	dear := filter("CASE WHEN b = 'n/a' THEN false ELSE cast(cast(cast(b AS BIGINT) AS VARCHAR) AS BIGINT) >= 0 END")
	for name, steps := range map[string][]drover.Step{
		"two filters":             {filter("b <> 'n/a'"), filter("cast(b AS INT) > 5")},
		"dear first":              {dear, filter("cast(b AS INT) > 5")},
		"filter on a set column":  {dear, set(p("x", "cast(b AS INT)")), filter("x > 5")},
		"filter on a cast column": {dear, cast(p("b", "INTEGER")), filter("b > 5")},
		"a harmless one between":  {dear, filter("m > 0"), filter("cast(b AS INT) > 5"), filter("m < 6")},
		"in a sql step":           {dear, sql("SELECT id, cast(b AS INT) AS b FROM chunk WHERE cast(b AS INT) > 5")},
		"after a sql step":        {sql("SELECT * FROM chunk WHERE b <> 'n/a'"), filter("cast(b AS INT) > 5")},
		"on a sql step's column":  {sql("SELECT *, cast(b AS INT) AS x FROM chunk WHERE length(regexp_replace(reverse(b), '[0-9]+', '')) = 0"), filter("x > 5"), filter("x % 2 = 0")},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustCompile(t, s, schema, steps...)
			if got := rows(t, s, c.Program.Over("(SELECT *, 0::BIGINT AS "+step.Tag+" FROM t)")); len(got) == 0 {
				t.Fatal("no rows")
			}
		})
	}
}

func TestTheFenceLetsProjectionsPass(t *testing.T) {
	s := session(t)
	schema := drover.Schema{{Name: "a", Type: "VARCHAR"}, {Name: "b", Type: "VARCHAR"}, {Name: "c", Type: "VARCHAR"}}
	asked := map[int]bool{}
	scan, remove, err := s.AddScan(append(slices.Clone(schema), drover.Column{Name: step.Tag, Type: "BIGINT"}), func() (duck.Filler, error) {
		return func(_ duck.Chunk, projection []int) (int, error) {
			for _, p := range projection {
				asked[p] = true
			}
			return 0, nil
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	c := mustCompile(t, s, schema, filter("length(a) > 1"), filter("cast(a AS INT) > 5"), drop("c"), set(drover.Pair{Key: "b", Value: "1"}))
	if !strings.Contains(c.Program.SQL, "OFFSET 0") {
		t.Fatalf("no fence in %s", c.Program.SQL)
	}
	rows(t, s, c.Program.Over(scan))
	if fmt.Sprint(asked) != "map[0:true 3:true]" {
		t.Fatalf("columns %v were read, want a and the tag", asked)
	}
}

func TestHarmlessFiltersAreNotFenced(t *testing.T) {
	s := session(t)
	schema := drover.Schema{{Name: "d", Type: "DOUBLE"}, {Name: "t", Type: "VARCHAR"}, {Name: "b", Type: "BOOLEAN"}}
	c := mustCompile(t, s, schema, filter("length(t) > 1"), filter("d > 1"), filter("t <> 'x' AND NOT b"), filter("d BETWEEN 1 AND 2.5 OR t IN ('a', 'b') OR d IS NULL"))
	if strings.Contains(c.Program.SQL, "OFFSET") {
		t.Fatalf("fenced: %s", c.Program.SQL)
	}
	for _, e := range []string{"d > '1'", "b = 'x'", "d > length(t)", "upper(t) = 'X'", "t::INT = 1"} {
		c := mustCompile(t, s, schema, filter("length(t) > 1"), filter(e))
		if !strings.Contains(c.Program.SQL, "OFFSET 0") {
			t.Errorf("%s is not fenced", e)
		}
	}
}

// chunks are the input of opaque programs.
func chunks(i int) string {
	return fmt.Sprintf("(SELECT range AS id, 'g' || range %% 3 AS g, %d::BIGINT AS %s FROM range(%d, %d))", i, step.Tag, i*10, i*10+10)
}

func TestOpaqueProgramsSeeOneWholeChunkAndTagIt(t *testing.T) {
	s := session(t)
	schema := drover.Schema{{Name: "id", Type: "BIGINT", From: "id"}, {Name: "g", Type: "VARCHAR"}}
	for name, tc := range map[string]struct {
		steps []drover.Step
		want  string
	}{
		"aggregate":       {[]drover.Step{sql("SELECT count(*) AS n, min(id) AS lo FROM chunk")}, "10|0|0 10|10|1 10|20|2"},
		"after a filter":  {[]drover.Step{filter("id % 2 = 0"), sql("SELECT count(*) AS n FROM chunk")}, "5|0 5|1 5|2"},
		"before a set":    {[]drover.Step{sql("SELECT max(id) AS hi FROM chunk"), set(drover.Pair{Key: "hi", Value: "hi + 1"}), filter("hi > 10")}, "20|1 30|2"},
		"self join":       {[]drover.Step{sql("SELECT count(*) AS n FROM chunk a JOIN chunk b ON a.id < b.id")}, "45|0 45|1 45|2"},
		"ordered, limit":  {[]drover.Step{sql("WITH t AS (SELECT id FROM chunk) SELECT id FROM t ORDER BY id DESC LIMIT 1;")}, "19|1 29|2 9|0"},
		"two in a row":    {[]drover.Step{sql("SELECT g, count(*) AS n FROM chunk GROUP BY g -- groups"), sql("SELECT sum(n)::BIGINT AS n, count(*) AS k FROM chunk")}, "10|3|0 10|3|1 10|3|2"},
		"mixed with rows": {[]drover.Step{sql("SELECT id + 0 AS id FROM chunk"), sql("SELECT max(id) AS hi FROM chunk")}, "19|1 29|2 9|0"},
		"pivot":           {[]drover.Step{sql("SELECT * FROM (PIVOT (SELECT g FROM chunk) ON g IN ('g0', 'g1') USING count(*))")}, "3|3|2 3|4|1 4|3|0"},
		"recursive":       {[]drover.Step{sql("WITH RECURSIVE r AS (SELECT min(id) AS i FROM chunk UNION ALL SELECT i + 5 FROM r WHERE i + 5 <= (SELECT max(id) FROM chunk)) SELECT count(*) AS n FROM r")}, "2|0 2|1 2|2"},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustCompile(t, s, schema, tc.steps...)
			if c.Program.RowWise {
				t.Fatal("row-wise")
			}
			var parts []string
			for i := range 3 {
				parts = append(parts, "("+c.Program.Chunk(chunks(i), i)+")")
			}
			if got := strings.Join(rows(t, s, strings.Join(parts, "\nUNION ALL\n")), " "); got != tc.want {
				t.Fatalf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAChunkIsScannedOnce(t *testing.T) {
	s := session(t)
	schema := drover.Schema{{Name: "id", Type: "BIGINT"}}
	for _, query := range []string{
		"SELECT count(*) AS n FROM chunk",
		"SELECT id FROM chunk ORDER BY id",
		"SELECT a.id FROM chunk a JOIN chunk b USING (id)",
		"SELECT id FROM chunk WHERE id = (SELECT max(id) FROM chunk)",
		"WITH t AS NOT MATERIALIZED (SELECT id FROM chunk) SELECT a.id FROM t a, t b",
		"SELECT * FROM (PIVOT chunk ON id IN (1, 2) USING count(*))",
		"SELECT id, sum(id) OVER () AS s, avg(id) OVER (ORDER BY id) AS a FROM chunk",
		"SELECT count(DISTINCT id) AS a, count(*) AS b FROM chunk",
		"SELECT id FROM chunk WHERE id IN (SELECT unnest([1, 2]))",
	} {
		scans := 0
		scan, remove, err := s.AddScan(append(slices.Clone(schema), drover.Column{Name: step.Tag, Type: "BIGINT"}), func() (duck.Filler, error) {
			scans++
			done := false
			return func(out duck.Chunk, projection []int) (int, error) {
				if done {
					return 0, nil
				}
				done = true
				for v := range projection {
					duck.Data[int64](out.Vector(v))[0] = 1
				}
				return 1, nil
			}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c := mustCompile(t, s, schema, sql(query))
		rows(t, s, c.Program.Chunk(scan, 0))
		remove()
		if scans != 1 {
			t.Errorf("%d scans by %s", scans, query)
		}
	}
}

func TestRowWiseSQLKeepsLiteralsAndTags(t *testing.T) {
	s := session(t)
	schema := drover.Schema{{Name: "a", Type: "BIGINT"}, {Name: "chunk_id", Type: "VARCHAR"}}
	in := "(SELECT 7::BIGINT AS a, 'x' AS chunk_id, 4::BIGINT AS " + step.Tag + ")"
	for query, want := range map[string]string{
		"SELECT 1e10 AS a, '/* chunk */' AS b, a AS c FROM chunk":                       "10000000000.0|/* chunk */|7|4",
		"/* from chunk */ -- chunk\nSELECT /* , */ a, chunk_id FROM \"chunk\" -- chunk": "7|x|4",
		"SELECT *, a + 1 AS b FROM chunk c":                                             "7|x|8|4",
		"SELECT c.a, c.* EXCLUDE (a) FROM chunk c WHERE c.a > 1":                        "7|x|4",
		"SELECT chunk.a FROM chunk WHERE chunk.chunk_id = 'x'":                          "7|4",
		"FROM chunk":             "7|x|4",
		"FROM chunk WHERE a = 7": "7|x|4",
		"TABLE chunk":            "",
		"(SELECT a FROM chunk)":  "",
	} {
		c := mustCompile(t, s, schema, sql(query), set(drover.Pair{Key: "z", Value: "'end'"}), drop("z"))
		if want == "" {
			if c.Program.RowWise {
				t.Errorf("%s is row-wise", query)
			}
			continue
		}
		if !c.Program.RowWise {
			t.Errorf("%s is opaque: %s", query, c.Program.Why)
			continue
		}
		if got := rows(t, s, c.Program.Over(in)); len(got) != 1 || got[0] != want {
			t.Errorf("%s yields %q, want %q", query, got, want)
		}
	}
}
