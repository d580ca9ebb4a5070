package sqlstep

import (
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/step"
)

// What is found need not be all, but it must be the rows on which conversions fail, whichever step has them.
func TestSuspectsAreTheRowsThatAConversionFailsOn(t *testing.T) {
	s := session(t)
	p := func(k, v string) drover.Pair { return drover.Pair{Key: k, Value: v} }
	schema := table(t, s, "t", `SELECT range AS id, CASE range WHEN 30 THEN 'n/a' WHEN 5 THEN NULL WHEN 7 THEN '' ELSE range::VARCHAR END AS v,
CASE range WHEN 40 THEN 'x' WHEN 30 THEN 'y' ELSE '2020-01-01' END AS day, [range::VARCHAR] AS list FROM range(50)`)
	for name, tc := range map[string]struct {
		steps []drover.Step
		want  string
	}{
		"cast":                   {[]drover.Step{cast(p("v", "BIGINT"))}, "7 30"},
		"two casts":              {[]drover.Step{cast(p("v", "DECIMAL(10,2)"), p("day", "DATE"))}, "7 30 40"},
		"a cast after a cast":    {[]drover.Step{cast(p("day", "DATE")), cast(p("v", "TINYINT")), filter("id > 20")}, "7 30 40"},
		"set":                    {[]drover.Step{set(p("x", "v::INT / nullif(id, 0)"), p("id", "'a' || id"))}, "7 30"},
		"within a call":          {[]drover.Step{set(p("x", "greatest(year(day::DATE), 5)"))}, "30 40"},
		"of an expression":       {[]drover.Step{set(p("x", "CAST(trim(v) || '0' AS INT)"))}, "30"},
		"strptime":               {[]drover.Step{set(p("x", "strptime(day, '%Y-%m-%d')::DATE"))}, "30 40"},
		"filter":                 {[]drover.Step{filter("v::INT > 5")}, "7 30"},
		"behind a filter":        {[]drover.Step{filter("id <> 30"), cast(p("v", "INT"))}, "7"},
		"row-wise sql":           {[]drover.Step{sql("SELECT * REPLACE (v::INT AS v) FROM chunk")}, "7 30"},
		"after a rename":         {[]drover.Step{rename(p("v", "w")), cast(p("w", "INT"))}, "7 30"},
		"no conversion":          {[]drover.Step{set(p("x", "upper(v)"))}, ""},
		"TRY_CAST gives NULL":    {[]drover.Step{set(p("x", "TRY_CAST(v AS INT)"))}, ""},
		"a constant":             {[]drover.Step{set(p("x", "DATE '2020-01-01'"))}, ""},
		"a parameter's":          {[]drover.Step{set(p("x", "list_transform(list, lambda y: y::INT)"))}, ""},
		"guarded, but suspected": {[]drover.Step{set(p("x", "CASE WHEN v <> '' AND v <> 'n/a' THEN v::INT END"))}, "7 30"},
	} {
		t.Run(name, func(t *testing.T) {
			programs, err := Suspects(t.Context(), s, tc.steps, 0, schema)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, program := range programs {
				rows, err := s.Texts(t.Context(), "SELECT x FROM ("+program.Over("(SELECT *, id AS "+step.Tag+" FROM t)")+") AS y(x)")
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rows {
					seen[*r[0]] = true
				}
			}
			var got []string
			for n := range seen {
				got = append(got, strings.Repeat("0", 2-len(n))+n)
			}
			slices.Sort(got)
			if text := strings.ReplaceAll(" "+strings.Join(got, " "), " 0", " "); strings.TrimSpace(text) != tc.want {
				t.Errorf("got %s, want %s", text, tc.want)
			}
		})
	}
}
