package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

func keys(chunks []connector.Chunk) []string {
	var list []string
	for _, c := range chunks {
		list = append(list, c.Key)
	}
	return list
}

// readChunks reads the id column of every chunk by itself and returns the ids of each, joined.
func readChunks(t *testing.T, s *source, session *duck.Session, st json.RawMessage, chunks []connector.Chunk) [][]int64 {
	t.Helper()
	rel := openRelation(t, s, session, st, chunks)
	defer func() {
		if err := rel.Close(); err != nil {
			t.Error(err)
		}
	}()
	ids := make([][]int64, len(chunks))
	rows, err := session.Query(t.Context(), "SELECT id::BIGINT, "+step.Tag+" FROM "+rel.All())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for {
		c, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if c.Rows() == 0 {
			break
		}
		tags := duck.Data[int64](c.Vector(1))
		for i, id := range duck.Data[int64](c.Vector(0))[:c.Rows()] {
			ids[tags[i]] = append(ids[tags[i]], id)
		}
	}
	for i := range chunks {
		if got := rel.Count(i).Rows; got != int64(len(ids[i])) {
			t.Errorf("chunk %s: counted %d of %d rows", chunks[i].Key, got, len(ids[i]))
		}
	}
	for i := range ids {
		slices.Sort(ids[i])
	}
	return ids
}

// covers fails unless every id from 1 to n is in exactly one chunk.
func covers(t *testing.T, ids [][]int64, n int64) {
	t.Helper()
	all := slices.Concat(ids...)
	slices.Sort(all)
	if int64(len(all)) != n || len(all) > 0 && (all[0] != 1 || all[n-1] != n || len(slices.Compact(all)) != int(n)) {
		t.Errorf("%d rows of %d", len(all), n)
	}
}

// valueCases are values of types to chunk by, and the keys that their chunks must have; a key "" may be any.
var valueCases = map[string]struct {
	values string // with repetitions under the type's equality
	want   []string
}{
	"int":                 {"(2), (1), (NULL), (2), (NULL), (10)", []string{"1", "2", "10", "(null)"}},
	"text":                {`('a'), ('a '), (''), (NULL), ('A'), ('it''s'), ('"q"'), ('(null)'), ('\'), ('{a,b}'), ('a'), (repeat('x', 2000))`, nil},
	`text COLLATE "C"`:    {`('b'), ('B'), ('ä'), (NULL)`, []string{"B", "b", "ä", "(null)"}},
	"text COLLATE ci":     {`('a'), ('A'), ('b'), (NULL)`, nil},
	"char(5)":             {"('ab'), ('ab   '), ('b'), (NULL)", []string{"ab", "b", "(null)"}},
	"varchar(3)":          {"('ab'), ('ab '), ('501'), (NULL)", nil},
	"numeric":             {"(1.0), (1.00), ('NaN'), (1e40), (NULL), (0.1)", []string{"0.1", "", "1" + strings.Repeat("0", 40), "NaN", "(null)"}},
	"float8":              {"('NaN'), ('NaN'), (0), ('-0'), ('Infinity'), (0.1), (0.1::real), (NULL)", nil},
	"real":                {"(1.1), (16777217), (NULL), (1e-45)", nil},
	"date":                {"('2024-02-29'), ('infinity'), ('4713-01-01 BC'), (NULL)", []string{"4713-01-01 BC", "2024-02-29", "infinity", "(null)"}},
	"timestamptz":         {"('2024-02-29 12:00+05:30'), ('2024-02-29 06:30Z'), (NULL)", []string{"2024-02-29 06:30:00+00", "(null)"}},
	"interval":            {"('1 mon'), ('30 days'), ('1 day'), (NULL)", nil},
	"uuid":                {"('00000000-0000-0000-0000-000000000001'), (NULL)", []string{"00000000-0000-0000-0000-000000000001", "(null)"}},
	"mood":                {"('with space'), ('sad'), (NULL)", []string{"sad", "with space", "(null)"}},
	"boolean":             {"(true), (false), (NULL)", []string{"false", "true", "(null)"}},
	"bytea":               {`('\x00ff'), ('\x'), (NULL)`, []string{`\x`, `\x00ff`, "(null)"}},
	"zip2":                {"('00501'), ('501'), (NULL)", []string{"00501", "501", "(null)"}},
	"inet":                {"('10.0.0.1'), ('10.0.0.1/32'), ('::1'), (NULL)", nil},
	"jsonb":               {`('{"a": 1}'), ('{"a":1}'), (NULL)`, []string{`{"a": 1}`, "(null)"}},
	"int[]":               {"('{1,2}'), ('{}'), ('{NULL}'), (NULL)", nil},
	"pair":                {"('(1,a)'), ('(,)'), (NULL)", nil},
	"xid":                 {"('7'), ('4294967295'), (NULL)", nil},
	`"char"`:              {"('a'), (''), (NULL)", nil},
	"int4range":           {"('[1,3)'), ('(0,2]'), ('empty'), (NULL)", nil},
	"amount":              {"(1.5), (1.50), (NULL)", []string{"1.50", "(null)"}},
	"bit(3)":              {"(B'101'), (NULL)", nil},
	"name":                {"('a'), (NULL)", nil},
	"timestamp":           {"('infinity'), ('0044-03-15 12:00 BC'), (NULL)", nil},
	"time with time zone": {"('12:00+01'), ('11:00+00'), (NULL)", nil},
}

func TestEveryValueIsOneChunkAndNULLIsItsOwn(t *testing.T) {
	u, conn := database(t, typeSQL+"CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
	session := newSession(t)
	for typ, c := range valueCases {
		execSQL(t, conn, fmt.Sprintf(`DROP TABLE IF EXISTS src; CREATE TABLE src (id int GENERATED ALWAYS AS IDENTITY, k %s); INSERT INTO src (k) VALUES %s`, typ, c.values))
		s := openTestSource(t, Table(string(u), "src"))
		st, chunks := cutAll(t, s, drover.Chunking{By: "k"})
		if c.want != nil {
			got := keys(chunks)
			for i := range min(len(got), len(c.want)) {
				if c.want[i] == "" {
					got[i] = "" // which of equal values names the chunk is the server's choice
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: chunks %q, want %q", typ, got, c.want)
			}
		}
		var distinct int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM (SELECT k FROM src GROUP BY k) x").Scan(&distinct); err != nil || distinct != len(chunks) {
			t.Errorf("%s: %d chunks for %d values (%v)", typ, len(chunks), distinct, err)
		}
		ids := readChunks(t, s, session, st, chunks)
		method := "hash"
		if strings.HasPrefix(typ, "bit") {
			method = "btree"
		}
		execSQL(t, conn, "CREATE INDEX ON src USING "+method+" (k)")
		indexed := openTestSource(t, Table(string(u), "src"))
		if got := readChunks(t, indexed, session, st, chunks); fmt.Sprint(got) != fmt.Sprint(ids) {
			t.Errorf("%s: by index %v, by one scan %v", typ, got, ids)
		}
		covers(t, ids, int64(strings.Count(c.values, "), (")+1))
		for i, ch := range chunks {
			if ch.Rows != int64(len(ids[i])) || len(ids[i]) == 0 {
				t.Errorf("%s: chunk %s has %d rows of %d", typ, ch.Key, len(ids[i]), ch.Rows)
			}
		}
	}
}

func TestKeyListIsDistinctUnderTheColumnsTypeAndOthersHoldTheRest(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (id int GENERATED ALWAYS AS IDENTITY, k char(5));
		INSERT INTO src (k) VALUES ('a'), ('b'), ('b'), (NULL), ('c'), ('it''s');
		CREATE TABLE list (v text); INSERT INTO list VALUES ('a'), ('a  '), ('b'), (NULL), ('zzz'), ('it''s')`)
	session := newSession(t)
	s := openTestSource(t, Table(string(u), "src"))
	c := drover.Chunking{By: "k", Keys: "SELECT v FROM list -- all of them"}
	st, chunks := cutAll(t, s, c)
	if got := fmt.Sprintf("%q", keys(chunks)); got != `["a" "b" "it's" "zzz" "(other)"]` {
		t.Fatal(got)
	}
	ids := readChunks(t, s, session, st, chunks)
	covers(t, ids, 6)
	if got := fmt.Sprint(ids); got != "[[1] [2 3] [6] [] [4 5]]" {
		t.Error(got)
	}
	c.Others = "ignore"
	st, chunks = cutAll(t, s, c)
	if got := fmt.Sprint(readChunks(t, s, session, st, chunks)); got != "[[1] [2 3] [6] []]" {
		t.Error(got)
	}
	// Estimates come from the statistics, where there are any.
	execSQL(t, conn, "ANALYZE src")
	_, estimated := cutAll(t, openTestSource(t, Table(string(u), "src")), drover.Chunking{By: "k", Keys: "VALUES ('b')"})
	if estimated[0].Rows != 2 || estimated[0].Bytes <= 0 || estimated[1].Rows != 4 {
		t.Errorf("%+v", estimated)
	}
	// An empty list leaves every row to the others.
	st, chunks = cutAll(t, s, drover.Chunking{By: "k", Keys: "SELECT v FROM list WHERE false"})
	covers(t, readChunks(t, s, session, st, chunks), 6)

	for query, text := range map[string]string{
		"SELECT v, v FROM list":  "one column",
		"SELECT nope FROM list":  "nope",
		"SELECT 'x' UNION SELEC": "syntax",
	} {
		var err error
		for _, err = range s.Chunks(t.Context(), drover.Chunking{By: "k", Keys: query}, st) {
			if err != nil {
				break
			}
		}
		if drover.KindOf(err) != drover.Invalid || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestPagesAreReadUnderOneSnapshotAndAResumeWithoutItIsRefused(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (id bigint, pad text); INSERT INTO src SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g; ANALYZE src`)
	session := newSession(t)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{Rows: 500})
	if len(chunks) != 10 || chunks[0].Key == chunks[1].Key {
		t.Fatalf("%q", keys(chunks))
	}
	execSQL(t, conn, "UPDATE src SET pad = 'moved to other pages'; INSERT INTO src VALUES (0); DELETE FROM src WHERE id < 100")
	covers(t, readChunks(t, s, session, st, chunks), 5000)

	other := openTestSource(t, Table(string(u), "src"))
	if _, err := other.Begin(t.Context(), drover.Chunking{Rows: 500}, st); err != nil {
		t.Errorf("beside a live run: %v", err)
	}
	if err := errors.Join(s.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	alone(t, conn)
	var e *drover.Error
	late := openTestSource(t, Table(string(u), "src"))
	if _, err := late.Begin(t.Context(), drover.Chunking{Rows: 500}, st); !errors.As(err, &e) || e.Kind != drover.Refused || !strings.Contains(e.Hint, "--new") {
		t.Errorf("got %#v", err)
	}
}

func TestChunkingThatCannotBeIsRefused(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (id int, j json, k int); CREATE VIEW v AS SELECT * FROM src;
		CREATE TABLE big (id int, k int);`)
	for name, c := range map[string]struct {
		spec     *Source
		chunking drover.Chunking
		kind     drover.Kind
	}{
		"no such column":  {Table(string(u), "src"), drover.Chunking{By: "nope"}, drover.Invalid},
		"no equality":     {Table(string(u), "src"), drover.Chunking{By: "j"}, drover.Refused},
		"rows of a query": {Query(string(u), "SELECT * FROM src"), drover.Chunking{Rows: 5}, drover.Refused},
		"rows of a view":  {Table(string(u), "v"), drover.Chunking{Rows: 5}, drover.Refused},
		"keys without by": {Table(string(u), "src"), drover.Chunking{Keys: "SELECT 1"}, drover.Invalid},
	} {
		s := openTestSource(t, c.spec)
		_, err := s.Begin(t.Context(), c.chunking, nil)
		if drover.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spec := range map[string]*Source{
		"missing table": Table(string(u), "nope"), "case": Table(string(u), "Src2"), "bad query": Query(string(u), "SELECT nope FROM src"),
		"two columns of one name": Query(string(u), "SELECT 1 AS a, 2 AS a"), "bad name": Table(string(u), "a.b.c.d"),
	} {
		if _, err := openTestSource(t, spec).Schema(t.Context()); drover.KindOf(err) != drover.Refused && drover.KindOf(err) != drover.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Without an index: a warning that has the statement, and above 1 GiB a refusal.
	var warned []string
	s := openTestSource(t, Table(string(u), "src"))
	s.env.Warn = func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) }
	if _, err := s.Begin(t.Context(), drover.Chunking{By: "k"}, nil); err != nil || len(warned) != 1 || !strings.Contains(warned[0], `CREATE INDEX CONCURRENTLY ON "public"."src" ("k")`) {
		t.Errorf("%v %q", err, warned)
	}
	d, err := s.describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.table.bytes = unindexedLimit + 1
	var e *drover.Error
	if _, err := s.Begin(t.Context(), drover.Chunking{By: "k"}, nil); !errors.As(err, &e) || e.Kind != drover.Refused || !strings.Contains(e.Hint, "CREATE INDEX") {
		t.Errorf("%#v", err)
	}
	execSQL(t, conn, "CREATE INDEX ON src (k)")
	warned = nil
	s2 := openTestSource(t, Table(string(u), "src"))
	s2.env.Warn = s.env.Warn
	if _, err := s2.Begin(t.Context(), drover.Chunking{By: "k"}, nil); err != nil || len(warned) != 0 {
		t.Errorf("%v %q", err, warned)
	}
}

func TestSourceThatChangedSinceThePlanIsRefused(t *testing.T) {
	u, conn := database(t, "CREATE TABLE src (id int, v numeric(5,2))")
	session := newSession(t)
	for _, sql := range []string{"ALTER TABLE src ALTER v TYPE numeric(6,2)", "ALTER TABLE src DROP v"} {
		for _, spec := range []*Source{Table(string(u), "src"), Query(string(u), "SELECT * FROM src;")} {
			execSQL(t, conn, "DROP TABLE src; CREATE TABLE src (id int, v numeric(5,2))")
			s := openTestSource(t, spec)
			st, chunks := cutAll(t, s, drover.Chunking{})
			schema, err := s.Schema(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			execSQL(t, conn, sql)
			late := openTestSource(t, spec)
			for _, src := range []*source{s, late} {
				_, err := src.Open(t.Context(), session, schema, st, chunks)
				var e *drover.Error
				if !errors.As(err, &e) || e.Kind != drover.Refused || !strings.Contains(e.Message, "column v") {
					t.Errorf("%s: %#v", sql, err)
				}
			}
		}
	}
}

func TestViewsQueriesAndPartitionsAreRead(t *testing.T) {
	u, _ := database(t, `CREATE TABLE src (id bigint, v text); INSERT INTO src SELECT g, g::text FROM generate_series(1, 100) g;
		CREATE VIEW v AS SELECT * FROM src; CREATE MATERIALIZED VIEW m AS SELECT * FROM src;
		CREATE TABLE p (id bigint, v text) PARTITION BY HASH (id); CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);
		CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO p SELECT * FROM src;
		CREATE TABLE parent (id bigint, v text); CREATE TABLE child () INHERITS (parent); INSERT INTO child SELECT * FROM src;
		CREATE SCHEMA "Other"; CREATE TABLE "Other"."T.x" AS SELECT * FROM src`)
	session := newSession(t)
	for _, spec := range []*Source{
		Table(string(u), "v"), Table(string(u), "m"), Table(string(u), "p"), Table(string(u), "parent"), Table(string(u), `"Other"."T.x"`),
		Query(string(u), "SELECT * FROM src -- a comment"), Query(string(u), "WITH x AS (SELECT * FROM src) SELECT id, v FROM x ORDER BY id;\n"),
	} {
		s := openTestSource(t, spec)
		for _, c := range []drover.Chunking{{}, {By: "v"}, {Rows: 30}} {
			if c.Rows > 0 && (spec.Query != "" || spec.Table == "v") {
				continue
			}
			st, chunks := cutAll(t, s, c)
			covers(t, readChunks(t, s, session, st, chunks), 100)
		}
		if a, err := s.Identity(t.Context()); err != nil || a == "" {
			t.Error(a, err)
		}
	}
}

func TestTinyChunksAreCheap(t *testing.T) {
	const n = 40000
	u, conn := database(t, fmt.Sprintf(`CREATE TABLE src (id bigint PRIMARY KEY, k text, v text);
		INSERT INTO src SELECT g, 'key '||g, 'v' FROM generate_series(1, %d) g; CREATE INDEX ON src (k); ANALYZE src; CREATE TABLE dst (LIKE src)`, n))
	s := openTestSource(t, Table(string(u), "src"))
	start := time.Now()
	st, chunks := cutAll(t, s, drover.Chunking{By: "k"})
	planned := time.Since(start)
	if len(chunks) != n {
		t.Fatal(len(chunks))
	}
	chunks = chunks[:4000]
	start = time.Now()
	got, _, err := transfer{source: s, state: st, chunks: chunks, session: newSession(t), program: step.Program{RowWise: true}}.into(t.Context(), t, conn, "dst")
	took := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range got {
		if g.rows != 1 {
			t.Fatalf("chunk %d: %+v", i, g)
		}
	}
	t.Logf("%d chunks planned in %v; %d loaded in %v", n, planned, len(chunks), took)
	if each := took / time.Duration(len(chunks)); each > 2*time.Millisecond || planned > 20*time.Second {
		t.Errorf("a chunk costs %v, the plan %v", each, planned)
	}
}
