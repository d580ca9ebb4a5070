// Package golang calls functions of the user's Go program.
package golang

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step/function"
)

// Function implements function.Function in this process. The function that is called must end by itself when its ctx is done.
type Function struct {
	call drover.Func
	// output is the columns that answers must have; nil takes any.
	output drover.Schema
	// narrow are the columns that the function receives in a smaller type, and log is told where a chunk does not allow it.
	narrow drover.Schema
	log    func(line string)
	// timeout is how long one call may take.
	timeout time.Duration
	memory  memory.Allocator
}

// New returns the function that calls fn. Answers have exactly the columns of output, in its order, with types that DuckDB reads as its own;
// any, where output is nil. narrow are columns that fn receives in a smaller type where a chunk's values allow it; log is told where they do not.
// timeout is how long one call may take; 0 means for ever.
func New(fn drover.Func, output, narrow drover.Schema, timeout time.Duration, log func(line string)) *Function {
	return &Function{call: fn, output: output, narrow: narrow, timeout: timeout, log: log, memory: mallocator.NewMallocator()}
}

// PID implements function.Function.
func (*Function) PID() int { return 0 }

// Close implements function.Function.
func (*Function) Close() error { return nil }

// Call implements function.Function.
func (f *Function) Call(ctx context.Context, _ function.Chunk, rows array.RecordReader) (array.RecordReader, error) {
	chunk, err := f.whole(rows)
	if err != nil {
		return nil, err
	}
	chunk = f.narrowed(chunk)
	defer chunk.Release()
	answer, err := f.guarded(ctx, chunk)
	if err != nil {
		return nil, err
	}
	answer = f.widened(answer)
	defer answer.Release()
	columns, err := f.columns(answer)
	if err != nil {
		return nil, err
	}
	return f.keep(answer, columns)
}

// whole is all rows in one batch.
func (f *Function) whole(rows array.RecordReader) (arrow.RecordBatch, error) {
	parts := make([][]arrow.Array, rows.Schema().NumFields())
	defer func() {
		for _, column := range parts {
			release(column)
		}
	}()
	n := int64(0)
	for rows.Next() {
		batch := rows.RecordBatch()
		n += batch.NumRows()
		for i, column := range batch.Columns() {
			column.Retain()
			parts[i] = append(parts[i], column)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	columns := make([]arrow.Array, 0, len(parts))
	defer func() { release(columns) }()
	for i, p := range parts {
		column, err := array.Concatenate(p, f.memory)
		if err != nil {
			return nil, fmt.Errorf("put column %s together: %w", rows.Schema().Field(i).Name, err)
		}
		columns = append(columns, column)
	}
	return array.NewRecordBatch(rows.Schema(), columns, n), nil
}

func release(columns []arrow.Array) {
	for _, c := range columns {
		c.Release()
	}
}

// guarded calls the function. A panic of it is its error.
func (f *Function) guarded(ctx context.Context, chunk arrow.RecordBatch) (answer arrow.RecordBatch, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = drover.Errorf(drover.Data, "panic: %v%s", v, place(string(debug.Stack())))
		}
	}()
	ctx, cancel := function.Within(ctx, f.timeout)
	defer cancel()
	answer, err = f.call(ctx, chunk)
	if late := function.Late(ctx); late != nil && err != nil {
		return nil, late
	}
	switch {
	case err != nil:
		return nil, drover.Errorf(drover.Data, "%w", err)
	case answer == nil:
		return nil, drover.Errorf(drover.Data, "the function returned no batch, and no error").
			WithHint("a chunk of which nothing is left is a batch of no rows")
	}
	return answer, nil
}

// place finds where in a stack the function panicked: the first file below the panic.
func place(stack string) string {
	_, below, _ := strings.Cut(stack, "panic(")
	lines := strings.Split(below, "\n")
	for i, line := range lines {
		if i > 1 && strings.HasPrefix(line, "\t") && !strings.Contains(line, "/runtime/") {
			where, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			return " at " + where
		}
	}
	return ""
}

// columns finds the answer's column for each of the output's.
func (f *Function) columns(answer arrow.RecordBatch) ([]int, error) {
	found, err := duck.ArrowColumns(answer.Schema())
	if err != nil {
		return nil, err
	}
	want := f.output
	if want == nil {
		want = found
	}
	for i, c := range found {
		switch {
		case c.Name == "":
			return nil, misfit("", "the function returned a column without a name, the %d. of %d", i+1, len(found))
		case found[:i].Index(c.Name) >= 0:
			return nil, misfit(c.Name, "the function returned column %s twice", c.Name)
		case want.Index(c.Name) < 0:
			return nil, misfit(c.Name, "the function returned column %s, which its schema does not have", c.Name)
		}
	}
	places := make([]int, len(want))
	for i, c := range want {
		k := found.Index(c.Name)
		switch {
		case k < 0:
			return nil, misfit(c.Name, "the function did not return column %s", c.Name)
		case found[k].Type != c.Type && answer.Column(k).NullN() < answer.Column(k).Len():
			return nil, misfit(c.Name, "the function returned column %s as %s, which is %s, and its schema says %s", c.Name, answer.Schema().Field(k).Type, found[k].Type, c.Type)
		case found[k].Type != c.Type && found[k].Type != `"NULL"`:
			return nil, misfit(c.Name, "the function returned column %s as %s, and its schema says %s", c.Name, found[k].Type, c.Type)
		}
		places[i] = k
	}
	return places, nil
}

func misfit(column, format string, args ...any) error {
	e := drover.Errorf(drover.Data, format, args...).WithHint("every chunk must have the columns of the plan: see drover plan, or declare them with Returning")
	e.Column = column
	return e
}

// keep copies an answer's columns to C memory, where DuckDB may read them.
func (f *Function) keep(answer arrow.RecordBatch, places []int) (array.RecordReader, error) {
	fields, columns := make([]arrow.Field, 0, len(places)), make([]arrow.Array, 0, len(places))
	defer func() { release(columns) }()
	for _, i := range places {
		column, err := array.Concatenate([]arrow.Array{answer.Column(i)}, f.memory)
		if err != nil {
			return nil, fmt.Errorf("take over column %s: %w", answer.ColumnName(i), err)
		}
		columns = append(columns, column)
		fields = append(fields, answer.Schema().Field(i))
	}
	schema := arrow.NewSchema(fields, nil)
	batch := array.NewRecordBatch(schema, columns, answer.NumRows())
	defer batch.Release()
	return array.NewRecordReader(schema, []arrow.RecordBatch{batch})
}
