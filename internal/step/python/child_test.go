package python

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"

	"github.com/droverdata/drover/internal/pythontest"
	"github.com/droverdata/drover/internal/step/function"
)

// logged collects what a child's processes print.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) add(chunk, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, chunk+": "+line)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// jobWith writes a module clean.py into a folder of its own.
func jobWith(t testing.TB, code string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "clean.py"), []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start returns a child for the function clean of code.
func start(t testing.TB, code string, change func(*Options)) (*Child, *logged) {
	t.Helper()
	var l logged
	o := Options{
		Interpreter: pythontest.Python(t), Dir: jobWith(t, code), Spec: Spec{Function: "clean.py:clean"}, Log: l.add, Threads: 1, Timezone: "UTC",
	}
	if change != nil {
		change(&o)
	}
	c := Start(o)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, &l
}

// rowsOf makes a reader of rows in JSON.
func rowsOf(t testing.TB, schema *arrow.Schema, json string) array.RecordReader {
	t.Helper()
	rec, _, err := array.RecordFromJSON(mallocator.NewMallocator(), schema, strings.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	r, err := array.NewRecordReader(schema, []arrow.RecordBatch{rec})
	if err != nil {
		t.Fatal(err)
	}
	rec.Release()
	t.Cleanup(r.Release)
	return r
}

// call calls c and returns the answer's rows as JSON lines.
func call(t testing.TB, c *Child, key string, rows array.RecordReader) (string, error) {
	t.Helper()
	return callWith(t, t.Context(), c, key, rows)
}

func callWith(t testing.TB, ctx context.Context, c *Child, key string, rows array.RecordReader) (string, error) {
	t.Helper()
	answer, err := c.Call(ctx, function.Chunk{ID: 7, Key: key, Run: "r-1", Job: "test"}, rows)
	if err != nil {
		return "", err
	}
	defer answer.Release()
	var b strings.Builder
	for answer.Next() {
		if err := array.RecordToJSON(answer.RecordBatch(), &b); err != nil {
			t.Fatal(err)
		}
	}
	if err := answer.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String()), nil
}

var people = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

func withPeople(o *Options) { o.Input, o.Output = people, people }

const ada = `[{"id": 1, "name": "Ada"}, {"id": 2, "name": null}]`

func TestAFunctionIsCalledOnceForEachChunk(t *testing.T) {
	c, l := start(t, `
import pandas

calls = 0

def clean(df: pandas.DataFrame, chunk) -> pandas.DataFrame:
    global calls
    calls += 1
    print("call", calls, chunk.key, chunk["run"], chunk.job, chunk.id, [str(t) for t in df.dtypes])
    df["name"] = df["name"].str.upper()
    return df
`, withPeople)
	for i := 1; i <= 3; i++ {
		got, err := call(t, c, fmt.Sprint("zip ", i), rowsOf(t, people, ada))
		if err != nil {
			t.Fatal(err, l.text())
		}
		if want := "{\"id\":1,\"name\":\"ADA\"}\n{\"id\":2,\"name\":null}"; got != want {
			t.Errorf("got %s", got)
		}
		if want := fmt.Sprintf("zip %d: call %d zip %d r-1 test 7 ['int64', 'str']", i, i, i); !strings.Contains(l.text(), want) {
			t.Errorf("got %s, want %s", l.text(), want)
		}
	}
}

func chunkNamed(key string) function.Chunk { return function.Chunk{Key: key, Run: "r-1", Job: "test"} }

// The function's time begins with its call: the start of Python and what the module imports have their own, also where the function crashes.
func TestTheStartOfPythonIsNoTimeOfTheFunction(t *testing.T) {
	const slow = `
import os, time
time.sleep(1.5)
def clean(df, chunk):
    if chunk.key == "crash": os._exit(3)
    if chunk.key == "hang": time.sleep(1000)
    return df
`
	bounded := func(o *Options) { withPeople(o); o.Timeout = time.Second }
	c, _ := start(t, slow, bounded)
	if _, err := call(t, c, "good", rowsOf(t, people, ada)); err != nil {
		t.Error(err)
	}
	if _, err := call(t, c, "hang", rowsOf(t, people, ada)); !strings.Contains(kindAndText(err), "transient: the function has taken longer than 1s, and was ended | it may hang") {
		t.Error(err)
	}
	if _, err := call(t, c, "crash", rowsOf(t, people, ada)); !strings.Contains(kindAndText(err), "lost: clean.py:clean: the Python process died (exit status 3)") {
		t.Error(err)
	}
	c, _ = start(t, slow, func(o *Options) { bounded(o); o.StartTimeout = 100 * time.Millisecond })
	if _, err := call(t, c, "good", rowsOf(t, people, ada)); !strings.Contains(kindAndText(err), "transient: Python has not started within 100ms, and was ended: its module was still being loaded | ") {
		t.Error(err)
	}
}
