package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	sqlstep "github.com/droverdata/drover/internal/step/sql"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// propertyType is a column type: values that a random table has, beside NULL, and literals that filters compare with.
type propertyType struct {
	typ              string
	values, literals []string
	set              string // a step that reads a column %s
}

var propertyTypes = []propertyType{
	{"smallint", []string{"-32768", "0", "7"}, []string{"0", "7", "-3", "40000", "7.5"}, "%s + 1::INTEGER"},
	{"integer", []string{"-2147483648", "0", "7", "2147483647"}, []string{"0", "7", "-3", "9223372036854775807", "9223372036854775808", "'7'", "NULL"}, "%s // 2"},
	{"bigint", []string{"-9223372036854775808", "0", "7", "9223372036854775807"}, []string{"0", "7", "-9223372036854775808", "7.0"}, "%s::VARCHAR"},
	{"boolean", []string{"true", "false"}, []string{"true", "false", "1"}, "NOT %s"},
	// No literal here fails as it is read: which of two conditions meets a row first is nobody's promise.
	{"date", []string{"'-infinity'", "'0044-03-15 BC'", "'2024-02-29'", "'infinity'"}, []string{"'2024-02-29'", "DATE '1999-12-31'", "'infinity'", "'2024-2-29'"}, "%s > DATE '2000-01-01'"},
	{"timestamp", []string{"'-infinity'", "'2024-02-29 12:00'", "'2024-02-29'", "'infinity'"}, []string{"'2024-02-29'", "TIMESTAMP '2024-02-29 12:00:00'", "'2024-02-29T12:00:00.5'", "DATE '2024-02-29'"}, "%s IS NULL"},
	{"timestamptz", []string{"'2024-03-31 01:30Z'", "'2024-03-31 02:30Z'", "'infinity'"}, []string{"'2024-03-31 02:30:00+01'", "'2024-03-31 02:30:00'", "TIMESTAMPTZ '2024-03-31 02:30:00Z'"}, "%s::VARCHAR"},
	{"uuid", []string{"'ffffffff-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000001'"}, []string{"'FFFFFFFF-0000-0000-0000-000000000001'", "UUID '00000000-0000-0000-0000-000000000001'"}, "%s::VARCHAR"},
	{"text", []string{"''", "'a'", "'A'", "'ä'", "'b '", "'it''s'", "'10'", "'9'"}, []string{"''", "'a'", "'ä'", "'b'", "'it''s'", "'9'"}, "upper(%s)"},
	{`text COLLATE "C"`, []string{"''", "'a'", "'A'", "'ä'", "'z'", "'𝄞'", "'ﬀ'"}, []string{"'a'", "'ä'", "'z'", "'ﬀ'"}, "length(%s)"},
	{"text COLLATE nocase", []string{"'a'", "'A'", "'b'"}, []string{"'a'", "'B'"}, "lower(%s)"},
	{"char(3)", []string{"'a'", "'a  '", "'abc'"}, []string{"'a'", "'a  '", "'abc'"}, "rtrim(%s)"},
	{
		"double precision",
		[]string{"'NaN'", "'-0'", "0.1", "'-Infinity'", "'Infinity'", "9007199254740993", "4.35", "5e-324"},
		[]string{"0", "-0", "0.1", "0.10", "-0.0", "4.35", "9007199254740993", "0.1000000000000000055511151231257827", "1e300", "'NaN'"},
		"%s * 2",
	},
	{"real", []string{"'NaN'", "0.1", "16777217"}, []string{"0.1", "16777217"}, "%s::DOUBLE"},
	{"numeric(12,2)", []string{"0.01", "-99.99", "7"}, []string{"7", "0.01", "0.011", "-99.990", "123456789012345678", "1e2"}, "%s * 2"},
	{"numeric", []string{"0.01", "-99.99", "7"}, []string{"7", "0.01", "-99.990"}, "%s * 2"},
}

const (
	isNullText = "%s IS NULL"
	bothText   = "(%s AND %s)"
)

// drawCondition writes a filter over columns c0, c1, ...
func drawCondition(r *rapid.T, columns []propertyType, depth int) string {
	i := rapid.IntRange(0, len(columns)-1).Draw(r, "column")
	name, c := fmt.Sprintf("c%d", i), columns[i]
	lit := func() string { return rapid.SampledFrom(c.literals).Draw(r, "literal") }
	compare := rapid.SampledFrom([]string{"=", "<>", "<", "<=", ">", ">="}).Draw(r, "comparison")
	shapes := []func() string{
		func() string { return name + " " + compare + " " + lit() },
		func() string { return lit() + " " + compare + " " + name },
		func() string { return name + " IN (" + lit() + ", " + lit() + ")" },
		func() string { return name + " NOT IN (" + lit() + ", " + lit() + ")" },
		func() string { return name + " BETWEEN " + lit() + " AND " + lit() },
		func() string { return fmt.Sprintf(isNullText, name) },
		func() string { return name + " IS NOT NULL" },
	}
	if c.typ == "boolean" {
		shapes = append(shapes, func() string { return name }, func() string { return "NOT " + name })
	}
	if depth > 0 {
		sub := func() string { return drawCondition(r, columns, depth-1) }
		shapes = append(shapes,
			func() string { return fmt.Sprintf(bothText, sub(), sub()) },
			func() string { return "(" + sub() + " OR " + sub() + ")" },
			func() string { return "NOT (" + sub() + ")" })
	}
	return rapid.SampledFrom(shapes).Draw(r, "shape")()
}

// drawPropertySteps filters, and computes, renames and drops columns, in any order.
func drawPropertySteps(r *rapid.T, columns []propertyType) []drover.Step {
	var steps []drover.Step
	for k := range rapid.IntRange(1, 4).Draw(r, "steps") {
		i := rapid.IntRange(0, len(columns)-1).Draw(r, "column")
		name := fmt.Sprintf("c%d", i)
		switch rapid.SampledFrom([]string{"filter", "filter", "set", "sql"}).Draw(r, "kind") {
		case "filter":
			steps = append(steps, drover.Step{Filter: drawCondition(r, columns, 2)})
		case "set":
			steps = append(steps, drover.Step{Set: []drover.Pair{{Key: fmt.Sprintf("n%d", k), Value: fmt.Sprintf(columns[i].set, name)}}})
		case "sql":
			steps = append(steps, drover.Step{SQL: "SELECT * FROM chunk WHERE " + drawCondition(r, columns, 1)})
		}
	}
	if rapid.Bool().Draw(r, "rename") {
		steps = append(steps, drover.Step{Rename: []drover.Pair{{Key: "c0", Value: "renamed"}}},
			drover.Step{Filter: strings.ReplaceAll(drawCondition(r, columns[:1], 1), "c0", "renamed")})
	}
	return steps
}

// general hides where a relation's rows come from, so that load takes the way that serves every source.
type general struct{ connector.Relation }

// TestThePathsAndThePushedDownFiltersAgree runs random steps over random tables twice: spliced, with the filters that Postgres understands in
// the COPY, and by the general path without them. Both must leave the same rows, or both fail.
func TestThePathsAndThePushedDownFiltersAgree(t *testing.T) {
	u, conn := database(t, "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
	session := newSession(t)
	pushed, rows := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		columns := make([]propertyType, rapid.IntRange(1, 4).Draw(r, "columns"))
		var decls, names []string
		for i := range columns {
			columns[i] = rapid.SampledFrom(propertyTypes).Draw(r, "type")
			decls = append(decls, fmt.Sprintf("c%d %s", i, columns[i].typ))
			names = append(names, fmt.Sprintf("c%d", i))
		}
		var tuples []string
		for range rapid.IntRange(1, 25).Draw(r, "rows") {
			var values []string
			for _, c := range columns {
				values = append(values, rapid.SampledFrom(append([]string{"NULL"}, c.values...)).Draw(r, "value"))
			}
			tuples = append(tuples, "("+strings.Join(values, ", ")+")")
		}
		execSQL(t, conn, fmt.Sprintf("DROP TABLE IF EXISTS src; CREATE TABLE src (%s); INSERT INTO src VALUES %s; CREATE INDEX ON src (c0)",
			strings.Join(decls, ", "), strings.Join(tuples, ", ")))
		s, err := openSource(t.Context(), Table(string(u), "src"), testEnv())
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close() //nolint:errcheck // reads only
		schema, err := s.Schema(t.Context())
		if err != nil {
			r.Fatal(err)
		}
		steps := drawPropertySteps(r, columns)
		compiled, err := sqlstep.Compile(t.Context(), session, steps, 0, schema)
		if err != nil {
			return // a literal that does not fit the column is refused before anything runs
		}
		st, chunks := cutAll(t, s.(*source), drover.Chunking{By: names[0]})
		run := func(spliced bool) (string, error) {
			rel, err := s.Open(t.Context(), session, schema, st, chunks)
			if err != nil {
				r.Fatal(err)
			}
			defer rel.Close() //nolint:errcheck // reads only
			in := connector.Input{
				Session: session, Relation: rel, Program: compiled.Program, Source: schema, Output: compiled.Output,
				Progress: func(_, _, _, _ int64) {}, PeakMemory: func() int64 { return 0 },
			}
			if spliced {
				rel.(connector.Narrower).Narrow(compiled.Program.Where)
				pushed += len(rel.(*relation).where)
			} else {
				in.Relation = general{rel}
			}
			return loadAndDump(t, r, conn, in, len(chunks))
		}
		fast, fastErr := run(true)
		slow, slowErr := run(false)
		if (fastErr == nil) != (slowErr == nil) || fast != slow {
			r.Fatalf("%+v\nover %v\nspliced (%v)\n%s\ngeneral (%v)\n%s\n%+v", steps, tuples, fastErr, fast, slowErr, slow, compiled.Program.Where)
		}
		rows += strings.Count(slow, "\n")
	})
	t.Logf("%d conditions pushed down, %d rows kept", pushed, rows)
	if pushed == 0 || rows == 0 {
		t.Errorf("%d conditions pushed down, %d rows kept: the test has no teeth", pushed, rows)
	}
}

// loadAndDump loads an input into a table made for it and returns the rows.
func loadAndDump(t *testing.T, r *rapid.T, conn *pgx.Conn, in connector.Input, chunks int) (string, error) {
	var decls, names []string
	for _, o := range in.Output {
		typ, _, err := wireType(o)
		if err != nil {
			r.Fatal(err)
		}
		decls, names = append(decls, quote(o.Name)+" "+typ), append(names, o.Name)
	}
	execSQL(t, conn, "DROP TABLE IF EXISTS dst; CREATE TABLE dst ("+strings.Join(decls, ", ")+")")
	target, err := findTable(t.Context(), conn, "dst")
	if err != nil {
		r.Fatal(err)
	}
	into, err := pgx.Connect(t.Context(), conn.Config().ConnString())
	if err != nil {
		r.Fatal(err)
	}
	defer closeConn(into)
	if _, err = load(t.Context(), into.PgConn(), "COPY dst ("+quoteAll(names)+") FROM STDIN (FORMAT binary)", in, chunks, target.columns); err != nil {
		return "", err
	}
	return dump(t, conn, "SELECT dst::text FROM dst ORDER BY dst::text COLLATE \"C\""), nil
}
