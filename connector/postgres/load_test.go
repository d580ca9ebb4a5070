package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
	"github.com/jackc/pgx/v5"
)

func openTestSource(t testing.TB, spec *Source) *source {
	t.Helper()
	s, err := openSource(t.Context(), spec, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.(*source)
}

// cutAll begins and cuts a source.
func cutAll(t testing.TB, s *source, c drover.Chunking) (json.RawMessage, []connector.Chunk) {
	t.Helper()
	st, err := s.Begin(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	var chunks []connector.Chunk
	for ch, err := range s.Chunks(t.Context(), c, st) {
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, ch)
	}
	return st, chunks
}

// transfer is one task: a source's chunks, a program, a target table.
type transfer struct {
	source   *source
	state    json.RawMessage
	chunks   []connector.Chunk
	program  step.Program
	output   drover.Schema // nil: the source's columns, untouched
	session  *duck.Session
	progress func(rowsOut int64)
}

// into loads the transfer into a table and returns what load does.
func (x transfer) into(ctx context.Context, t testing.TB, conn *pgx.Conn, name string) ([]loaded, connector.Relation, error) {
	t.Helper()
	schema, err := x.source.Schema(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if x.output == nil {
		for _, c := range schema {
			c.From = c.Name
			x.output = append(x.output, c)
		}
	}
	if x.program.SQL == "" {
		x.program.SQL = "SELECT * FROM " + step.Input()
	}
	target, err := findTable(t.Context(), conn, name)
	if err != nil || target == nil {
		t.Fatal(target, err)
	}
	columns := make([]column, len(x.output))
	names := make([]string, len(x.output))
	for i, o := range x.output {
		c := find(target.columns, o.Name)
		if c == nil {
			t.Fatalf("the target has no column %s", o.Name)
		}
		columns[i], names[i] = *c, o.Name
	}
	rel, err := x.source.Open(ctx, x.session, schema, x.state, x.chunks)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err := rel.Close(); err != nil {
			t.Error(err)
		}
	}()
	if x.progress == nil {
		x.progress = func(int64) {}
	}
	in := connector.Input{
		Session: x.session, Relation: rel, Program: x.program, Source: schema, Output: x.output,
		Progress: func(_, rowsOut, _, _ int64) { x.progress(rowsOut) }, PeakMemory: func() int64 { return 0 },
	}
	got, err := load(ctx, conn.PgConn(), fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", name, quoteAll(names)), in, len(x.chunks), columns)
	return got, rel, err
}

// dump returns a table's rows as text, ordered.
func dump(t testing.TB, conn *pgx.Conn, sql string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[*string])
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range texts {
		if s == nil {
			b.WriteString("<null>\n")
		} else {
			b.WriteString(*s + "\n")
		}
	}
	return b.String()
}

func TestEveryTypePassesExactlyThroughBothRoutes(t *testing.T) {
	from, conn := database(t, typeSQL)
	_, to := database(t, "CREATE TYPE shift1 AS ENUM ('x'); CREATE TYPE shift2 AS (a int);"+typeSQL)
	var defs, decl []string
	longest := 0
	for i, c := range typeCases {
		decl = append(decl, fmt.Sprintf("c%d %s", i, c.typ))
		defs = append(defs, fmt.Sprintf("c%d", i))
		longest = max(longest, len(c.values))
	}
	create := "(id int PRIMARY KEY, " + strings.Join(decl, ", ") + ")"
	execSQL(t, conn, "CREATE TABLE src "+create)
	for row := range longest + 1 { // the last row is NULLs
		values := []string{fmt.Sprint(row)}
		for _, c := range typeCases {
			v := "NULL"
			if row < len(c.values) {
				v = c.values[row]
			}
			values = append(values, "("+v+")::"+c.typ)
		}
		execSQL(t, conn, "INSERT INTO src VALUES ("+strings.Join(values, ", ")+")")
	}
	session := newSession(t)
	s := openTestSource(t, Table(string(from), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{Rows: 3})
	schema, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for route, x := range map[string]transfer{
		"spliced": {program: step.Program{RowWise: true}},
		"decoded": {program: step.Program{RowWise: false}},
		"decoded, in batches": {program: step.Program{RowWise: true}, output: func() drover.Schema {
			var out drover.Schema
			for _, c := range schema {
				if c.Type == "" {
					c.From = c.Name
				}
				out = append(out, c)
			}
			return out
		}()},
	} {
		t.Run(route, func(t *testing.T) {
			x.source, x.session, x.state, x.chunks = s, session, st, chunks
			execSQL(t, to, "DROP TABLE IF EXISTS dst; CREATE TABLE dst "+create)
			got, rel, err := x.into(t.Context(), t, to, "dst")
			if err != nil {
				t.Fatal(err)
			}
			var rows int64
			for i, g := range got {
				rows += g.rows
				if c := rel.Count(i); c.Rows != g.rows || c.Bytes <= 0 {
					t.Errorf("chunk %d: %+v in, %+v out", i, c, g)
				}
			}
			if rows != int64(longest+1) {
				t.Errorf("%d rows of %d", rows, longest+1)
			}
			for i, c := range defs {
				sql := fmt.Sprintf("SELECT %s::text FROM %%s ORDER BY id", c)
				want, have := dump(t, conn, fmt.Sprintf(sql, "src")), dump(t, to, fmt.Sprintf(sql, "dst"))
				if want != have {
					t.Errorf("%s: got\n%swant\n%s", typeCases[i].typ, have, want)
				}
			}
		})
	}
}

func TestStepsComputeBesideUntouchedColumns(t *testing.T) {
	from, conn := database(t, `CREATE TABLE src (id bigint PRIMARY KEY, active boolean, name text, email text, amt numeric(12,2), tags text[], free numeric);
		INSERT INTO src SELECT g, g % 10 <> 0, 'Name '||g, CASE WHEN g % 50 <> 0 THEN 'User'||g||'@Example.COM' END, g / 100.0, ARRAY['a'||g, NULL], g * 1.50
		FROM generate_series(1, 50000) g;
		CREATE TABLE dst (email text, id bigint, total numeric(14,4), name text, tags text[], free numeric, n integer)`)
	session := newSession(t)
	s := openTestSource(t, Table(string(from), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{Rows: 700})
	if len(chunks) != 72 {
		t.Fatalf("%d chunks", len(chunks))
	}
	out := drover.Schema{
		{Name: "email", Type: "VARCHAR"},
		{Name: "id", Type: "BIGINT", From: "id"},
		{Name: "total", Type: "DECIMAL(14,4)"},
		{Name: "name", Type: "VARCHAR", From: "name"},
		{Name: "tags", Type: "VARCHAR[]", From: "tags"},
		{Name: "free", Type: "DECIMAL(38,10)", From: "free"},
		{Name: "n", Type: "BIGINT"},
	}
	sql := `SELECT lower(email) AS email, id, (amt * 1.19)::DECIMAL(14,4) AS total, name, tags, free, length(name) AS n, __drover_tag FROM (SELECT * FROM ` + step.Input() + `) WHERE active`
	want := dump(t, conn, `SELECT (lower(email), id, round(amt * 1.19, 4)::numeric(14,4), name, tags, free, length(name))::text FROM src WHERE active ORDER BY id`)
	for _, rowWise := range []bool{true, false} {
		execSQL(t, conn, "TRUNCATE dst")
		got, rel, err := transfer{source: s, state: st, chunks: chunks, session: session, output: out, program: step.Program{SQL: sql, RowWise: rowWise}}.into(t.Context(), t, conn, "dst")
		if err != nil {
			t.Fatal(err)
		}
		have := dump(t, conn, "SELECT d::text FROM dst d ORDER BY id")
		if !rowWise { // once read, a numeric without a scale keeps no zeros behind its last digit
			have = dump(t, conn, "SELECT (email, id, total, name, tags, trim_scale(free), n)::text FROM dst ORDER BY id")
			want = dump(t, conn, `SELECT (lower(email), id, round(amt * 1.19, 4)::numeric(14,4), name, tags, trim_scale(free), length(name))::text FROM src WHERE active ORDER BY id`)
		}
		if have != want {
			t.Fatalf("row-wise %v: rows differ", rowWise)
		}
		for i := range chunks {
			if in := rel.Count(i).Rows; i < 71 && (in != 700 || got[i].rows != 630 || got[i].bytes == 0) {
				t.Fatalf("chunk %d: %d in, %+v", i, in, got[i])
			}
		}
	}
}

func TestChunkedProgramSeesOneChunkAtATime(t *testing.T) {
	from, conn := database(t, `CREATE TABLE src (id bigint PRIMARY KEY, v int); INSERT INTO src SELECT g, g FROM generate_series(1, 1000) g;
		CREATE TABLE dst (n bigint, total numeric)`)
	s := openTestSource(t, Table(string(from), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{Rows: 100})
	out := drover.Schema{{Name: "n", Type: "BIGINT"}, {Name: "total", Type: "HUGEINT"}}
	sql := "SELECT count(*) AS n, sum(v) AS total, any_value(__drover_tag) AS __drover_tag FROM " + step.Input()
	_, _, err := transfer{source: s, state: st, chunks: chunks, session: newSession(t), output: out, program: step.Program{SQL: sql}}.into(t.Context(), t, conn, "dst")
	if err != nil {
		t.Fatal(err)
	}
	if got := dump(t, conn, "SELECT concat(count(*), ' ', min(n), ' ', max(n), ' ', sum(total)) FROM dst"); got != "10 100 100 500500\n" {
		t.Fatal(got)
	}
}

// settled waits for goroutines to end and returns their number.
func settled(limit int) int {
	n := 0
	for range 100 {
		if n = runtime.NumGoroutine(); n <= limit {
			return n
		}
		time.Sleep(20 * time.Millisecond)
	}
	return n
}

func TestValuesThatCannotBeCarriedNameColumnAndValue(t *testing.T) {
	from, conn := database(t, "")
	session := newSession(t)
	for name, c := range map[string]struct{ typ, value, target, expr, outType, code, sample string }{
		"NaN":                     {"numeric", "'NaN'", "numeric", "v + 0", "DECIMAL(38,10)", "", "NaN"},
		"infinity":                {"numeric(5,2)", "'NaN'", "numeric", "v + 0", "DECIMAL(6,2)", "", "NaN"},
		"too many decimals":       {"numeric", "0.00000000001", "numeric", "v", "DECIMAL(38,10)", "", "0.00000000001"},
		"too many digits":         {"numeric", "1e30", "numeric", "v", "DECIMAL(38,10)", "", "1000000000000000000000000000000"},
		"two dimensions":          {"int[]", "'{{1,2},{3,4}}'", "int[]", "list_concat(v, [1])", "INTEGER[]", "", ""},
		"lower bound":             {"int[]", "'[0:1]={1,2}'", "int[]", "list_concat(v, [1])", "INTEGER[]", "", ""},
		"timestamp beyond DuckDB": {"timestamp", "'294276-12-31'", "timestamp", "v + INTERVAL 1 DAY", "TIMESTAMP", "", ""},
		"zero byte":               {"int", "0", "text", "'a' || chr(v) || 'b'", "VARCHAR", "22021", ""},
		"out of range":            {"int", "70000", "smallint", "v::BIGINT", "BIGINT", "22003", ""},
	} {
		t.Run(name, func(t *testing.T) {
			execSQL(t, conn, fmt.Sprintf("DROP TABLE IF EXISTS src, dst; CREATE TABLE src (v %s); INSERT INTO src VALUES (%s); CREATE TABLE dst (w %s)", c.typ, c.value, c.target))
			s := openTestSource(t, Table(string(from), "src"))
			st, chunks := cutAll(t, s, drover.Chunking{})
			for _, rowWise := range []bool{true, false} {
				_, _, err := transfer{
					source: s, state: st, chunks: chunks, session: session, output: drover.Schema{{Name: "w", Type: c.outType}},
					program: step.Program{SQL: "SELECT " + c.expr + " AS w, __drover_tag FROM " + step.Input(), RowWise: rowWise},
				}.into(t.Context(), t, conn, "dst")
				var e *drover.Error
				if !errors.As(err, &e) || e.Kind != drover.Data || e.Column == "" || e.Code != c.code || e.Sample != c.sample {
					t.Errorf("row-wise %v: got %#v", rowWise, err)
				}
			}
		})
	}
}
