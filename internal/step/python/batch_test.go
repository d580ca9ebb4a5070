package python

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/downcast"
	"github.com/droverdata/drover/internal/step/function"
)

// batchOf is the rows of chunks k0, k1, ...
type batchOf struct {
	array.RecordReader
	parts []function.Part
}

func (b batchOf) Parts() []function.Part { return b.parts }

// batch makes chunks of these sizes, whose ids count up.
func batch(t testing.TB, sizes ...int) batchOf {
	t.Helper()
	var parts []function.Part
	var rows []string
	for i, n := range sizes {
		parts = append(parts, function.Part{Chunk: chunkNamed(fmt.Sprint("k", i)), Rows: n})
		for range n {
			rows = append(rows, fmt.Sprintf(`{"id": %d, "name": "n%d"}`, len(rows), len(rows)))
		}
	}
	return batchOf{rowsOf(t, people, "["+strings.Join(rows, ",")+"]"), parts}
}

// callEach returns the answers of chunks, apart.
func callEach(t testing.TB, ctx context.Context, c *Child, b batchOf) ([]string, error) {
	t.Helper()
	wait, err := c.CallEach(ctx, b)
	if err != nil {
		return nil, err
	}
	return answersOf(t, wait)
}

func answersOf(t testing.TB, wait func() (function.Answers, error)) ([]string, error) {
	t.Helper()
	a, err := wait()
	if err != nil {
		return nil, err
	}
	defer a.Rows.Release()
	var text strings.Builder
	for a.Rows.Next() {
		if err := array.RecordToJSON(a.Rows.RecordBatch(), &text); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	var parts []string
	for _, n := range a.Counts {
		parts = append(parts, strings.Join(lines[:n], " "))
		lines = lines[n:]
	}
	return parts, nil
}

// design.md 3.2: a function sees exactly one chunk, also where many are handed over at once: in a frame that it cannot tell from one of its own, and
// whatever it does to that, the others stay as they were.
func TestChunksOfABatchAreFramesOfTheirOwn(t *testing.T) {
	const spoil = `
import warnings
warnings.simplefilter("error")
seen = []
def clean(df, chunk):
    assert list(df.index) == list(range(len(df))), df.index
    assert list(df.columns) == ["id", "name"] and df.columns.name is None and df.index.name is None and not df.attrs
    seen.append(len(df))
    ids = [int(i) for i in df["id"]]
    df.columns.name, df.index.name, df.attrs["x"] = "spoilt", "spoilt", 1
    df.loc[0, "id"] = 100 + ids[0]
    df["id"] += 1000
    df.iloc[-1, 0] = 2000 + ids[-1]
    df["name"] = df["name"].str.upper()
    df["extra"] = 1
    return df.drop(columns="extra").iloc[:2] if chunk.key != "k1" else df.drop(columns="extra").iloc[:0]
`
	for name, dtypes := range map[string]string{"default": "", "nullable": "nullable", "pyarrow": "pyarrow", "numpy": "numpy"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, l := start(t, spoil, func(o *Options) { withPeople(o); o.Spec.DTypes = dtypes })
			got, err := callEach(t, t.Context(), c, batch(t, 3, 2, 4))
			want := []string{`{"id":1100,"name":"N0"} {"id":1001,"name":"N1"}`, "", `{"id":1105,"name":"N5"} {"id":1006,"name":"N6"}`}
			if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("got %v %q, want %q\n%s", err, got, want, l.text())
			}
		})
	}
}

func TestBatchesOfPolarsAndPyarrow(t *testing.T) {
	for frame, code := range map[string]string{
		"polars":  "import polars as pl\ndef clean(df: pl.DataFrame):\n    return df.tail(1).with_columns(pl.lit(str(len(df))).alias('name'))\n",
		"pyarrow": "import pyarrow as pa\ndef clean(df: pa.Table):\n    return df.slice(len(df) - 1).set_column(1, 'name', [[str(len(df))]])\n",
	} {
		t.Run(frame, func(t *testing.T) {
			c, l := start(t, code, withPeople)
			got, err := callEach(t, t.Context(), c, batch(t, 3, 1, 2))
			if want := `{"id":2,"name":"3"}|{"id":3,"name":"1"}|{"id":5,"name":"2"}`; err != nil || strings.Join(got, "|") != want {
				t.Errorf("got %v %q, want %q\n%s", err, got, want, l.text())
			}
		})
	}
}

// Answers are put together only where that changes nothing: what each chunk's answer would be by itself, it is in a batch.
func TestAnswersOfABatchAreThoseOfTheChunks(t *testing.T) {
	for name, code := range map[string]string{
		"the same frame again":       "import pandas as pd\nout = pd.DataFrame({'id': [0], 'name': ['x']})\ndef clean(df):\n    out['id'] = df['id'].sum()\n    out.loc[0, 'name'] = df['name'].max()\n    return out\n",
		"a view of one array":        "import pandas as pd, numpy as np\nids = np.zeros(1, dtype='int64')\ndef clean(df):\n    ids[0] = df['id'].sum()\n    return pd.DataFrame({'id': ids, 'name': [df['name'].max()]}, copy=False)\n",
		"columns in another order":   "import pandas as pd\ndef clean(df, chunk):\n    df = pd.DataFrame({'id': [df['id'].sum()], 'name': [df['name'].max()]})\n    return df[['name', 'id']] if chunk.key == 'k1' else df\n",
		"other dtypes":               "import pandas as pd\ndef clean(df, chunk):\n    return pd.DataFrame({'id': [df['id'].sum()], 'name': [df['name'].max()]}).astype({'id': {'k0': 'int64', 'k1': 'float64', 'k2': 'Int32'}[chunk.key]})\n",
		"objects":                    "import pandas as pd\ndef clean(df, chunk):\n    return pd.DataFrame({'id': pd.Series([int(df['id'].sum())], dtype=object), 'name': pd.Series([df['name'].max()], dtype=object)})\n",
		"categories":                 "import pandas as pd\ndef clean(df, chunk):\n    return pd.DataFrame({'id': [df['id'].sum()], 'name': pd.Categorical([df['name'].max()])})\n",
		"a table of another library": "import pyarrow as pa\ndef clean(df, chunk):\n    t = pa.table({'id': [int(df['id'].sum())], 'name': [df['name'].max()]})\n    return t.to_pandas() if chunk.key == 'k1' else t\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, l := start(t, code, withPeople)
			got, err := callEach(t, t.Context(), c, batch(t, 2, 1, 2))
			if want := `{"id":1,"name":"n1"}|{"id":2,"name":"n2"}|{"id":7,"name":"n4"}`; err != nil || strings.Join(got, "|") != want {
				t.Errorf("got %v %q, want %q\n%s", err, got, want, l.text())
			}
		})
	}
}

// A failure of one chunk of a batch is told as if it had been alone, and the next batch is answered.
func TestAFailureInABatchIsItsChunks(t *testing.T) {
	const code = `
import os, time
import pandas as pd
def clean(df, chunk):
    print("cleaning", chunk.key, end="")
    if chunk.job == "good" or chunk.key != "k1": return df
    %s
`
	for name, c := range map[string]struct {
		code, want, log string
	}{
		"an exception":   {`raise KeyError("revenue")`, "data: clean.py:clean raised KeyError: 'revenue'\n  clean.py:7 in clean", "k1: KeyError: 'revenue'"},
		"a wrong dtype":  {`return df.assign(id=1.5)`, "data: column id of the answer has dtype float64, expected int64: Float value 1.500000 was truncated", "k1: cleaning k1"},
		"a NULL":         {`return df.astype({"id": "Int64"}).assign(id=pd.array([None] * len(df), dtype="Int64"))`, "data: column id of the answer is NULL in 2 rows, the first at position 0", "k1: cleaning k1"},
		"a missing name": {`return df[["id"]]`, "data: clean.py:clean returned a frame without the column name", "k1: cleaning k1"},
		"a crash":        {`os._exit(3)`, "lost: clean.py:clean: the Python process died (exit status 3)", "k0: cleaning k0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			child, l := start(t, fmt.Sprintf(code, c.code), withPeople)
			if _, err := callEach(t, t.Context(), child, batch(t, 3, 2, 1)); !strings.Contains(kindAndText(err), c.want) {
				t.Errorf("got %s, want %s\n%s", kindAndText(err), c.want, l.text())
			}
			if !strings.Contains(l.text(), c.log) {
				t.Errorf("printed %s, want %s", l.text(), c.log)
			}
			good := batch(t, 3, 2, 1)
			for i := range good.parts {
				good.parts[i].Chunk.Job = "good"
			}
			if _, err := callEach(t, t.Context(), child, good); err != nil {
				t.Error(err)
			}
		})
	}
}

// limits.chunk_timeout is each chunk's own: a batch may take longer.
func TestTheTimeOfAChunkIsItsOwnInABatch(t *testing.T) {
	const code = `
import time
def clean(df: "pyarrow.Table", chunk):
    time.sleep(1000 if chunk.key == "k3" and chunk.id else 0.4)
    return df
`
	c, l := start(t, code, func(o *Options) { withPeople(o); o.Timeout = time.Second })
	if got, err := callEach(t, t.Context(), c, batch(t, 1, 1, 1, 1, 1)); err != nil || len(got) != 5 {
		t.Errorf("%v %q %s", err, got, l.text())
	}
	b := batch(t, 1, 1, 1, 1)
	b.parts[3].Chunk.ID = 1
	if _, err := callEach(t, t.Context(), c, b); !strings.Contains(kindAndText(err), "transient: the function has taken longer than 1s") {
		t.Error(err)
	}
}

// Each line has its chunk's name, without the function's or anybody's waiting for it.
func TestLinesOfABatchHaveTheirChunksNames(t *testing.T) {
	const code = `
import os, subprocess, sys
def clean(df: "pyarrow.Table", chunk):
    print("begin", chunk.key)
    os.write(1, b"y" * 100_000)
    subprocess.run(["echo", " echo", chunk.key])
    sys.stderr.write("end " + chunk.key)
    return df
`
	c, l := start(t, code, withPeople)
	if _, err := callEach(t, t.Context(), c, batch(t, 1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range strings.Split(l.text(), "\n") {
		got = append(got, strings.ReplaceAll(line, "y", ""))
	}
	text := strings.Join(got, "\n")
	for i := range 3 {
		for _, want := range []string{"k%d: begin k%d", "k%d:  echo k%d", "k%d: end k%d"} {
			if want = fmt.Sprintf(want, i, i); strings.Count(text, want) != 1 {
				t.Errorf("no %q in %s", want, text)
			}
		}
	}
}

// A column whose frame depends on more than its own values is converted chunk by chunk.
func TestCategoriesAreThoseOfTheChunk(t *testing.T) {
	const code = "import pandas as pd\ndef clean(df):\n    return pd.DataFrame({'id': [len(df)], 'name': [' '.join(df['name'].cat.categories)]})\n"
	c, l := start(t, code, func(o *Options) {
		withPeople(o)
		o.Narrow = drover.Schema{{Name: "name", Type: downcast.Dictionary}}
	})
	got, err := callEach(t, t.Context(), c, batch(t, 2, 1))
	if want := `{"id":2,"name":"n0 n1"}|{"id":1,"name":"n2"}`; err != nil || strings.Join(got, "|") != want {
		t.Errorf("got %v %q, want %q\n%s", err, got, want, l.text())
	}
}

// A value that cannot be handed over fails its own chunk: the function was called for those before.
func TestAValueThatNoFrameHoldsFailsItsChunk(t *testing.T) {
	floats := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true}}, nil)
	c, l := start(t, "def clean(df, chunk):\n    print('called for', chunk.key)\n    return df\n", func(o *Options) {
		o.Input, o.Output, o.Spec.DTypes = floats, floats, "numpy"
	})
	b := batchOf{rowsOf(t, floats, `[{"x": 1}, {"x": null}, {"x": "NaN"}]`), []function.Part{{Chunk: chunkNamed("k0"), Rows: 2}, {Chunk: chunkNamed("k1"), Rows: 1}}}
	if _, err := callEach(t, t.Context(), c, b); !strings.Contains(kindAndText(err), "x") || !strings.Contains(l.text(), "k0: called for k0") || strings.Contains(l.text(), "for k1") {
		t.Errorf("%v\n%s", err, l.text())
	}
}

// The rows that are handed over while the function runs are not seen by it, whatever it keeps; nor is the answer changed that is read meanwhile.
func TestRowsHandedOverAheadChangeNothing(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("kept ", keep), func(t *testing.T) {
			t.Parallel()
			c, l := start(t, fmt.Sprintf(`
import time
kept = []
def clean(df: "pyarrow.Table", chunk):
    first = df["id"].to_pylist()
    time.sleep(0.05)
    assert df["id"].to_pylist() == first
    if %s:
        kept.append((df, first))
        assert all(f["id"].to_pylist() == ids for f, ids in kept)
    return df
`, map[bool]string{false: "False", true: "True"}[keep]), withPeople)
			var before func() (function.Answers, error)
			for round := range 6 {
				wait, err := c.CallEach(t.Context(), batch(t, round+1, 2, 7-round))
				if err != nil {
					t.Fatal(err)
				}
				if before != nil {
					got, err := answersOf(t, before)
					if err != nil || len(got) != 3 || strings.Count(got[0], "id") != round || strings.Count(got[2], "id") != 8-round || !strings.HasPrefix(got[0], `{"id":0,`) {
						t.Errorf("round %d: %v, %q\n%s", round-1, err, got, l.text())
					}
				}
				before = wait
			}
			if _, err := answersOf(t, before); err != nil {
				t.Error(err)
			}
		})
	}
}

// A batch that was handed over ahead is not called for after one that failed; another one is.
func TestABatchBehindAFailureIsNotCalled(t *testing.T) {
	c, l := start(t, `
calls = []
def clean(df: "pyarrow.Table", chunk):
    calls.append(len(df))
    print("calls", calls)
    if len(df) == 2:
        raise ValueError("two")
    return df
`, withPeople)
	var waits []func() (function.Answers, error)
	for _, n := range []int{2, 3} {
		wait, err := c.CallEach(t.Context(), batch(t, n))
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, wait)
	}
	for _, wait := range waits {
		if _, err := wait(); drover.KindOf(err) != drover.Data || !strings.Contains(err.Error(), "two") {
			t.Errorf("got %v", err)
		}
	}
	if got, err := callEach(t, t.Context(), c, batch(t, 1)); err != nil || len(got) != 1 || !strings.Contains(l.text(), "calls [2, 1]") {
		t.Errorf("got %v, %q\n%s", err, got, l.text())
	}
}
