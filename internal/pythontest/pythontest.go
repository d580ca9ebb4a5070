// Package pythontest gives tests a Python with pandas, polars and pyarrow.
package pythontest

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// requirements are pinned, so that a test means the same everywhere. `make interop` uses them, too.
//
//go:embed requirements.txt
var requirements string

// Python returns the path of an interpreter that has them. The first call on a machine makes a virtual environment in the user's cache directory,
// which takes python3 with venv, and half a minute.
func Python(tb testing.TB) string {
	tb.Helper()
	path, err := find()
	if err != nil {
		tb.Fatalf("pythontest: %v", err)
	}
	return path
}

func find() (_ string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	base, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("find python3: %w", err)
	}
	version, err := exec.Command(base, "-c", "import sys; print(sys.version, sys.base_prefix)").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", base, err)
	}
	name := fmt.Sprintf("python-%x", sha256.Sum256(append(version, requirements...)))[:24]
	dir := filepath.Join(cache, "drover", name)
	python, ready := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "ready")
	if _, err := os.Stat(ready); err == nil {
		return python, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	// Several test binaries may come here at once: one makes it, the others wait.
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock the environment: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the environment: %w", err)
	}
	if _, err := os.Stat(ready); err == nil {
		return python, nil
	}
	if err := build(base, dir, python); err != nil {
		return "", err
	}
	if err := os.WriteFile(ready, nil, 0o644); err != nil {
		return "", fmt.Errorf("finish the environment: %w", err)
	}
	return python, nil
}

// build makes the environment anew. A virtual environment cannot be moved: it is made in its place.
func build(base, dir, python string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove an unfinished environment: %w", err)
	}
	if out, err := exec.Command(base, "-m", "venv", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("make a virtual environment (install python3-venv): %w: %s", err, out)
	}
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, []byte(requirements), 0o644); err != nil {
		return fmt.Errorf("write the requirements: %w", err)
	}
	out, err := exec.Command(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", list).CombinedOutput()
	if err != nil {
		return fmt.Errorf("install the requirements: %w: %s", err, out)
	}
	return nil
}
