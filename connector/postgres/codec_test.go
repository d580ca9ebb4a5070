package postgres

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/pgtest"
	"github.com/droverdata/drover/internal/step"
)

func TestComputedListsAreStoredElementByElement(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (id bigint PRIMARY KEY, a int[], s text[]);
		INSERT INTO src SELECT g, ARRAY[g, NULL, -g, g * 2, 7], ARRAY['long enough not to be inline ' || g, NULL, 'x'] FROM generate_series(1, 5000) g;
		INSERT INTO src VALUES (5001, '{}', NULL);
		CREATE TABLE dst (id bigint, a int[], f bigint[], s text[], r text[], n numeric[], k jsonb[])`)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{})
	out := drover.Schema{
		{Name: "id", Type: "BIGINT", From: "id"},
		{Name: "a", Type: "INTEGER[]"},
		{Name: "f", Type: "BIGINT[]"},
		{Name: "s", Type: "VARCHAR[]"},
		{Name: "r", Type: "VARCHAR[]"},
		{Name: "n", Type: "DECIMAL(12,2)[]"},
		{Name: "k", Type: "JSON[]"},
	}
	sql := `SELECT id, list_slice(a, 2, 4) AS a, list_filter(a, lambda x: x > 0)::BIGINT[] AS f, list_reverse(s) AS s, list_transform(s, lambda x: upper(x)) AS r,
		[id / 4]::DECIMAL(12,2)[] AS n, [to_json(id), NULL] AS k, __drover_tag FROM ` + step.Input()
	want := dump(t, conn, `SELECT (id, a[2:4], ARRAY(SELECT x FROM unnest(a) x WHERE x > 0)::bigint[], CASE WHEN s IS NOT NULL THEN ARRAY[s[3], s[2], s[1]] END,
		CASE WHEN s IS NOT NULL THEN ARRAY[upper(s[1]), NULL, 'X'] END, ARRAY[round(id / 4.0, 2)], ARRAY[to_jsonb(id), NULL])::text FROM src ORDER BY id`)
	for _, rowWise := range []bool{true, false} {
		execSQL(t, conn, "TRUNCATE dst")
		_, _, err := transfer{source: s, state: st, chunks: chunks, session: newSession(t), output: out, program: step.Program{SQL: sql, RowWise: rowWise}}.into(t.Context(), t, conn, "dst")
		if err != nil {
			t.Fatal(err)
		}
		have := dump(t, conn, "SELECT (id, a, f, s, r, n, k)::text FROM dst ORDER BY id")
		if h, w := strings.Split(have, "\n"), strings.Split(want, "\n"); have != want {
			for i := range w {
				if h[i] != w[i] {
					t.Fatalf("row-wise %v: got %s, want %s", rowWise, h[i], w[i])
				}
			}
		}
	}
}

// A chunk of DuckDB's may hold far more elements than rows, and the next one far fewer: what is NULL in one must not be so in another.
func TestArraysOfManyElementsKeepTheirNULLs(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (id bigint PRIMARY KEY, a int[], s text[]); CREATE TABLE dst (LIKE src);
		INSERT INTO src SELECT g, CASE WHEN g % 11 > 0 THEN ARRAY(SELECT nullif((g * i) % 7, 3) FROM generate_series(1, n) i) END,
			CASE WHEN g % 5 > 0 THEN ARRAY(SELECT nullif(repeat('x', (g * i) % 29), '') FROM generate_series(1, n) i) END
		FROM (SELECT g, CASE WHEN (g / 3000) % 2 = 0 THEN g % 40 ELSE g % 2 END AS n FROM generate_series(1, 12000) g) AS x`)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{})
	out := drover.Schema{{Name: "id", Type: "BIGINT", From: "id"}, {Name: "a", Type: "INTEGER[]"}, {Name: "s", Type: "VARCHAR[]"}}
	for _, rowWise := range []bool{true, false} {
		execSQL(t, conn, "TRUNCATE dst")
		program := step.Program{SQL: "SELECT id, list_reverse(list_reverse(a)) AS a, list_reverse(list_reverse(s)) AS s, __drover_tag FROM " + step.Input(), RowWise: rowWise}
		if _, _, err := (transfer{source: s, state: st, chunks: chunks, session: newSession(t), output: out, program: program}).into(t.Context(), t, conn, "dst"); err != nil {
			t.Fatal(err)
		}
		if lost := strings.TrimSpace(dump(t, conn, "SELECT count(*)::text FROM (TABLE src EXCEPT ALL TABLE dst) AS x")); lost != "0" {
			t.Errorf("row-wise %v: %s rows differ", rowWise, lost)
		}
	}
}

func TestTypesWithoutAnExactDuckDBTypeHaveNone(t *testing.T) {
	u, conn := database(t, typeSQL+"CREATE TABLE src (a inet, b money, c bit(3), d numeric(39,0), e int4range, f pair, g inet[], h tsvector, i pg_lsn, j point, "+
		`k numeric, l numeric(5,-2), m numeric(3,5), n char(3), o zip2, p mood[], q text COLLATE "C" NOT NULL, r numeric(12,2)[])`)
	schema, err := openTestSource(t, Table(string(u), "src")).Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range schema {
		got = append(got, c.Name+"="+c.Type)
	}
	want := "a= b= c= d= e= f= g= h= i= j= k=DECIMAL(38,10) l=DECIMAL(7,0) m=DECIMAL(5,5) n=VARCHAR o=VARCHAR p=VARCHAR[] q=VARCHAR r=DECIMAL(12,2)[]"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if q := schema[16]; q.Native != "text" || q.Collation != `pg_catalog."C"` || !q.NotNull {
		t.Errorf("%+v", q)
	}
	execSQL(t, conn, "CREATE TABLE acl (a aclitem); CREATE TABLE twice (a int, \"A\" int)")
	for _, name := range []string{"acl", "twice"} {
		if _, err := openTestSource(t, Table(string(u), name)).Schema(t.Context()); drover.KindOf(err) != drover.Refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTextThatIsNotUTF8IsAnError(t *testing.T) {
	_, admin := database(t, "SELECT 1")
	name := "ascii_" + strings.ReplaceAll(t.Name(), "/", "_")
	name = strings.ToLower(name)
	execSQL(t, admin, "CREATE DATABASE "+name+" ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	base := pgtest.Database(t)
	u := URL(base[:strings.LastIndex(base, "/")+1] + name)
	conn, err := connect(t.Context(), u, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	execSQL(t, conn, `CREATE TABLE src (v text); INSERT INTO src VALUES (convert_from('\x61', 'SQL_ASCII')), (chr(228)); CREATE TABLE dst (v text)`)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{})
	x := transfer{source: s, state: st, chunks: chunks, session: newSession(t), program: step.Program{RowWise: true}}
	if _, _, err := x.into(t.Context(), t, conn, "dst"); drover.KindOf(err) != drover.Data {
		t.Errorf("got %v", err)
	}
}

func TestBytesAreNeverMovedBetweenTypesOfDifferentForms(t *testing.T) {
	u, conn := database(t, "CREATE TABLE src (v inet); INSERT INTO src VALUES ('10.0.0.1'); CREATE TABLE dst (v macaddr); CREATE TABLE same (v inet)")
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{})
	session := newSession(t)
	for _, rowWise := range []bool{true, false} {
		x := transfer{source: s, state: st, chunks: chunks, session: session, program: step.Program{RowWise: rowWise}}
		if _, _, err := x.into(t.Context(), t, conn, "dst"); drover.KindOf(err) != drover.Invalid {
			t.Errorf("got %v", err)
		}
		if _, _, err := x.into(t.Context(), t, conn, "same"); err != nil {
			t.Error(err)
		}
	}
}
