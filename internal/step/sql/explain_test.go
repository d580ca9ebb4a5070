package sqlstep

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/step"
)

func TestExplainNamesStepColumnAndSample(t *testing.T) {
	s := session(t)
	p := func(k, v string) drover.Pair { return drover.Pair{Key: k, Value: v} }
	schema := table(t, s, "t", `SELECT range AS id, CASE range WHEN 3000 THEN 'n/a' WHEN 5 THEN NULL ELSE range::VARCHAR END AS revenue,
range % 4 AS employees, (range % 100)::TINYINT AS small, 'x' || range AS name FROM range(5000)`)
	relation := "(SELECT *, 0::BIGINT AS " + step.Tag + " FROM t)"
	for name, tc := range map[string]struct {
		steps                      []drover.Step
		want, field, column, value string
	}{
		"set":                     {[]drover.Step{filter("id > 1"), set(p("name", "upper(name)"), p("revenue", "revenue::DOUBLE"))}, "step 2 (set): Conversion Error: Could not convert string 'n/a' to DOUBLE", "steps[1].set.revenue", "revenue", "n/a"},
		"set of another column":   {[]drover.Step{set(p("per", "revenue::DOUBLE / nullif(employees, 0)"))}, "step 1 (set): Conversion Error: Could not convert string 'n/a' to DOUBLE", "steps[0].set.per", "revenue", "n/a"},
		"cast":                    {[]drover.Step{cast(p("small", "INT"), p("revenue", "INT"))}, "step 1 (cast): Conversion Error: Could not convert string 'n/a' to INT32", "steps[0].cast.revenue", "revenue", "n/a"},
		"filter":                  {[]drover.Step{filter("revenue::INT > 5")}, "step 1 (filter): Conversion Error", "steps[0].filter", "revenue", "n/a"},
		"arithmetic":              {[]drover.Step{set(p("big", "small + 100::TINYINT"))}, "step 1 (set): Out of Range Error: Overflow in addition of INT8", "steps[0].set.big", "small", ""},
		"after a rename":          {[]drover.Step{rename(p("revenue", "r")), set(p("x", "r::INT"))}, "step 2 (set): Conversion Error", "steps[1].set.x", "r", "n/a"},
		"row-wise sql":            {[]drover.Step{sql("SELECT id, revenue::INT AS r FROM chunk")}, "step 1 (sql): Conversion Error", "steps[0].sql", "", ""},
		"opaque sql":              {[]drover.Step{filter("id > 0"), sql("SELECT sum(revenue::INT) AS r FROM chunk")}, "step 2 (sql): Conversion Error", "steps[1].sql", "", ""},
		"after an opaque step":    {[]drover.Step{sql("SELECT max(revenue) AS r FROM chunk"), cast(p("r", "INT"))}, "step 2 (cast): Conversion Error", "steps[1].cast.r", "r", "n/a"},
		"nothing":                 {[]drover.Step{filter("revenue <> 'n/a'"), set(p("x", "revenue::INT"))}, "", "", "", ""},
		"no steps, no fault here": {nil, "", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Explain(t.Context(), s, tc.steps, 0, schema, relation)
			if err != nil {
				t.Fatal(err)
			}
			if tc.want == "" {
				if e != nil {
					t.Fatalf("blamed %v", e)
				}
				return
			}
			if e == nil {
				t.Fatal("no answer")
			}
			if !strings.HasPrefix(e.Message, tc.want) || e.Kind != drover.Data || e.Field != tc.field || e.Column != tc.column || tc.value != "" && e.Sample != tc.value {
				t.Fatalf("got %#v", e)
			}
		})
	}
}

func TestExplainDoesNotBlameAStepForTheSource(t *testing.T) {
	s := session(t)
	relation := "(SELECT CASE WHEN range > 5 THEN 'n/a' ELSE '1' END::INTEGER AS a, 0::BIGINT AS " + step.Tag + " FROM range(10))"
	e, err := Explain(t.Context(), s, []drover.Step{filter("a > 0")}, 0, drover.Schema{{Name: "a", Type: "INTEGER"}}, relation)
	if e != nil || err != nil {
		t.Fatal(e, err)
	}
}

func TestExplainShortensTheSample(t *testing.T) {
	s := session(t)
	schema := table(t, s, "t", "SELECT repeat('é', 500) AS a")
	e, err := Explain(t.Context(), s, []drover.Step{cast(drover.Pair{Key: "a", Value: "INT"})}, 0, schema, "(SELECT *, 0::BIGINT AS "+step.Tag+" FROM t)")
	if err != nil || e == nil || len(e.Sample) > maxSample+3 || len(e.Message) > maxMessage+50 || !strings.HasPrefix(e.Sample, "éé") {
		t.Fatalf("%#v %v", e, err)
	}
}
