package sqlstep

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
	"pgregory.net/rapid"
)

// kinds are column types with the values that a random table draws from; NULL is always one more.
var kinds = map[string][]string{
	"BIGINT":        {"0", "1", "(-7)", "9007199254740993"},
	"DOUBLE":        {"0", "(-0.5)", "'NaN'", "'Infinity'", "1e300"},
	"VARCHAR":       {"''", "'a'", "'Ä'", "'n/a'", "'12'", "'it''s'"},
	"BOOLEAN":       {"true", "false"},
	"DATE":          {"'2020-02-29'", "'infinity'", "'0044-03-15 (BC)'"},
	"DECIMAL(12,2)": {"0.01", "(-99.99)"},
	"VARCHAR[]":     {"[]", "['x', NULL]"},
}

// expressions are row-wise expressions over a column %s of a type.
var expressions = map[string][]string{
	"BIGINT":        {"%s %% 3", "coalesce(%s, 5)", "%s::VARCHAR"},
	"DOUBLE":        {"%s / 2", "isnan(%s)", "%s"},
	"VARCHAR":       {"upper(%s)", "%s || '!'", "TRY_CAST(%s AS INT)", "nullif(%s, 'a')"},
	"BOOLEAN":       {"NOT %s", "CASE WHEN %s THEN 1 END"},
	"DATE":          {"%s > DATE '2000-01-01'", "%s"},
	"DECIMAL(12,2)": {"%s * 2", "round(%s, 1)"},
	"VARCHAR[]":     {"len(%s)", "list_transform(%s, lambda x: x || 'y')"},
}

// conditions are filters over a column %s of a type.
var conditions = map[string][]string{
	"BIGINT": {"%s > 0", "%s IN (0, 1)"}, "DOUBLE": {"%s < 1", "%s IS NOT NULL"}, "VARCHAR": {"%s <> 'n/a'", "TRY_CAST(%s AS INT) > 5", "length(%s) < 2"},
	"BOOLEAN": {"%s", "NOT %s"}, "DATE": {"%s = '2020-02-29'"}, "DECIMAL(12,2)": {"%s BETWEEN -100 AND 0"}, "VARCHAR[]": {"len(%s) = 0"},
}

// TestRowWiseProgramsDoNotDependOnBatches is design.md 3.1 for steps: random steps over random rows yield the same rows over the whole, over
// each chunk by itself and over any batching, tagged with the chunk that they came from; and they are those that the steps yield one
// by one, each written down before the next.
func TestRowWiseProgramsDoNotDependOnBatches(t *testing.T) {
	s := session(t)
	p := newProver(s, 0)
	compiled := func(r *rapid.T, schema drover.Schema, steps []drover.Step) Compiled {
		c, err := compile(t.Context(), p, steps, schema)
		if err != nil {
			r.Fatalf("%+v: %v", steps, err)
		}
		return c.finish()
	}
	rapid.Check(t, func(r *rapid.T) {
		schema, chunks := drawTable(t, r, s)
		steps := drawSteps(r, schema, compiled)
		c := compiled(r, schema, steps)
		if !c.Program.RowWise {
			r.Fatalf("%+v is opaque: %s", steps, c.Program.Why)
		}
		columns := list(c.Output.Names())
		query := func(relation string) string {
			return "SELECT " + columns + ", " + step.Tag + " FROM (" + c.Program.Over(relation) + ")"
		}
		whole := rows(t, s, query("(SELECT * EXCLUDE (batch) FROM input)"))

		var each []string
		for i := range chunks {
			each = append(each, rows(t, s, query(fmt.Sprintf("(SELECT * EXCLUDE (batch) FROM input WHERE %s = %d)", step.Tag, i)))...)
		}
		slices.Sort(each)
		if !slices.Equal(whole, each) {
			r.Fatalf("%+v\nwhole %q\nby chunk %q", steps, whole, each)
		}
		var batched []string
		for i := range 3 {
			batched = append(batched, rows(t, s, query(fmt.Sprintf("(SELECT * EXCLUDE (batch) FROM input WHERE batch = %d)", i)))...)
		}
		slices.Sort(batched)
		if !slices.Equal(whole, batched) {
			r.Fatalf("%+v\nwhole %q\nby batch %q", steps, whole, batched)
		}

		oneByOne(t, r, s, steps, schema, compiled)
		if want := rows(t, s, "SELECT "+columns+", "+step.Tag+" FROM now_"); !slices.Equal(whole, want) {
			r.Fatalf("%+v\nin one %q\none by one %q\n%s", steps, whole, want, c.Program.SQL)
		}
	})
}

// compileFunc compiles steps that must be right.
type compileFunc func(r *rapid.T, schema drover.Schema, steps []drover.Step) Compiled

func list(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = duck.Ident(n)
	}
	return strings.Join(out, ", ")
}

// drawTable makes the table input: random columns, step.Tag and batch.
func drawTable(t *testing.T, r *rapid.T, s *duck.Session) (schema drover.Schema, chunks int) {
	types := make([]string, 0, len(kinds))
	for typ := range kinds {
		types = append(types, typ)
	}
	slices.Sort(types)
	chunks = rapid.IntRange(1, 4).Draw(r, "chunks")
	n := rapid.IntRange(0, 30).Draw(r, "rows")
	for i := range rapid.IntRange(1, 5).Draw(r, "columns") {
		schema = append(schema, drover.Column{Name: fmt.Sprintf("c %d", i), Type: rapid.SampledFrom(types).Draw(r, "type")})
	}
	var decls []string
	for _, c := range schema {
		decls = append(decls, duck.Ident(c.Name)+" "+c.Type)
	}
	exec := func(sql string) {
		if err := s.Exec(t.Context(), sql); err != nil {
			r.Fatalf("%s: %v", sql, err)
		}
	}
	exec("CREATE OR REPLACE TABLE input (" + strings.Join(decls, ", ") + ", " + step.Tag + " BIGINT, batch INT)")
	var values []string
	for range n {
		var row []string
		for _, c := range schema {
			row = append(row, rapid.SampledFrom(append([]string{"NULL"}, kinds[c.Type]...)).Draw(r, "value")+"::"+c.Type)
		}
		row = append(row, fmt.Sprint(rapid.IntRange(0, chunks-1).Draw(r, "chunk")), fmt.Sprint(rapid.IntRange(0, 2).Draw(r, "batch")))
		values = append(values, "("+strings.Join(row, ", ")+")")
	}
	if n > 0 {
		exec("INSERT INTO input VALUES " + strings.Join(values, ", "))
	}
	return schema, chunks
}

// drawSteps draws steps that fit the schema, which it follows with Compile.
func drawSteps(r *rapid.T, schema drover.Schema, compiled compileFunc) []drover.Step {
	var steps []drover.Step
	for i := range rapid.IntRange(1, 6).Draw(r, "steps") {
		now := compiled(r, schema, steps).Output
		col := rapid.SampledFrom(now).Draw(r, "column")
		pick := func(from map[string][]string, otherwise string) string {
			texts := from[col.Type]
			if texts == nil {
				texts = []string{otherwise}
			}
			return fmt.Sprintf(strings.ReplaceAll(rapid.SampledFrom(texts).Draw(r, "expression"), "%s", "%[1]s"), duck.Ident(col.Name))
		}
		names := rapid.Permutation(now.Names()).Draw(r, "order")
		names = names[:rapid.IntRange(1, len(names)).Draw(r, "kept")]
		fresh := fmt.Sprintf("n%d", i)
		switch rapid.SampledFrom([]string{"select", "drop", "rename", "filter", "filter", "set", "set", "cast", "sql", "sql"}).Draw(r, "kind") {
		case "select":
			steps = append(steps, drover.Step{Select: names})
		case "drop":
			if len(names) < len(now) {
				steps = append(steps, drover.Step{Drop: names})
			}
		case "rename":
			steps = append(steps, rename(drover.Pair{Key: col.Name, Value: fresh}))
		case "filter":
			steps = append(steps, filter(pick(conditions, "%s IS NOT NULL")))
		case "set":
			target := rapid.SampledFrom([]string{col.Name, fresh, now[0].Name}).Draw(r, "target")
			steps = append(steps, set(drover.Pair{Key: target, Value: pick(expressions, "%s")}))
		case "cast":
			steps = append(steps, cast(drover.Pair{Key: col.Name, Value: "VARCHAR"}))
		case "sql":
			where := ""
			if rapid.Bool().Draw(r, "where") {
				where = " WHERE " + pick(conditions, "%s IS NULL")
			}
			query := rapid.SampledFrom([]string{
				"SELECT *, " + pick(expressions, "%s") + " AS " + fresh + " FROM chunk",
				"SELECT " + pick(expressions, "%s") + " AS " + fresh + ", k.* FROM chunk AS k",
				"SELECT " + list(names) + " FROM chunk",
			}).Draw(r, "query")
			steps = append(steps, sql(query+where))
		}
	}
	return steps
}

// oneByOne applies the steps to the table now_, each by the plainest SQL there is.
func oneByOne(t *testing.T, r *rapid.T, s *duck.Session, steps []drover.Step, schema drover.Schema, compiled compileFunc) {
	exec := func(sql string) {
		if err := s.Exec(t.Context(), sql); err != nil {
			r.Fatalf("%s: %v", sql, err)
		}
	}
	exec("CREATE OR REPLACE TABLE now_ AS SELECT * EXCLUDE (batch) FROM input")
	for i, st := range steps {
		now := compiled(r, schema, steps[:i]).Output
		query := ""
		switch st.Kind() {
		case "select":
			query = "SELECT " + list(st.Select) + ", " + step.Tag + " FROM now_"
		case "drop":
			query = "SELECT * EXCLUDE (" + list(st.Drop) + ") FROM now_"
		case "rename":
			query = "SELECT * RENAME (" + duck.Ident(st.Rename[0].Key) + " AS " + duck.Ident(st.Rename[0].Value) + ") FROM now_"
		case "filter":
			query = "SELECT * FROM now_ WHERE " + st.Filter
		case "set", "cast":
			p := append(slices.Clone(st.Set), st.Cast...)[0]
			e := p.Value
			if st.Cast != nil {
				e = "CAST(" + duck.Ident(p.Key) + " AS " + p.Value + ")"
			}
			query = "SELECT * REPLACE (" + e + " AS " + duck.Ident(p.Key) + ") FROM now_"
			if now.Index(p.Key) < 0 {
				query = "SELECT *, " + e + " AS " + duck.Ident(p.Key) + " FROM now_"
			}
		case "sql":
			query = strings.Replace(st.SQL, "FROM chunk", ", "+step.Tag+" FROM (SELECT * FROM now_) AS chunk", 1)
			query = strings.Replace(query, "chunk AS k", "k", 1)
			if strings.Contains(st.SQL, "*") {
				query = strings.Replace(query, ", "+step.Tag, "", 1)
			}
		}
		exec("CREATE OR REPLACE TABLE now_ AS " + query)
	}
}
