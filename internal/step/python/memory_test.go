package python

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
)

// A frame that a function keeps is the same in later calls, whatever came through since; so is an answer that Go keeps.
func TestFramesThatAreKeptNeverChange(t *testing.T) {
	for _, frame := range []string{"pandas", "pyarrow", "polars"} {
		t.Run(frame, func(t *testing.T) {
			c, _ := start(t, `
kept = []
def clean(df, chunk):
    kept.append(df)
    value = lambda f: f["id"].to_pylist()[0] if hasattr(f["id"], "to_pylist") else f["id"].to_list()[0]
    for i, f in enumerate(kept):
        assert value(f) == i, (i, value(f))
    return df
`, func(o *Options) {
				withPeople(o)
				o.Spec.Frame = frame
				o.Spec.DTypes = map[string]string{"pandas": "pyarrow"}[frame]
			})
			var answers []array.RecordReader
			for i := range 8 {
				answer, err := c.Call(t.Context(), chunkNamed("x"), rowsOf(t, people, fmt.Sprintf(`[{"id": %d, "name": "%s"}]`, i, strings.Repeat("n", i*1000))))
				if err != nil {
					t.Fatal(err)
				}
				if !answer.Next() {
					t.Fatal(answer.Err())
				}
				answers = append(answers, answer)
			}
			c.Close()
			for i, a := range answers {
				if got := a.RecordBatch().Column(0).(*array.Int64).Value(0); got != int64(i) {
					t.Errorf("answer %d holds %d", i, got)
				}
				a.Release()
			}
		})
	}
}

// A process that the function forks keeps the frame that it was forked with, and cannot disturb an answer.
func TestFramesOfForksNeverChange(t *testing.T) {
	c, _ := start(t, `
import os
calls = 0
asks, asked = os.pipe()
says, said = os.pipe()
def clean(df: "pyarrow.Table"):
    global calls
    calls += 1
    if calls == 1 and os.fork() == 0:
        os.read(asks, 1)
        os.write(said, str(df["id"][0].as_py()).encode())
        return df
    if calls == 3:
        os.write(asked, b"?")
        assert os.read(says, 9) == b"0"
        os.wait()
    return df
`, withPeople)
	for i := range 4 {
		want := fmt.Sprintf(`{"id":%d,"name":"n"}`, i)
		if got, err := call(t, c, "x", rowsOf(t, people, "["+want+"]")); err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

// The memory of rows and answers is used again, but for frames that are kept, and larger ones than an eighth of the share.
func TestMemoryIsUsedAgain(t *testing.T) {
	for memory, again := range map[int64]bool{0: true, 64 << 20: true, 8 << 10: false} {
		c, _ := start(t, "def clean(df: 'pyarrow.Table'): return df\n", func(o *Options) { withPeople(o); o.Memory = memory })
		name := strings.Repeat("n", 10_000)
		var first, second *mapping
		for _, m := range []**mapping{&first, &second} {
			if got, err := call(t, c, "x", rowsOf(t, people, `[{"id": 1, "name": "`+name+`"}]`)); err != nil || !strings.Contains(got, name) {
				t.Fatalf("got %.100s, %v", got, err)
			}
			*m = c.answers.places[0]
		}
		if c.Ahead() != again || (first == second && first != nil) != again || (c.rows.places[0] != nil) != again {
			t.Errorf("with a share of %d: answers in %p and %p, rows in %v", memory, first, second, c.rows.places)
		}
	}
}

// A child that stays over its baseline between chunks is replaced; one that does not keeps its module's state.
func TestAChildThatKeepsMemoryIsReplaced(t *testing.T) {
	c, _ := start(t, `
kept, calls = [], 0
def clean(df: "pyarrow.Table", chunk):
    global calls
    calls += 1
    if chunk.key == "keeps":
        kept.append(bytearray(200 << 20))
    if chunk.key == "uses":
        used = bytearray(200 << 20)
    return df.set_column(0, "id", [[calls] * df.num_rows])
`, withPeople)
	for i, step := range []struct{ key, calls string }{{"uses", "1"}, {"uses", "2"}, {"keeps", "3"}, {"good", "1"}, {"good", "2"}} {
		got, err := call(t, c, step.key, rowsOf(t, people, ada))
		if err != nil || !strings.HasPrefix(got, `{"id":`+step.calls+`,`) {
			t.Errorf("call %d: got %s, %v", i, got, err)
		}
	}
}

// An answer may be much larger than the rows.
func TestAHugeAnswerArrives(t *testing.T) {
	one := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	c, _ := start(t, "import pyarrow as pa\ndef clean(df: 'pyarrow.Table'): return pa.table({'id': range(5_000_000)})\n", func(o *Options) { o.Input, o.Output = people, one })
	answer, err := c.Call(t.Context(), chunkNamed("x"), rowsOf(t, people, ada))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Release()
	n := int64(0)
	for answer.Next() {
		for _, v := range answer.RecordBatch().Column(0).(*array.Int64).Int64Values() {
			if v != n {
				t.Fatalf("row %d holds %d", n, v)
			}
			n++
		}
	}
	if n != 5_000_000 {
		t.Errorf("%d rows", n)
	}
}

// A thread that the function leaves behind prints into the log and disturbs nothing.
func TestThreadsThatRunOnDisturbNothing(t *testing.T) {
	c, l := start(t, `
import threading, time
def noise():
    while True:
        print("noise" * 100)
def clean(df: "pyarrow.Table"):
    if threading.active_count() < 4:
        threading.Thread(target=noise, daemon=True).start()
    return df
`, withPeople)
	for range 20 {
		if got, err := call(t, c, "x", rowsOf(t, people, ada)); err != nil || !strings.Contains(got, "Ada") {
			t.Fatalf("got %s, %v", got, err)
		}
	}
	if !strings.Contains(l.text(), "x: noisenoise") {
		t.Error("the threads' lines are not in the log")
	}
}

// Nothing is written beside the user's file, and the environment is the job's.
func TestTheProcessHasTheJobsEnvironment(t *testing.T) {
	c, _ := start(t, `
import os, sys, time
def clean(df: "pyarrow.Table"):
    time.tzset()
    name = " ".join([time.tzname[0], os.environ["OMP_NUM_THREADS"], os.environ["POLARS_MAX_THREADS"], str(sys.path[0] == os.path.realpath(os.getcwd())), str("" in sys.path)])
    return df.set_column(1, "name", [[name] * df.num_rows])
`, func(o *Options) { withPeople(o); o.Timezone = "Asia/Tokyo"; o.Threads = 3 })
	got, err := call(t, c, "x", rowsOf(t, people, ada))
	if err != nil || !strings.Contains(got, `"JST 3 3 True False"`) {
		t.Errorf("got %s, %v", got, err)
	}
	if entries, err := os.ReadDir(c.options.Dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// Rows may be narrower than declared, and differ from chunk to chunk.
func TestRowsMayBeNarrowerThanDeclared(t *testing.T) {
	c, _ := start(t, "def clean(df):\n    df['name'] = str(df['id'].dtype)\n    return df\n", withPeople)
	narrow := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int8, Nullable: true}, people.Field(1)}, nil)
	for _, schema := range []*arrow.Schema{narrow, people} {
		got, err := call(t, c, "x", rowsOf(t, schema, `[{"id": 5, "name": "Ada"}]`))
		want := fmt.Sprintf(`{"id":5,"name":"%s"}`, schema.Field(0).Type)
		if err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

// An error of the rows is the call's error, and no rows are left behind.
func TestAnErrorOfTheRowsIsReturned(t *testing.T) {
	c, _ := start(t, "def clean(df: 'pyarrow.Table'): return df\n", withPeople)
	checked := mallocator.NewMallocator()
	rec, _, err := array.RecordFromJSON(checked, people, strings.NewReader(ada))
	if err != nil {
		t.Fatal(err)
	}
	rows := array.ReaderFromIter(people, func(yield func(arrow.RecordBatch, error) bool) {
		if yield(rec, nil) {
			yield(nil, os.ErrDeadlineExceeded)
		}
	})
	defer rows.Release()
	if _, err := c.Call(t.Context(), chunkNamed("x"), rows); err == nil || !strings.Contains(err.Error(), os.ErrDeadlineExceeded.Error()) {
		t.Errorf("got %v", err)
	}
	if got, err := call(t, c, "x", rowsOf(t, people, ada)); err != nil || !strings.Contains(got, "Ada") {
		t.Errorf("got %s, %v", got, err)
	}
}
