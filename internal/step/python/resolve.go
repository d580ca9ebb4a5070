package python

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/droverdata/drover"
)

// Resolve returns the path of the interpreter: bin, which is relative to the job's folder, else that of the active virtual environment,
// else python3 of PATH.
func Resolve(bin, jobDir string) (string, error) {
	if bin != "" {
		path := bin
		if !filepath.IsAbs(path) {
			path = filepath.Join(jobDir, path)
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return "", drover.Errorf(drover.Invalid, "find the interpreter %s: %w", bin, err).WithField("python_env.bin")
		}
		if _, err := exec.LookPath(path); err != nil {
			return "", drover.Errorf(drover.Invalid, "python_env.bin: there is no program %s", path).WithField("python_env.bin").WithHint("%s", absent(path))
		}
		return path, nil
	}
	if env := os.Getenv("VIRTUAL_ENV"); env != "" {
		path := filepath.Join(env, "bin", "python")
		if _, err := exec.LookPath(path); err != nil {
			return "", drover.Errorf(drover.Invalid, "VIRTUAL_ENV names %s, which has no bin/python", env).
				WithHint("unset VIRTUAL_ENV, or write python_env: {bin: ...} into the job")
		}
		return path, nil
	}
	path, err := exec.LookPath("python3")
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", drover.Errorf(drover.Invalid, "there is no python3 on PATH").WithHint("install Python, or write python_env: {bin: ...} into the job")
	}
	return path, nil
}

// absent says what to do about an interpreter that is not there. An environment is only made where nothing is yet.
func absent(path string) string {
	bin := filepath.Dir(path)
	env := filepath.Dir(bin)
	if _, err := os.Lstat(env); filepath.Base(bin) == "bin" && errors.Is(err, fs.ErrNotExist) {
		return "make the environment: python3 -m venv " + env
	}
	return "write the path of an interpreter, relative to the job's folder, such as .venv/bin/python; or leave bin out: python3 of the PATH is then used"
}
