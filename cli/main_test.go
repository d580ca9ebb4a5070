package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover/internal/pgtest"
)

// binary is the drover under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "drover-cli-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "drover")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/droverdata/drover/cmd/drover").CombinedOutput(); err != nil {
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

// dir is a working directory.
type dir struct {
	path string
	env  []string
}

func newDir(t *testing.T) *dir {
	t.Helper()
	d := &dir{path: t.TempDir()}
	d.env = []string{"HOME=" + d.path, "TMPDIR=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "TERM=dumb"}
	return d
}

func (d *dir) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(d.path, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d *dir) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = d.path, d.env
	return cmd
}

// drover runs one command to its end.
func (d *dir) drover(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := d.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("drover %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// files lists what is below the directory.
func (d *dir) files(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(d.path, func(path string, _ os.DirEntry, err error) error {
		if path != d.path {
			names = append(names, strings.TrimPrefix(path, d.path+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// buffer is an io.Writer.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func contains(text, part string) bool { return strings.Contains(text, part) }
