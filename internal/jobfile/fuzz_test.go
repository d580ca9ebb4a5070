package jobfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
)

// FuzzParse: whatever the file holds, Parse answers with a job or an *Error that points into the file and can be shown.
func FuzzParse(f *testing.F) {
	for _, text := range []string{taxi, companies, located} {
		f.Add([]byte(text))
	}
	for _, c := range refusals {
		if len(c.text) < 1<<12 {
			f.Add([]byte(c.text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		opts := options()
		opts.Set = map[string]string{"state": "CA"}
		file, err := Parse("job.yaml", data, opts)
		if err == nil {
			if err := file.Job.Validate(); err != nil {
				t.Fatalf("the job is not valid: %v", err)
			}
			for i := range file.Job.Frame.Steps {
				for offset := range 20 {
					e := drover.Errorf(drover.Invalid, "x").WithField(fmt.Sprintf("steps[%d].filter", i))
					e.Offset = offset
					check(t, file.Locate(e))
				}
			}
			return
		}
		check(t, err)
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T: %v", err, err)
	}
	if text := e.Render() + e.Error(); strings.Contains(text, "hunter2@raw") || strings.Contains(text, "hunter3@clean") {
		t.Fatalf("a password appears: %s", text)
	}
	if e.Line > 0 && (e.Column < 1 || len(e.Snippet) == 0) {
		t.Fatalf("%d:%d with snippet %q", e.Line, e.Column, e.Snippet)
	}
}

// A hostile file of the largest size is answered, and soon.
func TestHostileFilesAreAnswered(t *testing.T) {
	fill := func(s string) string {
		n := (maxFile - 4096) / len(s)
		if lines := strings.Count(s, "\n"); lines > 0 {
			n = min(n, (maxLines-100)/lines)
		}
		return strings.Repeat(s, n)
	}
	bomb := "name: a\nlimits: &a0 {workers: 1}\n"
	for i := 1; i < 60; i++ {
		bomb += fmt.Sprintf("k%d: &a%d {<<: [%s*a%d]}\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	laughs := "name: a\nvars:\n  v0: " + strings.Repeat("x", 1000) + "\n"
	for i := 1; i < 60; i++ {
		laughs += fmt.Sprintf("  v%d: %s\n", i, strings.Repeat(fmt.Sprintf("${v%d}", i-1), 10))
	}
	chain := "name: a\nvars:\n  v0: x\n"
	for i := 1; i < 9000; i++ {
		chain += fmt.Sprintf("  v%d: ${v%d}\n", i, i-1)
	}
	for name, text := range map[string]string{
		"open brackets":       "a: " + fill("["),
		"open braces":         "a: " + fill("{a: "),
		"dashes":              fill("- "),
		"question marks":      fill("? "),
		"anchors":             "a: " + fill("&a "),
		"tags":                "a: " + fill("!a "),
		"stacked keys":        "a: " + fill("b: "),
		"stairs":              stairs(700),
		"merge bomb":          bomb,
		"billion laughs":      laughs,
		"chain of vars":       chain,
		"long plain scalar":   with("ledger: " + fill("x ") + "\n"),
		"references":          with("ledger: " + fill("${a:-x}") + "\n"),
		"open references":     with("ledger: " + fill("${a:-") + "\n"),
		"folded plain scalar": with("ledger:\n  " + fill("x\n  ") + "\n"),
		"double quoted":       with("ledger: \"" + fill(`\u0041\n`) + "\"\n"),
		"single quoted":       with("ledger: '" + fill(`''`) + "'\n"),
		"literal":             with("ledger: |\n" + fill("  x\n")),
		"folded":              with("ledger: >\n" + fill("  x\n")),
		"blank lines":         with("ledger: >\n" + fill("\n")),
		"comments":            fill("# x\n"),
		"one comment":         "#" + fill("x"),
		"many keys":           with(numbered("k%d: 1\n", 80000)),
		"many columns":        with("steps:\n  - set:\n" + numbered("      k%d: 1\n", 50000)),
		"many steps":          with("steps:\n" + fill("  - filter: a\n")),
		"flow list":           with("steps:\n  - select: [" + numbered("k%d, ", 100000) + "]\n"),
		"passwords":           with("ledger: " + fill("postgres://a:b@c,password=x;") + "\nx: y\n"),
		"quotes":              "a: " + fill(`"x" `),
		"commas":              "a: [" + fill(","),
		"spaces":              "a: " + fill(" "),
		"tabs":                "a:\n" + fill("\t"),
		"documents":           fill("---\n"),
		"directives":          fill("%YAML 1.2\n"),
		"colons":              fill(":"),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			opts := options()
			_, err := Parse("job.yaml", []byte(text), opts)
			if err != nil {
				check(t, err)
			}
			// The slowest takes a second on an idle core; without the limits on files several took minutes.
			if took := time.Since(began); took > 60*time.Second {
				t.Errorf("took %v: %.200v", took, err)
			} else {
				t.Logf("%v %.200v", took.Round(time.Millisecond), err)
			}
		})
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		if b.Len() > maxFile-4096 || i == maxLines-100 && strings.Contains(format, "\n") {
			break
		}
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
		if b.Len() > maxFile-4096 {
			break
		}
	}
	return b.String()
}
