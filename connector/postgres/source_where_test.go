package postgres

import (
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// What Postgres reads otherwise than DuckDB, or not at all, stays with the program.
func TestLiteralsThatAreNotReadAlikeAreNotPushedDown(t *testing.T) {
	form := func(w wire, oid uint32) *pgType {
		p := &pgType{wire: w, oid: oid}
		p.base = p
		return p
	}
	r := &relation{utf8: true, columns: []column{
		{name: "d", typ: form(wireDate, 0)},
		{name: "ts", typ: form(wireTimestamp, 0)},
		{name: "tz", typ: form(wireTimestamptz, 0)},
		{name: "i", typ: form(wireInt4, 0)},
		{name: "u", typ: form(wireUUID, 0)},
		{name: "f", typ: form(wireFloat8, 0)},
		{name: "m", typ: form(wireNumeric, 0)},
		{name: "free", typ: form(wireNumeric, 0)},
		{name: "t", typ: form(wireText, oidText), bytewise: true},
		{name: "c", typ: form(wireText, oidText), bytewise: true, ordered: true},
		{name: "n", typ: form(wireText, oidText)},
		{name: "x", typ: form(wireText, 9999), bytewise: true},
	}}
	r.columns[6].typ.typmod, r.columns[7].typ.typmod = 12<<16+2+4, -1
	for _, c := range []struct {
		column, op, typ, text string
		want                  bool
	}{
		{"d", "=", "DATE", "2024-02-29", true},
		{"d", "=", "DATE", "2024-02-30", false},
		{"d", "=", "DATE", "infinity", false},
		{"d", "=", "DATE", "0000-01-01", false},
		{"d", "=", "TIMESTAMP", "2024-02-29", false},
		{"ts", "<", "TIMESTAMP", "2024-02-29T12:00:00.5", true},
		{"ts", "<", "TIMESTAMP", "2024-02-29 24:00:00", false},
		{"ts", "<", "TIMESTAMP", "2024-02-29 12:00:00+01", false},
		{"tz", "<", "TIMESTAMP WITH TIME ZONE", "2024-03-31 02:30:00", false},
		{"tz", "<", "TIMESTAMP WITH TIME ZONE", "2024-03-31 02:30:00+01", true},
		{"tz", "<", "TIMESTAMP WITH TIME ZONE", "2024-03-31 02:30:00+99", false},
		{"i", "<", "BIGINT", "9223372036854775807", true},
		{"i", "<", "BIGINT", "9223372036854775808", false},
		{"u", "=", "UUID", "00000000-0000-0000-0000-00000000000F", true},
		{"u", "<", "UUID", "00000000-0000-0000-0000-00000000000F", false},
		{"u", "=", "UUID", "0", false},
		{"f", "<", "DOUBLE", "-0.5", true},
		{"f", "<", "DOUBLE", "NaN", false},
		{"f", "<", "BIGINT", "0", false},
		{"m", "=", "DECIMAL", "1.50", true},
		{"m", "=", "DOUBLE", "1.50", false},
		{"free", "=", "DECIMAL", "1.50", false},
		{"t", "=", "VARCHAR", "it's", true},
		{"t", "=", "VARCHAR", "a\x00b", false},
		{"t", "<", "VARCHAR", "a", false}, // exactness.md 31
		{"c", "<", "VARCHAR", "a", true},
		{"n", "=", "VARCHAR", "a", false}, // a collation that calls different texts equal
		{"x", "=", "VARCHAR", "a", false}, // an extension's type, such as citext
	} {
		sql, ok := r.condition(step.Condition{Op: c.op, Column: c.column, Values: []step.Value{{Type: c.typ, Text: c.text}}})
		if ok != c.want {
			t.Errorf("%+v: %v %s", c, ok, sql)
		}
	}
}

// What a source says of its pushdown is what its statements do.
func TestPushdownTellsTheColumnsAndConditionsOfTheStatements(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (id int PRIMARY KEY, t text, c text COLLATE "C", f float8, unused text)`)
	s := openTestSource(t, Table(string(u), "src"))
	schema, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st, chunks := cutAll(t, s, drover.Chunking{})
	rel, err := s.Open(t.Context(), newSession(t), schema, st, chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rel.Close(); err != nil {
			t.Error(err)
		}
	}()
	text := func(column, op, value string) step.Condition {
		return step.Condition{Op: op, Column: column, Values: []step.Value{{Type: "VARCHAR", Text: value}}}
	}
	conditions := []step.Condition{
		{Op: ">", Column: "id", Values: []step.Value{{Type: "BIGINT", Text: "5"}}}, text("t", "=", "it's"), text("t", "=", "a\x00b"), text("c", "<", "b"),
	}
	got, err := rel.(connector.Pusher).Pushdown(t.Context(), step.Program{Where: conditions, Rest: []string{"(f > 1)"}}, []string{"id", "t", "f"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"id > 5", "t = 'it''s'", "c < 'b'"}; !slices.Equal(got.Filters, want) {
		t.Errorf("%q, want %q", got.Filters, want)
	}
	if want := []string{"t = 'a\x00b'", "(f > 1)"}; !slices.Equal(got.Left, want) || got.Of != 5 {
		t.Errorf("%q, want %q, of %d columns", got.Left, want, got.Of)
	}
	sql, err := rel.(*relation).statements([]int{0}, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`q."id" > '5'::int8`, `q."t" = 'it''s'::text`, `q."c" < 'b'::text`} {
		if !strings.Contains(sql.statements[0].sql, part) {
			t.Errorf("%s lacks %s", sql.statements[0].sql, part)
		}
	}
	dump(t, conn, strings.TrimSuffix(strings.TrimPrefix(sql.statements[0].sql, "COPY ("), ") TO STDOUT (FORMAT binary)"))
}

// exactness.md 31: a database whose own collation is C compares texts by their bytes, as the columns that name it do.
func TestRule31TheCollationOfTheDatabaseMayBeC(t *testing.T) {
	const table = `CREATE TABLE src (c text, o text COLLATE "C.utf8")`
	inC, conn := database(t, table)
	name := strings.TrimSpace(dump(t, conn, "SELECT current_database()"))
	execSQL(t, conn, "CREATE DATABASE "+quote(name+"_utf8")+" TEMPLATE template0 LOCALE 'C.utf8'")
	other := URL(strings.Replace(string(inC), "/"+name, "/"+name+"_utf8", 1))
	conn, err := connect(t.Context(), other, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	execSQL(t, conn, table)
	for u, want := range map[URL]bool{inC: true, other: false} {
		d, err := openTestSource(t, Table(string(u), "src")).describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := find(d.columns, "c").ordered; got != want || find(d.columns, "o").ordered {
			t.Errorf("ordered by bytes: %v, want %v", got, want)
		}
	}
}
