package jobfile

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

// located is a job whose values are written in every way that YAML has. » marks in the cases below say what an error shows.
const located = `name: a
vars: {long: "a very long value indeed", s: y}
source:
  files:
    path:
      - in/
      - more/
steps:
  - filter: fare > 0 and
      tip > 1
  - filter: 'it''s = "x" and
      fare > 2'
  - filter: "a \"b\"\t\u00e9 \
      and fare > 3"
  - sql: |
      SELECT *

        FROM chunk
      WHERE fare > 4
  - sql: >-
      SELECT a,
      b FROM chunk

      WHERE fare > 5
  - set:
      total: ${s} + ${long} + fare
      a.b: x
      a: [y
        ]
`

func TestLocate(t *testing.T) {
	text := strings.Replace(located, "      a: [y\n        ]\n", "      名前: 数 + fare\n", 1) +
		"sink:\n  files:\n    path: out/\n    partition_by: [x, yy]\n"
	f := parse(t, text, options())
	for _, c := range []struct {
		field  string
		at     string // where in the interpolated value the offset points; "" for none
		line   string // a part of the line that is shown
		carets string // the text above the carets
	}{
		{"name", "", "name: a", "a"},
		{"steps[0].filter", "", "- filter: fare > 0 and", "fare > 0 and"},
		{"steps[0].filter", "fare", "- filter: fare > 0 and", "fare"},
		{"steps[0].filter", "tip", "      tip > 1", "tip"},
		{"steps[0].filter", "> 1", "      tip > 1", ">"},
		{"steps[1].filter", "", "- filter: 'it''s", `'it''s = "x" and`},
		{"steps[1].filter", `"x"`, "- filter: 'it''s", `"x"`},
		{"steps[1].filter", "fare", "      fare > 2'", "fare"},
		{"steps[2].filter", `"b"`, `- filter: "a \"b\"`, `\"b`},
		{"steps[2].filter", "and", "      and fare", "and"},
		{"steps[2].filter", "fare", "      and fare", "fare"},
		{"steps[3].sql", "", "      SELECT *", "SELECT *"},
		{"steps[3].sql", "SELECT", "      SELECT *", "SELECT"},
		{"steps[3].sql", "chunk", "        FROM chunk", "chunk"},
		{"steps[3].sql", "fare", "      WHERE fare > 4", "fare"},
		{"steps[4].sql", "a,", "      SELECT a,", "a"},
		{"steps[4].sql", "b FROM", "      b FROM chunk", "b"},
		{"steps[4].sql", "fare", "      WHERE fare > 5", "fare"},
		{"steps[5].set.total", "y", "total: ${s} + ${long}", "${s}"},
		{"steps[5].set.total", "long value", "total: ${s} + ${long}", "${long}"},
		{"steps[5].set.total", "fare", "total: ${s} + ${long}", "fare"},
		{"steps[5].set.a.b", "", "a.b: x", "x"},
		{"steps[5].set.名前", "fare", "名前: 数 + fare", "fare"},
		{"steps[5].set.total#key", "", "total: ${s} + ${long}", "total"},
		{"steps[5].set.名前#key", "", "名前: 数 + fare", "名前"},
		{"steps[5].set.nowhere#key", "", "  - set:", "set"},
		{"sink.files.partition_by[1]#key", "", "[x, yy]", "yy"},
		{"steps[5].set.nowhere", "", "  - set:", "set"},
		{"steps[5].set", "", "  - set:", "set"},
		{"steps[9].filter", "", "steps:", "steps"},
		{"steps[5]", "", "- set:", "s"},
		{"sink.files.partition_by[1]", "", "[x, yy]", "yy"},
		{"sink.files.mode", "", "  files:", "files"},
		{"source.files.path[1]", "", "- more/", "more/"},
		{"limits.memory", "", "", ""},
	} {
		t.Run(c.field+" "+c.at, func(t *testing.T) {
			e := drover.Errorf(drover.Invalid, "no").WithField(c.field)
			if c.at != "" {
				n, _, whole := lookup(f.root, c.field)
				if !whole {
					t.Fatal("no such field")
				}
				e.Offset = strings.Index(n.value, c.at) + 1
				if e.Offset == 0 {
					t.Fatalf("%q is not in %q", c.at, n.value)
				}
			}
			var got *Error
			if !errors.As(f.Locate(fmt.Errorf("bind: %w", e)), &got) {
				t.Fatal("not located")
			}
			if c.line == "" {
				if got.Line != 0 {
					t.Errorf("at line %d:\n%s", got.Line, got.Render())
				}
				return
			}
			line := []rune(strings.Split(text, "\n")[got.Line-1])
			start := got.Column - 1
			if !strings.Contains(string(line), c.line) || string(line[start:min(len(line), start+got.Width)]) != c.carets {
				t.Errorf("want %q in %q, got\n%s", c.carets, c.line, got.Render())
			}
		})
	}
}

func TestLocateLeavesOtherErrors(t *testing.T) {
	f := parse(t, taxi, options())
	for _, err := range []error{nil, io.EOF, drover.Errorf(drover.Refused, "no field")} {
		if got := f.Locate(err); !errors.Is(got, err) {
			t.Errorf("Locate(%v) = %v", err, got)
		}
	}
	once := f.Locate(drover.Errorf(drover.Invalid, "x").WithField("name"))
	if twice := f.Locate(once); !errors.Is(twice, once) {
		t.Errorf("located twice: %v", twice)
	}
	if drover.KindOf(once) != drover.Invalid {
		t.Errorf("kind %q", drover.KindOf(once))
	}
}

// Any offset of any scalar has a place within the file.
func TestLocateAnyOffset(t *testing.T) {
	f := parse(t, companies, options())
	var visit func(n *node)
	visit = func(n *node) {
		for i := range len(n.value) + 2 {
			if n.kind != scalar {
				break
			}
			at := f.source.offset(n, i)
			if at.line < 1 || at.line > len(f.source.lines) || at.column < 1 || at.column > len(f.source.lines[at.line-1])+1 {
				t.Errorf("offset %d of %q is at %+v", i, n.value, at)
			}
		}
		for _, item := range n.items {
			visit(item)
		}
		for _, e := range n.entries {
			visit(e.key)
			visit(e.value)
		}
	}
	visit(f.root)
}
