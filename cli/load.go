package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/internal/jobfile"
)

// mostJobFile bounds what is read of a job file; the parser refuses what is longer.
const mostJobFile = 2 << 20

// load reads the job file that args name, or takes the program's own job.
func (a *app) load(args, set []string) (*jobfile.File, error) {
	if a.job != nil {
		if len(set) > 0 {
			return nil, drover.Errorf(drover.Invalid, "--set gives values to a job file, and this job is a program").WithHint("read the environment in the program")
		}
		if err := a.job.Validate(); err != nil {
			return nil, err
		}
		return &jobfile.File{Name: a.name, Job: *a.job}, nil
	}
	path := args[0]
	values, err := assignments(set)
	if err != nil {
		return nil, err
	}
	data, err := readJobFile(path)
	if err != nil {
		return nil, err
	}
	file, err := jobfile.Parse(path, data, jobfile.Options{Connectors: all.All(), Set: values, Env: a.lookupEnv})
	if err != nil {
		return nil, err
	}
	if file.Job.Dir, err = filepath.Abs(filepath.Dir(path)); err != nil {
		return nil, drover.Errorf(drover.Refused, "find the job file's folder: %w", err)
	}
	return file, nil
}

// functions are those of the program's own job.
func (a *app) functions() map[string]drover.Func {
	if a.job == nil {
		return nil
	}
	return a.job.Functions()
}

func readJobFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, drover.Errorf(drover.Invalid, "there is no job file %s", path).WithHint("drover init SOURCE -o %s writes one to start from", path)
	case err != nil:
		return nil, drover.Errorf(drover.Invalid, "read the job file: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		return nil, drover.Errorf(drover.Invalid, "%s is a folder, not a job file", path).WithHint("drover init %s writes a job file that reads it", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, mostJobFile))
	if err != nil {
		return nil, drover.Errorf(drover.Invalid, "read the job file: %w", err)
	}
	return data, nil
}

// assignments are the values of --set by name. The last one of a name wins.
func assignments(set []string) (map[string]string, error) {
	values := map[string]string{}
	for _, s := range set {
		name, value, found := strings.Cut(s, "=")
		if !found || name == "" {
			// The text may be a secret whose name was forgotten.
			return nil, drover.Errorf(drover.Invalid, "--set needs NAME=VALUE").WithHint("for ${state} in the job file: --set state=NY")
		}
		values[name] = value
	}
	return values, nil
}

// assigned are the names of the variables to which the command line gives a value.
func assigned(set []string) []string {
	names := make([]string, len(set))
	for i, s := range set {
		names[i], _, _ = strings.Cut(s, "=")
	}
	slices.Sort(names)
	return slices.Compact(names)
}
