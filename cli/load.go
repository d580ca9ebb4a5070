package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/internal/jobfile"
)

// mostJobFile bounds what is read of a job file; the parser refuses what is longer.
const mostJobFile = 2 << 20

// load reads a job file.
func (a *app) load(path string, set []string) (*jobfile.File, error) {
	values, err := assignments(set)
	if err != nil {
		return nil, err
	}
	data, err := readJobFile(path)
	if err != nil {
		return nil, err
	}
	return jobfile.Parse(path, data, jobfile.Options{Connectors: all.All(), Set: values, Env: a.lookupEnv})
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
