package jobfile

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/vocabulary"
)

var (
	tableRow  = regexp.MustCompile("(?m)^\\| (`[^|]*) \\|")
	firstWord = regexp.MustCompile("`([a-z_]+)")
)

// documented are the keys in the first column of a section's table.
func documented(t *testing.T, page, section string) []string {
	t.Helper()
	_, text, found := strings.Cut(page, "\n## "+section+"\n")
	if !found {
		t.Fatalf("the page has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	seen := map[string]bool{}
	var keys []string
	for _, row := range tableRow.FindAllStringSubmatch(text, -1) {
		for _, key := range firstWord.FindAllStringSubmatch(row[1], -1) {
			if !seen[key[1]] {
				keys = append(keys, key[1])
			}
			seen[key[1]] = true
		}
	}
	return keys
}

// The tables of docs/job-file.md have the keys that job files have, no more and no fewer.
func TestTheDocumentationHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../docs/job-file.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]reflect.Type{
		"Top level": reflect.TypeFor[Document](),
		"chunk":     reflect.TypeFor[drover.Chunking](),
		"steps":     reflect.TypeFor[drover.Step](),
		"limits":    reflect.TypeFor[drover.Limits](),
		"test":      reflect.TypeFor[testPart](),
		"expect":    reflect.TypeFor[drover.Expectation](),
	}
	rejects := documented(t, string(text), "rejects")
	if diff := cmp.Diff([]string{"files", "max"}, rejects[:2]); diff != "" {
		t.Errorf("rejects:\n%s", diff)
	}
	for name, c := range registry() {
		if v, ok := newSourceSpec(c); ok {
			sections["source."+name] = reflect.TypeOf(v).Elem()
		}
		if v, ok := newSinkSpec(c); ok {
			sections["sink."+name] = reflect.TypeOf(v).Elem()
		}
	}
	for section, typ := range sections {
		keys := vocabulary.Keys(vocabulary.Fields(typ))
		sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
		if diff := cmp.Diff(keys, documented(t, string(text), section), sorted); diff != "" {
			t.Errorf("%s (- is in the code, + in the documentation):\n%s", section, diff)
		}
	}
}
