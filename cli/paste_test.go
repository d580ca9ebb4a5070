package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/redact"
)

// TestPrintedWordsAreReadBackByAShell: with the variables of the user's environment, and without showing a password.
func TestPrintedWordsAreReadBackByAShell(t *testing.T) {
	passfile := filepath.Join(t.TempDir(), "pgpass")
	if err := os.WriteFile(passfile, []byte("filed:*:*:u:hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const url = "postgres://u:hunter2@h/db?sslmode=disable"
	for name, c := range map[string]struct {
		word, want, back string // back is empty for the word itself
		env              []string
	}{
		"no password":                        {word: "postgres://u@h/db", want: "postgres://u@h/db"},
		"a variable has all of it":           {word: url, env: []string{"LEDGER_URL=" + url, "_=" + url}, want: `"${LEDGER_URL:?}"`},
		"a variable has all behind a flag":   {word: "--ledger=" + url, env: []string{"LEDGER_URL=" + url}, want: `--ledger="${LEDGER_URL:?}"`},
		"a variable has the password":        {word: url, env: []string{"PW=hunter2"}, want: `postgres://u:"${PW:?}"'@h/db?sslmode=disable'`},
		"no variable has it":                 {word: url, env: []string{"PASSWORD=hunter2"}, want: `postgres://u:"${PASSWORD:?}"'@h/db?sslmode=disable'`},
		"PGPASSWORD has it":                  {word: url, env: []string{"PGPASSWORD=hunter2"}, want: `'postgres://u@h/db?sslmode=disable'`, back: "postgres://u@h/db?sslmode=disable"},
		"PGPASSWORD has it decoded":          {word: "postgres://u:a%2Fb@h/db", env: []string{"PGPASSWORD=a/b"}, want: "postgres://u@h/db", back: "postgres://u@h/db"},
		"PGPASSWORD is another one's":        {word: url, env: []string{"PGPASSWORD=x", "PW=hunter2"}, want: `postgres://u:"${PW:?}"'@h/db?sslmode=disable'`},
		"the password file has it":           {word: "postgres://u:hunter2@filed/db", env: []string{"PGPASSFILE=" + passfile}, want: "postgres://u@filed/db", back: "postgres://u@filed/db"},
		"keywords, and PGPASSWORD has it":    {word: "host=h password=hunter2 dbname=d", env: []string{"PGPASSWORD=hunter2"}, want: "'host=h dbname=d'", back: "host=h dbname=d"},
		"keywords":                           {word: "host=h password=hunter2 dbname='a b'", env: []string{"PW=hunter2"}, want: `'host=h password='"${PW:?}"' dbname='\''a b'\'''`},
		"a parameter":                        {word: "postgres://u@h/db?password=hunter2&sslmode=disable", env: []string{"PW=hunter2"}, want: `'postgres://u@h/db?password='"${PW:?}"'&sslmode=disable'`},
		"what a shell would take for a sign": {word: "postgres://u:hunt`'\"$!@h/db", env: []string{"PW=hunt`'\"$!"}, want: `postgres://u:"${PW:?}"@h/db`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pair := range c.env {
				n, v, _ := strings.Cut(pair, "=")
				t.Setenv(n, v)
			}
			got := (&app{getenv: os.Getenv, environ: func() []string { return c.env }}).paste(c.word)
			if got != c.want || redact.Passwords(got) != got {
				t.Errorf("got %s, which is shown as %s", got, redact.Passwords(got))
			}
			shell := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+got)
			shell.Env = c.env
			back, err := shell.CombinedOutput()
			if c.back == "" {
				c.back = c.word
			}
			if err != nil || string(back) != c.back {
				t.Errorf("a shell reads %s as %s (%v)", got, back, err)
			}
		})
	}
	without := exec.CommandContext(t.Context(), "sh", "-c", "echo run "+(&app{}).paste(url))
	without.Env = []string{}
	if out, err := without.CombinedOutput(); err == nil || !strings.Contains(string(out), unnamed) || strings.Contains(string(out), "run") {
		t.Errorf("without the variable the command runs: %s, %v", out, err)
	}
}
