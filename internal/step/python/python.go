// Package python runs a user's Python function on one chunk at a time, in a child that keeps it ready.
//
// The child is driven over a socket pair: messages are JSON with their length, 4 bytes little-endian, before them; rows are Arrow IPC streams
// (https://arrow.apache.org/docs/format/Columnar.html) in shared memory without a name, whose descriptors travel beside the messages
// (SCM_RIGHTS, unix(7)). Memory is used again only once nothing refers to it, so that a frame which a function keeps never changes under it. Many
// chunks may travel together: they are converted at once, and the function is called with the part of each.
package python

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/downcast"
)

//go:embed shim/target.py
var shimTarget string

//go:embed shim/environment.py
var shimEnvironment string

//go:embed shim/frames.py
var shimFrames string

//go:embed shim/answer.py
var shimAnswer string

//go:embed shim/child.py
var shimChild string

// Spec is what the job says about a function.
type Spec struct {
	// Function is "clean.py:clean", a file below the job's folder, or "package.module:clean".
	Function string `json:"function"`
	// Frame is "pandas", "polars" or "pyarrow"; empty: what the annotation of the function's first parameter says, else pandas.
	Frame string `json:"frame,omitempty"`
	// DTypes is how columns arrive in pandas: "numpy", "nullable" or "pyarrow"; empty: NumPy's where nothing can be lost, else nullable ones, else Arrow's.
	DTypes string `json:"dtypes,omitempty"`
}

// Options are what a Child needs.
type Options struct {
	// Interpreter is the path that Resolve returned; Dir is the job's folder.
	Interpreter, Dir string
	Spec             Spec
	// Input are the columns that the function receives. Nullable false means that there are no NULLs. The rows of a chunk may have narrower types.
	Input *arrow.Schema
	// Narrow are those columns of Input that the function receives in a smaller type, where a chunk's values allow it: integers, FLOAT, and texts as
	// downcast.Dictionary.
	Narrow drover.Schema
	// Output are the columns that it must return; nil takes them as they come.
	Output *arrow.Schema
	// Rejects says that whoever stores the answers rejects rows with a NULL in a column of Output that is not nullable. Otherwise such an answer
	// is an error.
	Rejects bool
	// Timeout is how long the function may take for one chunk; 0 means for ever. StartTimeout is how long a process may take to start and to load
	// the function; 0 means 5 minutes. StopTimeout is how long it may be stopped by a signal; 0 means 10 seconds.
	Timeout, StartTimeout, StopTimeout time.Duration
	// Log receives each line of what the child's processes print, with the key of the chunk that was called for; it is called while Call runs.
	Log func(chunk, line string)
	// Memory is the worker's share in bytes; 0 means no bound.
	Memory int64
	// Threads is how many the libraries may use; at least 1.
	Threads int
	// Timezone is the job's.
	Timezone string
}

// shim is what a child executes, from its standard input: a command line has a limit and is visible to all.
func shim() string {
	return strings.Join([]string{shimTarget, shimEnvironment, shimFrames, shimAnswer, shimChild}, "\n\n")
}

// encodeSchema returns an Arrow schema as a base64 IPC stream without rows; "" for nil.
func encodeSchema(schema *arrow.Schema) (string, error) {
	if schema == nil {
		return "", nil
	}
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(schema))
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("encode a schema: %w", err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// notNull lists the columns that hold no NULLs.
func notNull(schema *arrow.Schema) []string {
	names := []string{}
	if schema != nil {
		for _, f := range schema.Fields() {
			if !f.Nullable {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

// narrowed spells smaller types as pyarrow does, by column.
func narrowed(columns drover.Schema) map[string]string {
	names := map[string]string{
		"TINYINT": "int8", "SMALLINT": "int16", "INTEGER": "int32", "UTINYINT": "uint8", "USMALLINT": "uint16", "UINTEGER": "uint32", "FLOAT": "float32",
		downcast.Dictionary: "dictionary",
	}
	types := map[string]string{}
	for _, c := range columns {
		if t, ok := names[c.Type]; ok {
			types[c.Name] = t
		}
	}
	return types
}
