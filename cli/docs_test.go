package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var (
	flagInText = regexp.MustCompile("--([a-z][a-z-]*)")
	// codeInText is what a page sets as code: a fenced block, or words between backticks.
	codeInText = regexp.MustCompile("(?s)```.*?```|`[^`]+`")
	// otherPrograms' command lines are in code too.
	otherPrograms = regexp.MustCompile(`(?m)^.*\b(go|pip|docker|git|golangci-lint|make)\b.*$`)
)

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every verb and every flag is in docs/commands.md: those of run in its table, the others beside their verb.
func TestEveryFlagIsInTheDocumentation(t *testing.T) {
	page := readDoc(t, filepath.Join("..", "docs", "commands.md"))
	_, ofRun, _ := strings.Cut(page, "\n## Flags of run\n")
	ofRun, _, found := strings.Cut(ofRun, "\n## ")
	if !found {
		t.Fatal("docs/commands.md has no section Flags of run")
	}
	rest := strings.Replace(page, ofRun, "", 1)
	for _, c := range verbs() {
		if !strings.Contains(page, "drover "+c.Name()) {
			t.Errorf("docs/commands.md does not have drover %s", c.Name())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			section := rest
			if c.Name() == "run" {
				section = ofRun
			}
			// A short form stands for a flag that has one: init's -o.
			if f.Name != "help" && !mentions(section, f.Name) && (f.Shorthand == "" || !strings.Contains(section, "-"+f.Shorthand+" ")) {
				t.Errorf("docs/commands.md does not have --%s of drover %s", f.Name, c.Name())
			}
		})
	}
}

func TestEveryFlagInTheDocumentationExists(t *testing.T) {
	known := []string{"help", "version"}
	for _, c := range verbs() {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	}
	pages, err := filepath.Glob(filepath.Join("..", "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, filepath.Join("..", "README.md")) {
		for _, code := range codeInText.FindAllString(readDoc(t, page), -1) {
			for _, m := range flagInText.FindAllStringSubmatch(otherPrograms.ReplaceAllString(code, ""), -1) {
				if !slices.Contains(known, m[1]) {
					t.Errorf("%s has --%s, which no verb of drover takes", page, m[1])
				}
			}
		}
	}
}

// verbs are the commands that a user sees.
func verbs() []*cobra.Command {
	return slices.DeleteFunc((&app{}).root().Commands(), func(c *cobra.Command) bool { return !c.IsAvailableCommand() })
}

func mentions(text, flag string) bool {
	return slices.ContainsFunc(flagInText.FindAllStringSubmatch(text, -1), func(m []string) bool { return m[1] == flag })
}
