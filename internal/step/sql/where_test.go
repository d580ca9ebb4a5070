package sqlstep

import (
	"encoding/json"
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
		"f > 1.5":                                 `null`,
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
