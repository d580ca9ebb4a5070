package sqlstep

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/step"
	"pgregory.net/rapid"
)

// TestNoTextSmugglesSQL puts random pieces of SQL where an expression or a type belongs. Whatever is accepted must keep to its
// place: one row in, one row out (none for a filter), the columns that were promised, the tag untouched.
func TestNoTextSmugglesSQL(t *testing.T) {
	s := session(t)
	p := newProver(s, 0)
	schema := table(t, s, "one", "SELECT 1 AS a, '1' AS b")
	pieces := []string{
		"a", "b", "1", "'x'", "(", ")", "),(", ",", ";", "--", "\n", "/*", "*/", "'", "\"", "$$", "E'\\'", " AS x", " FROM chunk", "SELECT ", " UNION ALL ", "*", "+",
		" = ", " OFFSET 0", " WHERE true", "INT", "INT) ", "CAST(", " IN (1)", " IS NULL", "::INT", "NULL", "::", step.Tag, " LIMIT 0", "[", "]", "{'k': ", "}", " OR ", "true",
	}
	accepted := 0
	rapid.Check(t, func(r *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 8).Draw(r, "text"), "")
		st := rapid.SampledFrom([]drover.Step{set(drover.Pair{Key: "x", Value: text}), filter(text), cast(drover.Pair{Key: "b", Value: text})}).Draw(r, "step")
		c, err := compile(t.Context(), p, []drover.Step{st}, schema)
		if err == nil {
			err = fold(t.Context(), p, []drover.Step{st}, schema, c.finish().Program)
		}
		if err != nil {
			if drover.KindOf(err) != drover.Invalid {
				r.Fatalf("%q: %v", text, err)
			}
			return
		}
		accepted++
		out := c.finish()
		query := out.Program.Over("(SELECT *, 7::BIGINT AS " + step.Tag + " FROM one)")
		cols, err := s.Describe(t.Context(), query)
		if err != nil {
			r.Fatalf("%q: %v in\n%s", text, err, query)
		}
		if got, want := strings.Join(cols.Names(), ","), strings.Join(append(out.Output.Names(), step.Tag), ","); got != want {
			r.Fatalf("%q yields %s, not %s", text, got, want)
		}
		rows, err := s.Texts(t.Context(), query)
		if err != nil {
			if drover.KindOf(err) != drover.Data {
				r.Fatalf("%q: %v in\n%s", text, err, query)
			}
			return
		}
		if len(rows) > 1 || len(rows) == 0 && st.Filter == "" || len(rows) == 1 && *rows[0][len(cols)-1] != "7" {
			r.Fatalf("%q yields %q", text, lines(rows))
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted, so nothing was tested")
	}
}
