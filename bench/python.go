package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed rivals
var rivals embed.FS

// python makes an environment with the rivals' packages once in the folder for data, and returns a command that runs one of the rivals'
// scripts in it.
func (c config) python(ctx context.Context) (func(ctx context.Context, script string, args ...string) *exec.Cmd, error) {
	venv := filepath.Join(c.dir, "rivals")
	bin := filepath.Join(venv, "bin", "python")
	scripts := filepath.Join(c.dir, "scripts")
	if err := errors.Join(os.RemoveAll(scripts), os.CopyFS(scripts, rivals)); err != nil {
		return nil, err
	}
	scripts = filepath.Join(scripts, "rivals")
	if exec.CommandContext(ctx, bin, "-c", "import connectorx, pandas, polars, psycopg2, pyarrow, sqlalchemy").Run() != nil {
		fmt.Println("fetch the Python rivals")
		for _, cmd := range []*exec.Cmd{
			exec.CommandContext(ctx, "python3", "-m", "venv", venv),
			exec.CommandContext(ctx, bin, "-m", "pip", "install", "--quiet", "-r", filepath.Join(scripts, "requirements.txt")),
		} {
			if out, err := cmd.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("install the Python rivals: %w\n%s", err, out)
			}
		}
	}
	return func(ctx context.Context, script string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, bin, append([]string{filepath.Join(scripts, script)}, args...)...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("POLARS_MAX_THREADS=%d", c.threads), "OMP_NUM_THREADS=1")
		return cmd
	}, nil
}
