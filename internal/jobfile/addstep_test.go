package jobfile

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/all"
)

func TestAddStepKeepsTheFileAsItIs(t *testing.T) {
	const head, sink = "# mine\nname: j   # a job\nsource: {files: {path: in}}\n", "sink: {files: {path: out}}\n"
	step := drover.Step{Cast: []drover.Pair{{Key: "id", Value: "INTEGER"}}}
	text := func(indent string) string { return indent + "- cast: {id: INTEGER}" }
	for name, c := range map[string]struct{ file, want string }{
		"no steps": {head + sink, head + "steps:\n  - cast: {id: INTEGER}\n" + sink},
		"steps, then the sink": {
			head + "steps:\n  # first\n  - drop: [a]  # gone\n\n" + sink,
			head + "steps:\n  # first\n  - drop: [a]  # gone\n  - cast: {id: INTEGER}\n\n" + sink,
		},
		"steps without indentation, last": {
			head + sink + "steps:\n- filter: a > 1\n- sql: |\n    SELECT *\n    FROM chunk\n",
			head + sink + "steps:\n- filter: a > 1\n- sql: |\n    SELECT *\n    FROM chunk\n- cast: {id: INTEGER}\n",
		},
		"no newline at the end": {head + sink + "steps:\n- drop: [a]", head + sink + "steps:\n- drop: [a]\n- cast: {id: INTEGER}\n"},
		"CRLF": {
			strings.ReplaceAll(head+"steps:\n    - drop: [a]\n"+sink, "\n", "\r\n"),
			strings.ReplaceAll(head+"steps:\n    - drop: [a]\n    - cast: {id: INTEGER}\n"+sink, "\n", "\r\n"),
		},
		"steps in a flow":    {head + "steps: [{drop: [a]}]\n" + sink, ""},
		"steps over a flow":  {head + "steps:\n  [{drop: [a]}]\n" + sink, ""},
		"the document flows": {"{name: j, source: {files: {path: in}}, sink: {files: {path: out}}}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := AddStep("job.yaml", []byte(c.file), Options{Connectors: all.All()}, step, text)
			if c.want == "" {
				if drover.KindOf(err) != drover.Refused {
					t.Fatalf("got %q, %v", got, err)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v\nwant %q", got, err, c.want)
			}
		})
	}
}
