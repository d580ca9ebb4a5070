package cli

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestHelp compares the help texts with those in testdata; -update writes them.
func TestHelp(t *testing.T) {
	a := &app{}
	verbs := []string{""}
	for _, c := range a.root().Commands() {
		if c.IsAvailableCommand() && c.Name() != "completion" {
			verbs = append(verbs, c.Name())
			if c.Short == "" || c.Example == "" && c.Name() != "version" {
				t.Errorf("%s lacks a description or an example", c.Name())
			}
		}
	}
	d := newDir(t)
	for _, verb := range verbs {
		args := strings.Fields(verb + " --help")
		r := d.drover(t, args...)
		if r.code != 0 || r.stderr != "" {
			t.Errorf("drover %s: exit code %d, %s", strings.Join(args, " "), r.code, r.stderr)
		}
		name := verb
		if name == "" {
			name = "drover"
		}
		golden := filepath.Join("testdata", "help", name+".txt")
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, []byte(r.stdout), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), r.stdout); diff != "" {
			t.Errorf("drover %s:\n%s", strings.Join(args, " "), diff)
		}
	}
}

func TestTheVersionIsAFlagTooAndHelpTakesAVerb(t *testing.T) {
	d := newDir(t)
	want := d.drover(t, "version")
	for _, flag := range []string{"--version", "-v"} {
		if r := d.drover(t, flag); r.code != 0 || r.stdout != want.stdout || r.stderr != "" {
			t.Errorf("%s: %+v, want %+v", flag, r, want)
		}
	}
	if r, want := d.drover(t, "help", "run"), d.drover(t, "run", "--help"); r.code != 0 || r.stdout != want.stdout {
		t.Errorf("drover help run: %+v", r)
	}
}

func TestHelpIsNoWiderThanATerminalLikesIt(t *testing.T) {
	files, err := filepath.Glob("testdata/help/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 135 {
				t.Errorf("%s has a line of %d characters: %s", f, n, line)
			}
		}
	}
}
