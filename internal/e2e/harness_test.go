// Package e2e tests the built binary from outside: job files, commands, exit codes, ledgers and targets.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/pgtest"
	"github.com/droverdata/drover/internal/run"
)

// binary is the drover under test, built once.
//
//nolint:gochecknoglobals // set by TestMain, which has no other way to hand it to the tests
var binary string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if os.Getenv(tellTime) != "" {
		fmt.Println(time.Now().Unix())
		return 0
	}
	dir, err := os.MkdirTemp("", "drover-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "drover")
	build := exec.Command("go", "build", "-o", binary, "github.com/droverdata/drover/cmd/drover")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build drover: %v\n%s", err, out)
		return 1
	}
	return pgtest.Main(m)
}

// result is how one command ended.
type result struct {
	code           int
	stdout, stderr string
}

// check holds for every command: no Go stack, no password.
func (r result) check(t *testing.T) {
	t.Helper()
	for _, text := range []string{r.stdout, r.stderr} {
		if strings.Contains(text, "goroutine ") || strings.Contains(text, "panic:") {
			t.Errorf("drover printed a Go stack:\n%s", text)
		}
		if strings.Contains(text, secret) {
			t.Errorf("drover printed the password:\n%s", text)
		}
	}
}

// summary decodes what run --json printed.
func (r result) summary(t *testing.T) run.Summary {
	t.Helper()
	var s run.Summary
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		t.Fatalf("run --json printed no summary: %v\nexit %d\nstdout: %s\nstderr: %s", err, r.code, r.stdout, r.stderr)
	}
	return s
}

// place is a working directory with an empty HOME and an environment of its own.
type place struct {
	dir string
	env []string
	// admin is the superuser's URL of the place's database, where it has one.
	admin string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{dir: dir, env: append(os.Environ(), "HOME="+dir, "TMPDIR="+dir)}
	t.Cleanup(func() { p.keepsSecret(t) })
	return p
}

func (p *place) setenv(name, value string) { p.env = append(p.env, name+"="+value) }

// write makes a file below the place.
func (p *place) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// drover runs one command to its end. extra is added to the environment.
func (p *place) drover(t *testing.T, extra []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = p.dir, append(p.env[:len(p.env):len(p.env)], extra...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("drover %s did not end\n%s", strings.Join(args, " "), r.stderr)
	case errors.As(err, &exit):
		r.code = exit.ExitCode() // -1 after a signal
	case err != nil:
		t.Fatal(err)
	}
	r.check(t)
	return r
}

// must runs a command that has to succeed.
func (p *place) must(t *testing.T, args ...string) result {
	t.Helper()
	r := p.drover(t, nil, args...)
	if r.code != 0 {
		t.Fatalf("drover %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// query runs SQL in a DuckDB of the test's own, in the place's directory, and returns its rows as text: values separated by |, rows
// by newlines.
func (p *place) query(t *testing.T, sql string) string {
	t.Helper()
	s, err := duck.Open(t.Context(), duck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Exec(t.Context(), "SET file_search_path = "+duck.Literal(p.dir)); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Query(t.Context(), "SELECT COLUMNS(*)::VARCHAR FROM ("+sql+")")
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	defer rows.Close()
	var out []string
	for {
		c, err := rows.Next()
		if err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
		if c.Rows() == 0 {
			return strings.Join(out, "\n")
		}
		for i := range c.Rows() {
			row := make([]string, c.Columns())
			for j := range row {
				v := c.Vector(j)
				row[j] = "NULL"
				if duck.Valid(v.Mask(), i) {
					row[j] = string(duck.Data[duck.String](v)[i].Bytes())
				}
			}
			out = append(out, strings.Join(row, "|"))
		}
	}
}

// exec runs a DuckDB statement in the place's directory.
func (p *place) exec(t *testing.T, sql string) {
	t.Helper()
	s, err := duck.Open(t.Context(), duck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Exec(t.Context(), "SET file_search_path = "+duck.Literal(p.dir)); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), strings.ReplaceAll(sql, "{dir}", p.dir)); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}
