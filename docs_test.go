package drover

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheArchitectureNamesEveryPackage(t *testing.T) {
	page := readFile(t, "docs/architecture.md")
	out, err := exec.Command("go", "list", "./connector/...", "./internal/...", "./cli", "./cmd/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(out)) {
		path = strings.TrimPrefix(strings.TrimSpace(path), "github.com/droverdata/drover/")
		// A package below another may go by its own name in the other's row.
		name := path[strings.LastIndex(path, "/")+1:]
		if !regexp.MustCompile("`([a-z/]*/)?" + name + "`").MatchString(page) {
			t.Errorf("docs/architecture.md does not name %s", path)
		}
	}
	for _, m := range regexp.MustCompile("`((?:internal|connector|engine|step)/[a-z/]+)`").FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			if _, err := os.Stat("internal/" + m[1]); err != nil {
				t.Errorf("docs/architecture.md names %s, which is not there", m[1])
			}
		}
	}
}

func TestEveryDependencyHasItsReason(t *testing.T) {
	page := readFile(t, "docs/dependencies.md")
	direct, _, _ := strings.Cut(readFile(t, "go.mod"), "// indirect")
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(direct, -1) {
		name := strings.TrimPrefix(strings.TrimPrefix(m[1], "github.com/"), "golang.org/")
		name = strings.TrimPrefix(name, "x/")
		if !strings.Contains(page, name) {
			t.Errorf("docs/dependencies.md does not say why %s is there", m[1])
		}
	}
}
