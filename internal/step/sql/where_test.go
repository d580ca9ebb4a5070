package sqlstep

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

// What a source is told of a job's filters, and what it is not.
func TestFiltersAreSplitIntoConditionsOnSourceColumns(t *testing.T) {
	s := session(t)
	schema := drover.Schema{
		{Name: "i", Type: "INTEGER"},
		{Name: "b", Type: "BOOLEAN"},
		{Name: "d", Type: "DATE"},
		{Name: "z", Type: "TIMESTAMP WITH TIME ZONE"},
		{Name: "t", Type: "VARCHAR"},
		{Name: "f", Type: "DOUBLE"},
		{Name: "r", Type: "FLOAT"},
		{Name: "n", Type: "DECIMAL(12,2)"},
		{Name: "raw"},
	}
	for filterText, want := range map[string]string{
		"i > 5":                                   `[{"op":">","column":"i","values":[{"type":"BIGINT","text":"5"}]}]`,
		"5 > I AND b":                             `[{"op":"<","column":"i","values":[{"type":"BIGINT","text":"5"}]},{"op":"true","column":"b"}]`,
		"i = -5 AND length(t) > 3":                `[{"op":"=","column":"i","values":[{"type":"BIGINT","text":"-5"}]}]`,
		"i = 1 OR length(t) > 3":                  `null`,
		"NOT (b AND f IS NULL)":                   `[{"op":"not","of":[{"op":"and","of":[{"op":"true","column":"b"},{"op":"is null","column":"f"}]}]}]`,
		"d >= '2024-01-01'":                       `[{"op":"\u003e=","column":"d","values":[{"type":"DATE","text":"2024-01-01"}]}]`,
		"d >= DATE '2024-01-01'":                  `[{"op":"\u003e=","column":"d","values":[{"type":"DATE","text":"2024-01-01"}]}]`,
		"z < '2024-01-01 00:00:00Z'::TIMESTAMPTZ": `[{"op":"\u003c","column":"z","values":[{"type":"TIMESTAMP WITH TIME ZONE","text":"2024-01-01 00:00:00Z"}]}]`,
		"d >= TIMESTAMP '2024-01-01'":             `null`,
		"t IN ('a', 'b')":                         `[{"op":"in","column":"t","values":[{"type":"VARCHAR","text":"a"},{"type":"VARCHAR","text":"b"}]}]`,
		"t NOT IN ('a', NULL)":                    `null`,
		"t COLLATE NOCASE = 'a'":                  `null`,
		"i BETWEEN 1 AND 2":                       `[{"op":"and","of":[{"op":"\u003e=","column":"i","values":[{"type":"BIGINT","text":"1"}]},{"op":"\u003c=","column":"i","values":[{"type":"BIGINT","text":"2"}]}]}]`,
		"b <> true":                               `[{"op":"\u003c\u003e","column":"b","values":[{"type":"BOOLEAN","text":"true"}]}]`,
		"f > 1.5":                                 `[{"op":"\u003e","column":"f","values":[{"type":"DOUBLE","text":"1.5"}]}]`,
		"f IN (-0.05, 2, - 3)":                    `[{"op":"in","column":"f","values":[{"type":"DOUBLE","text":"-0.05"},{"type":"DOUBLE","text":"2"},{"type":"DOUBLE","text":"-3"}]}]`,
		"f > 1e3":                                 `null`,
		"f > 0.1234567890123456":                  `null`,
		"f = 'NaN'":                               `null`,
		"n <= 1.50":                               `[{"op":"\u003c=","column":"n","values":[{"type":"DECIMAL","text":"1.50"}]}]`,
		"n < 1234567890123456789":                 `null`,
		"r > 1":                                   `null`,
		"i > 1.5":                                 `null`,
		"i = '5'":                                 `null`,
		"i IS DISTINCT FROM 5":                    `null`,
	} {
		c := mustCompile(t, s, schema, filter(filterText))
		var got, expected any
		data, err := json.Marshal(c.Program.Where)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(want), &expected); err != nil {
			t.Fatal(err)
		}
		g, _ := json.Marshal(got)
		e, _ := json.Marshal(expected)
		if string(g) != string(e) {
			t.Errorf("%s:\n%s, want\n%s", filterText, g, e)
		}
	}
}

// drover plan shows what of a filter the source is not told.
func TestTheRestOfAFilterIsWhatNoConditionSays(t *testing.T) {
	s := session(t)
	schema := drover.Schema{{Name: "i", Type: "INTEGER"}, {Name: "t", Type: "VARCHAR"}, {Name: "select", Type: "VARCHAR"}}
	for _, c := range []struct {
		steps []drover.Step
		want  []string
	}{
		{[]drover.Step{filter("i > 5 AND t IN ('a', 'it''s')")}, nil},
		{[]drover.Step{filter("i > 5 AND length(t) > 3 -- long")}, []string{"(length(t) > 3)"}},
		{[]drover.Step{filter(`upper("select") = 'A' OR i = 1`)}, []string{`((upper("select") = 'A') OR (i = 1))`}},
		{
			[]drover.Step{sql("SELECT * FROM chunk WHERE i % 2 = 0"), filter("CASE WHEN i = 1 THEN t = 'a' ELSE false END")},
			[]string{"((i % 2) = 0)", "CASE  WHEN ((i = 1)) THEN ((t = 'a')) ELSE CAST('f' AS BOOLEAN) END"},
		},
		{[]drover.Step{sql("SELECT count(*) AS i FROM chunk WHERE i > 5"), filter("i > 7")}, []string{"(i > 7)"}},
	} {
		if got := mustCompile(t, s, schema, c.steps...).Program.Rest; !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.steps, got, c.want)
		}
	}
}

func TestConditionsReadAsSQL(t *testing.T) {
	s := session(t)
	schema := drover.Schema{{Name: "i", Type: "INTEGER"}, {Name: "b", Type: "BOOLEAN"}, {Name: "t", Type: "VARCHAR"}}
	for text, want := range map[string]string{
		"5 > i":                            "i < 5",
		"i BETWEEN 1 AND 2":                "(i >= 1 AND i <= 2)",
		"NOT (b OR t IS NULL)":             "NOT ((b OR t IS NULL))",
		"t NOT IN ('it''s', '')":           "t NOT IN ('it''s', '')",
		"t IS NOT NULL AND (b OR b=false)": "t IS NOT NULL AND (b OR b = false)",
	} {
		var got []string
		for _, c := range mustCompile(t, s, schema, filter(text)).Program.Where {
			got = append(got, c.String())
		}
		if strings.Join(got, " AND ") != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestConditionsReachOnlyUntouchedColumnsInFrontOfOpaqueSteps(t *testing.T) {
	s := session(t)
	schema := drover.Schema{{Name: "i", Type: "INTEGER"}, {Name: "t", Type: "VARCHAR"}}
	for _, c := range []struct {
		steps []drover.Step
		want  int
	}{
		{[]drover.Step{rename(drover.Pair{Key: "i", Value: "t"}, drover.Pair{Key: "t", Value: "i"}), filter("t > 5")}, 1},
		{[]drover.Step{set(drover.Pair{Key: "i", Value: "i + 1"}), filter("i > 5")}, 0},
		{[]drover.Step{set(drover.Pair{Key: "n", Value: "i + 1"}), filter("i > 5 AND n > 1")}, 1},
		{[]drover.Step{sql("SELECT * FROM chunk WHERE i > 5"), filter("t = 'a'")}, 2},
		{[]drover.Step{filter("i > 5"), sql("SELECT count(*) AS i FROM chunk"), filter("i > 5")}, 1},
	} {
		got := mustCompile(t, s, schema, c.steps...).Program.Where
		if len(got) != c.want {
			t.Errorf("%+v: %+v", c.steps, got)
		}
		for _, cond := range got {
			if cond.Op == ">" && cond.Column != "i" {
				t.Errorf("%+v: %+v", c.steps, cond)
			}
		}
	}
}
