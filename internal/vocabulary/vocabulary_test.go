package vocabulary

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/droverdata/drover"
)

type spec struct {
	Path   drover.Strings `json:"path" jsonschema:"required"`
	Mode   string         `json:"mode,omitempty" jsonschema:"enum=append,enum=overwrite"`
	Rows   int64          `json:"rows,omitempty" jsonschema:"minimum=2"`
	Depth  int            `json:"depth,omitempty"`
	Memory int64          `json:"memory,omitempty" unit:"bytes"`
	Key    []string       `json:"key,omitempty"`
	hidden string
	NoKey  string
	Never  string `json:"-"`
}

func TestFields(t *testing.T) {
	fields := Fields(reflect.TypeFor[spec]())
	if diff := cmp.Diff([]string{"path", "mode", "rows", "depth", "memory", "key"}, Keys(fields)); diff != "" {
		t.Error(diff)
	}
	if !fields[0].Required || fields[1].Required || fields[2].Minimum == nil || *fields[2].Minimum != 2 || fields[3].Minimum != nil || !fields[4].Bytes {
		t.Errorf("%+v", fields)
	}
	if diff := cmp.Diff([]string{"append", "overwrite"}, fields[1].Enum); diff != "" {
		t.Error(diff)
	}
}

func TestCheck(t *testing.T) {
	ok := spec{Path: drover.Strings{"a"}, Mode: "append", Rows: 2, Key: []string{"a", "b"}, hidden: "x"}
	if err := Check(&ok); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change      func(*spec)
		field, part string
	}{
		{func(s *spec) { s.Path = nil }, "path", "missing"},
		{func(s *spec) { s.Path = drover.Strings{} }, "path", "missing"},
		{func(s *spec) { s.Path = drover.Strings{"a", " "} }, "path[1]", "empty entry"},
		{func(s *spec) { s.Mode = "appendd" }, "mode", `unknown mode "appendd"`},
		{func(s *spec) { s.Rows = 1 }, "rows", "at least 2"},
		{func(s *spec) { s.Depth = -1 }, "depth", "at least 0"},
		{func(s *spec) { s.Key = []string{"a", "A"} }, "key[1]", "twice"},
	} {
		s := ok
		c.change(&s)
		var e *drover.Error
		if err := Check(&s); !errors.As(err, &e) || e.Kind != drover.Invalid || e.Field != c.field || !strings.Contains(e.Message, c.part) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"select", "set", "sql", "filter", "partition_by", "a"}
	for word, want := range map[string]string{
		"partition_bye": "partition_by", "partitionby": "partition_by", "fliter": "filter", "FILTER": "filter", "selct": "select",
		"st": "set", "sett": "set", "frobnicate": "", "": "", "b": "", "zzz": "", strings.Repeat("x", 1000): "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
	if got := DidYouMean("xxxx", []string{"a", "b"}); got != "known here: a, b" {
		t.Error(got)
	}
}

// The distance is symmetric, zero for equal words alone, and one for one edit.
func TestDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("abcé")), 1, 8, -1)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if distance(a, b) != distance(b, a) || (distance(a, b) == 0) != (a == b) {
			t.Fatal("not a distance")
		}
		runes := []rune(a)
		i := rapid.IntRange(0, len(runes)-1).Draw(t, "i")
		if got := distance(a, string(runes[:i])+string(runes[i+1:])); got != 1 {
			t.Fatalf("a deletion costs %d", got)
		}
		if i > 0 && runes[i-1] != runes[i] {
			swapped := append([]rune{}, runes...)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			if got := distance(a, string(swapped)); got != 1 {
				t.Fatalf("a swap costs %d", got)
			}
		}
	})
}
