package python

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
)

// Info is what a function and its interpreter are: what the answer depends on.
type Info struct {
	// Python is the interpreter's version, Packages the versions of pyarrow, NumPy and the frame's library.
	Python   string            `json:"python"`
	Packages map[string]string `json:"packages"`
	// Frame is what the function receives: "pandas", "polars" or "pyarrow".
	Frame string `json:"frame"`
	// TakesChunk says that it has a second parameter named chunk.
	TakesChunk bool `json:"takes_chunk"`
	// Files are those below the job's folder that loading the function loaded, by path. What the function imports when it is called is not among them.
	Files []File `json:"files"`
}

// File is a file of Python code.
type File struct {
	// Path is relative to the job's folder, with slashes.
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Inspect loads a function in a process of its own and returns what it is. It does not call it. requirements are versions of packages (PEP 508,
// "pandas>=2"). Whatever would keep Call from working is an error of kind Invalid with what to do: an interpreter that does not work or lacks a
// package, a function that is not there or has other parameters, a syntax error, a column that the frame cannot hold.
func Inspect(ctx context.Context, options Options, requirements []string) (Info, error) {
	var printed []string
	log := options.Log
	options.Log = func(chunk, line string) {
		if len(printed) < 1000 {
			printed = append(printed, line)
		}
		if log != nil {
			log(chunk, line)
		}
	}
	c := Start(options)
	defer c.stop()
	info, err := c.load(ctx, requirements, true)
	switch {
	case err == nil:
		return info, nil
	case drover.KindOf(err) == drover.Lost && ctx.Err() == nil:
		e := drover.Errorf(drover.Invalid, "%s: %s ended while it loaded the function", options.Spec.Function, options.Interpreter)
		if n := len(printed); n > 0 {
			e.Message += ": " + strings.Join(printed[max(0, n-3):], "\n  ")
		}
		return Info{}, e.WithHint("try it: %s -c 'import pyarrow'; python_env: {bin: ...} names another interpreter", options.Interpreter)
	case drover.KindOf(err) == drover.Transient || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Info{}, drover.Errorf(drover.Invalid, "%s could not be loaded in time", options.Spec.Function).
			WithHint("its module does something long when it is imported: move that into the function")
	}
	return Info{}, fmt.Errorf("load %s: %w", options.Spec.Function, err)
}
