package calls

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/downcast"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/pythontest"
	"github.com/droverdata/drover/internal/step"
	sqlstep "github.com/droverdata/drover/internal/step/sql"
)

// table is a source's relation over a table of the session, whose column tag says which chunk a row belongs to.
type table struct{ closed int }

func (*table) Chunk(i int) string          { return fmt.Sprintf("(SELECT * FROM t WHERE %s = %d)", step.Tag, i) }
func (*table) All() string                 { return "(SELECT * FROM t)" }
func (*table) Count(i int) connector.Count { return connector.Count{Rows: int64(i)} }
func (t *table) Close() error              { t.closed++; return nil }

var columns = drover.Schema{{Name: "n", Type: "BIGINT"}, {Name: "s", Type: "VARCHAR"}}

func open(t *testing.T) *duck.Session {
	t.Helper()
	s, err := duck.Open(t.Context(), duck.Options{Threads: 2, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// chunks makes chunks of these sizes in the table t, their rows mixed, and returns them.
func chunks(t *testing.T, s *duck.Session, sizes ...int) []connector.Chunk {
	t.Helper()
	var all []connector.Chunk
	sql := "CREATE TABLE t AS SELECT * FROM ("
	for i, n := range sizes {
		if i > 0 {
			sql += " UNION ALL "
		}
		sql += fmt.Sprintf("SELECT r::BIGINT AS n, 'text number ' || r AS s, %d::BIGINT AS %s FROM range(%d) x(r)", i, step.Tag, n)
		all = append(all, connector.Chunk{ID: int64(10 + i), Key: fmt.Sprintf("k%d", i)})
	}
	if err := s.Exec(t.Context(), sql+") ORDER BY hash(n)"); err != nil {
		t.Fatal(err)
	}
	return all
}

// call compiles the steps before a function.
func call(t *testing.T, s *duck.Session, at int, name string, input, output drover.Schema, before ...drover.Step) step.Call {
	t.Helper()
	c, err := sqlstep.Compile(t.Context(), s, before, 0, input)
	if err != nil {
		t.Fatal(err)
	}
	in := slices.Clone(c.Output)
	for i := range in {
		in[i].From = ""
	}
	return step.Call{Step: at, Before: c.Program, Input: in, Output: output, Function: step.Function{Go: name}}
}

// count is a function that returns one row: how many rows its chunk has.
func count(_ context.Context, chunk arrow.RecordBatch) (arrow.RecordBatch, error) {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Append(chunk.NumRows())
	a := b.NewInt64Array()
	defer a.Release()
	return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "rows", Type: arrow.PrimitiveTypes.Int64}}, nil), []arrow.Array{a}, 1), nil
}

var counted = drover.Schema{{Name: "rows", Type: "BIGINT"}}

func same(_ context.Context, chunk arrow.RecordBatch) (arrow.RecordBatch, error) {
	chunk.Retain()
	return chunk, nil
}

func runner(t *testing.T, s *duck.Session, env Env, calls ...step.Call) *Runner {
	t.Helper()
	if env.Program == nil {
		env.Program = map[string]drover.Func{"count": count, "same": same}
	}
	if env.Log == nil {
		env.Log = func(chunk, line string) { t.Log(chunk, line) }
	}
	r, err := New(s, calls, "r-1", "job", env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func texts(t *testing.T, s *duck.Session, query string) string {
	t.Helper()
	rows, err := s.Texts(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, row := range rows {
		var values []string
		for _, v := range row {
			values = append(values, *v)
		}
		lines = append(lines, strings.Join(values, ":"))
	}
	return strings.Join(lines, " ")
}

// design.md 3.2: a function sees exactly one chunk, whatever is packed into the task; exactness.md 25: and never one without rows.
func TestAFunctionSeesOneChunkAtATime(t *testing.T) {
	for name, filter := range map[string]drover.Step{
		"read together": {Filter: "n >= 0"},
		"read one by one, for an opaque step before": {SQL: "SELECT n, s FROM chunk ORDER BY n"},
	} {
		t.Run(name, func(t *testing.T) {
			in, out := open(t), open(t)
			all := chunks(t, in, 5, 0, 5000, 1, 0)
			r := runner(t, in, Env{}, call(t, in, 1, "count", columns, counted, filter))
			source := &table{}
			l := r.Over(t.Context(), out, source, all)
			if got := texts(t, out, "SELECT "+step.Tag+", rows FROM "+l.All()+" ORDER BY 1"); got != "0:5 2:5000 3:1" {
				t.Error(got)
			}
			if got := l.Count(3); got.Rows != 3 {
				t.Errorf("%+v", got)
			}
			if err := l.Close(); err != nil || source.closed != 1 {
				t.Error(err, source.closed)
			}
			l = r.Over(t.Context(), out, source, all)
			if got := texts(t, out, "SELECT "+step.Tag+", rows FROM "+l.Chunk(2)+" UNION ALL SELECT "+step.Tag+", rows FROM "+l.Chunk(1)); got != "2:5000" {
				t.Error(got)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// exactness.md 25: neither how many chunks are handed over at once nor where that ends makes a difference.
func TestChunksHandedOverTogetherAreCalledForOneByOne(t *testing.T) {
	dir := t.TempDir()
	const code = "import pandas as pd\ndef count(df, chunk):\n    print(chunk.key, len(df))\n    return pd.DataFrame({'rows': [len(df), int(df['n'].sum())]})\n"
	if err := os.WriteFile(filepath.Join(dir, "count.py"), []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	in, out := open(t), open(t)
	sizes := []int{5, 0, 3000, 2000, 1, 1, 1, 40_000, 0, 9000, 7, 0}
	all := chunks(t, in, sizes...)
	c := call(t, in, 0, "", columns, counted)
	c.Function = step.Function{Python: "count.py:count"}
	var printed []string
	r := runner(t, in, Env{Dir: dir, Bin: pythontest.Python(t), Log: func(chunk, line string) { printed = append(printed, chunk+": "+line) }}, c)
	want, lines := "", ""
	for i, n := range sizes {
		if n > 0 {
			want += fmt.Sprintf(" %d:%d:%d", i, n, n*(n-1)/2)
			lines += fmt.Sprintf("k%d: k%d %d\n", i, i, n)
		}
	}
	for range 2 {
		printed = nil
		l := r.Over(t.Context(), out, &table{}, all)
		got := texts(t, out, "SELECT "+step.Tag+", first(rows), last(rows) FROM "+l.All()+" GROUP BY ALL ORDER BY ALL")
		if err := l.Close(); err != nil || " "+got != want || strings.Join(printed, "\n")+"\n" != lines {
			t.Errorf("%v: got %s, want %s, printed %q", err, got, want, printed)
		}
		// A scan that is given up half-way ends the call that runs.
		l = r.Over(t.Context(), out, &table{}, all)
		if got := texts(t, out, "SELECT rows FROM "+l.All()+" LIMIT 1"); got != "5" {
			t.Error(got)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if r.Took() <= 0 {
		t.Error("the calls have taken no time")
	}
}

// ordered is a source that yields its rows in the order of its chunks, or says so.
type ordered struct {
	table
	by string
}

func (o *ordered) Grouped() string { return "(SELECT * FROM t ORDER BY " + o.by + ")" }

func TestASourceThatPutsItsRowsInOrderIsNotSorted(t *testing.T) {
	in, out := open(t), open(t)
	all := chunks(t, in, 5, 0, 5000, 1)
	r := runner(t, in, Env{}, call(t, in, 0, "count", columns, counted))
	l := r.Over(t.Context(), out, &ordered{by: step.Tag}, all)
	if got := texts(t, out, "SELECT "+step.Tag+", rows FROM "+l.All()+" ORDER BY 1"); got != "0:5 2:5000 3:1" {
		t.Error(got)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	l = r.Over(t.Context(), out, &ordered{by: "n"}, all)
	if _, err := out.Texts(t.Context(), "SELECT * FROM "+l.All()); err == nil || !strings.Contains(err.Error(), "not in the order of its chunks") {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestFunctionsFollowEachOther(t *testing.T) {
	in, out := open(t), open(t)
	all := chunks(t, in, 3000, 0, 7)
	first := call(t, in, 0, "same", columns, columns)
	second := call(t, in, 2, "count", columns, counted, drover.Step{Filter: "n % 2 = 0"})
	r := runner(t, in, Env{}, first, second)
	for range 2 {
		l := r.Over(t.Context(), out, &table{}, all)
		if got := texts(t, out, "SELECT "+step.Tag+", rows FROM "+l.All()+" ORDER BY 1"); got != "0:1500 2:4" {
			t.Error(got)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestValuesPassThroughAFunction(t *testing.T) {
	in, out := open(t), open(t)
	all := chunks(t, in, 10_000)
	r := runner(t, in, Env{}, call(t, in, 0, "same", columns, columns))
	l := r.Over(t.Context(), out, &table{}, all)
	defer l.Close() //nolint:errcheck // the test reads, and closing is tested above
	want := texts(t, in, "SELECT sum(hash(n, s)) FROM t")
	if got := texts(t, out, "SELECT sum(hash(n, s)) FROM "+l.All()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWhatAFunctionDoesWrongNamesItsStep(t *testing.T) {
	wrong := func(columns []arrow.Field, values ...arrow.Array) drover.Func {
		return func(context.Context, arrow.RecordBatch) (arrow.RecordBatch, error) {
			return array.NewRecordBatch(arrow.NewSchema(columns, nil), values, 0), nil
		}
	}
	empty := func(typ arrow.DataType) arrow.Array { return array.MakeArrayOfNull(memory.DefaultAllocator, typ, 0) }
	for name, c := range map[string]struct {
		fn   drover.Func
		part string
		kind drover.Kind
		env  Env
	}{
		"error":          {fn: func(context.Context, arrow.RecordBatch) (arrow.RecordBatch, error) { return nil, errors.New("no luck") }, part: "no luck", kind: drover.Data},
		"panic":          {fn: func(context.Context, arrow.RecordBatch) (arrow.RecordBatch, error) { panic("oh") }, part: "panic: oh at ", kind: drover.Data},
		"nothing":        {fn: func(context.Context, arrow.RecordBatch) (arrow.RecordBatch, error) { return nil, nil }, part: "returned no batch", kind: drover.Data},
		"missing column": {fn: wrong(nil), part: "did not return column rows", kind: drover.Data},
		"more columns": {fn: wrong([]arrow.Field{{Name: "rows", Type: arrow.PrimitiveTypes.Int64}, {Name: "x", Type: arrow.PrimitiveTypes.Int64}},
			empty(arrow.PrimitiveTypes.Int64), empty(arrow.PrimitiveTypes.Int64)), part: "column x, which its schema does not have", kind: drover.Data},
		"no name": {fn: wrong([]arrow.Field{{Name: "", Type: arrow.PrimitiveTypes.Int64}}, empty(arrow.PrimitiveTypes.Int64)), part: "returned a column without a name", kind: drover.Data},
		"type":    {fn: wrong([]arrow.Field{{Name: "rows", Type: arrow.BinaryTypes.String}}, empty(arrow.BinaryTypes.String)), part: "rows as VARCHAR, and its schema says BIGINT", kind: drover.Data},
		"hangs": {fn: func(ctx context.Context, _ arrow.RecordBatch) (arrow.RecordBatch, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, part: "longer than 10ms", kind: drover.Transient, env: Env{Timeout: 10 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			in, out := open(t), open(t)
			all := chunks(t, in, 3)
			c.env.Program = map[string]drover.Func{"count": c.fn}
			r := runner(t, in, c.env, call(t, in, 4, "count", columns, counted))
			l := r.Over(t.Context(), out, &table{}, all)
			defer l.Close() //nolint:errcheck // the query failed
			_, err := out.Texts(t.Context(), "SELECT * FROM "+l.All())
			var e *drover.Error
			if !errors.As(err, &e) || e.Kind != c.kind || e.Field != "steps[4].go" || !strings.Contains(e.Message, c.part) || !strings.HasPrefix(e.Message, "step 5 (go): ") {
				t.Errorf("%+v", err)
			}
		})
	}
}

// exactness.md 26: without a declaration the columns are those of a sample.
func TestLearnedColumns(t *testing.T) {
	in := open(t)
	all := chunks(t, in, 0, 3)
	fn := func(context.Context, arrow.RecordBatch) (arrow.RecordBatch, error) {
		null, text := array.MakeArrayOfNull(memory.DefaultAllocator, arrow.Null, 1), array.MakeArrayOfNull(memory.DefaultAllocator, arrow.BinaryTypes.String, 1)
		return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.Null}, {Name: "b", Type: arrow.BinaryTypes.String}}, nil), []arrow.Array{null, text}, 1), nil
	}
	r := runner(t, in, Env{Program: map[string]drover.Func{"f": fn}}, call(t, in, 0, "f", columns, nil))
	for i, want := range []drover.Schema{nil, {{Name: "a", Type: `"NULL"`}, {Name: "b", Type: "VARCHAR"}}} {
		// A relation of one chunk calls it 0.
		if err := in.Exec(t.Context(), fmt.Sprintf("CREATE OR REPLACE TABLE t AS SELECT n, s, 0::BIGINT AS %s FROM range(%d) x(n), (SELECT 'x' AS s)", step.Tag, i)); err != nil {
			t.Fatal(err)
		}
		got, err := r.Learn(t.Context(), &table{}, all[i])
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

// exactness.md 33: a function receives the smaller types, a chunk with a value that does not fit its own, and the answer has the columns' own.
func TestAFunctionReceivesSmallerTypesWhereTheyHoldEveryValue(t *testing.T) {
	s, out := open(t), open(t)
	sizes := chunks(t, s, 5, 200, 40)
	var received []string
	c := call(t, s, 0, "look", columns, columns)
	c.Narrow = drover.Schema{{Name: "n", Type: "TINYINT"}, {Name: "s", Type: downcast.Dictionary}}
	r := runner(t, s, Env{Program: map[string]drover.Func{"look": func(_ context.Context, chunk arrow.RecordBatch) (arrow.RecordBatch, error) {
		received = append(received, chunk.Column(0).DataType().Name()+" "+chunk.Column(1).DataType().Name())
		chunk.Retain()
		return chunk, nil
	}}}, c)
	relation := r.Over(t.Context(), out, &table{}, sizes)
	got := texts(t, out, fmt.Sprintf("SELECT %s, typeof(any_value(n)), sum(n), count(DISTINCT s), max(s) FROM %s GROUP BY ALL ORDER BY ALL", step.Tag, relation.All()))
	if want := "0:BIGINT:10:5:text number 4 1:BIGINT:19900:200:text number 99 2:BIGINT:780:40:text number 9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if want := []string{"int8 dictionary", "int64 dictionary", "int8 dictionary"}; !slices.Equal(received, want) {
		t.Errorf("got %s, want %s", received, want)
	}
	if err := relation.Close(); err != nil {
		t.Error(err)
	}
}
