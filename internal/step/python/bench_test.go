package python

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
	"golang.org/x/sys/unix"

	"github.com/droverdata/drover/internal/step/function"
)

const (
	benchRows  = 200_000
	benchBatch = 2048 // as DuckDB hands them over
	benchHot   = 4    // batches that take turns: those of DuckDB are in the processor's cache, it has just made them
)

// benchSchema has 20 columns of the kinds that tables have.
func benchSchema(nullable bool) *arrow.Schema {
	var fields []arrow.Field
	for i, name := range strings.Fields("bigint bigint integer integer integer smallint double double double float timestamp timestamp date decimal_12_2 decimal_12_2 boolean varchar varchar varchar varchar") {
		typ := types[name]
		if name == "decimal_12_2" {
			typ = &arrow.Decimal128Type{Precision: 12, Scale: 2}
		}
		fields = append(fields, arrow.Field{Name: fmt.Sprint("c", i), Type: typ, Nullable: nullable})
	}
	return arrow.NewSchema(fields, nil)
}

// benchRecords makes the rows; a tenth of the values is NULL where there may be NULLs.
func benchRecords(b *testing.B, schema *arrow.Schema) []arrow.RecordBatch {
	b.Helper()
	var all []arrow.RecordBatch
	build := array.NewRecordBuilder(mallocator.NewMallocator(), schema)
	defer build.Release()
	for row := range benchHot * benchBatch {
		for c, f := range schema.Fields() {
			if f.Nullable && (row*7+c)%10 == 0 {
				build.Field(c).AppendNull()
				continue
			}
			v := row * (c + 13) % 1000003
			switch to := build.Field(c).(type) {
			case *array.Int64Builder:
				to.Append(int64(v))
			case *array.Int32Builder:
				to.Append(int32(v))
			case *array.Int16Builder:
				to.Append(int16(v % 30000))
			case *array.Float64Builder:
				to.Append(float64(v) / 7)
			case *array.Float32Builder:
				to.Append(float32(v) / 7)
			case *array.TimestampBuilder:
				to.Append(arrow.Timestamp(1600000000000000 + int64(v)*1000000))
			case *array.Date32Builder:
				to.Append(arrow.Date32(v % 20000))
			case *array.Decimal128Builder:
				to.Append(decimal128.FromI64(int64(v)))
			case *array.BooleanBuilder:
				to.Append(v%5 < 2)
			case *array.StringBuilder:
				to.Append([]string{fmt.Sprint("c", row%1000), fmt.Sprintf("User%d@example%d.com", row, row%97), "Rio de Janeiro", fmt.Sprintf("note text number %d lorem ipsum dolor", row)}[c-16])
			default:
				b.Fatalf("no values for %T", to)
			}
		}
		if (row+1)%benchBatch == 0 {
			all = append(all, build.NewRecordBatch())
		}
	}
	for left := benchRows - len(all)*benchBatch; left > 0; left -= benchBatch {
		all = append(all, all[len(all)%benchHot].NewSlice(0, int64(min(left, benchBatch))))
	}
	return all
}

const benchFunction = `
import time
import pandas as pd, pyarrow as pa
pa.set_cpu_count(1)

def clean(df):
    df["c17"] = df["c17"].str.lower()
    df["c6"] = df["c6"] * 1.19
    return df[df["c15"].fillna(False).astype(bool)]

MODES = {"pyarrow": pd.ArrowDtype, "numpy": None, "auto": None, "nullable": None}

# The same with pyarrow's own conversions, in this process, on the same data.
def here(table: pa.Table, chunk):
    table = table.combine_chunks()
    began, ran = time.perf_counter(), time.process_time()
    convert_and_call(table, MODES[chunk.key])
    print((time.perf_counter() - began) * 1000, (time.process_time() - ran) * 1000)
    return table.slice(0, 1)

def convert_and_call(table, mapper):
    df = clean(table.to_pandas(types_mapper=mapper, use_threads=False))
    pa.Table.from_pandas(df, schema=table.schema, preserve_index=False, nthreads=1)
`

// cpuOf returns the CPU time in milliseconds of this process and of the child's main thread (Linux; proc(5), schedstat). On a busy machine it says
// more than the wall clock.
func cpuOf(b *testing.B, c *Child) float64 {
	b.Helper()
	var own unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); err != nil {
		b.Fatal(err)
	}
	total := float64(own.Utime.Nano()+own.Stime.Nano()) / 1e6
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", c.PID())); err == nil {
		var ran float64
		if _, err := fmt.Sscan(string(stat), &ran); err != nil {
			b.Fatal(err)
		}
		total += ran / 1e6
	}
	return total
}

// benchRound is how many chunks follow each other before it is the other side's turn.
const benchRound = 8

// BenchmarkBridge compares chunks that follow each other, as those of a task do, and a chunk alone, with what pyarrow's own conversions and the same
// function take in one Python process on the same data, in turns. It reports the medians in milliseconds and their ratios. "auto" and "nullable" beside
// pyarrow's conversion to NumPy keep what that loses.
func BenchmarkBridge(b *testing.B) {
	for _, mode := range []string{"numpy", "pyarrow", "auto", "nullable"} {
		b.Run(mode, func(b *testing.B) {
			schema := benchSchema(mode != "numpy")
			records := benchRecords(b, schema)
			defer func() {
				for _, r := range records {
					r.Release()
				}
			}()
			bridge, _ := start(b, benchFunction, func(o *Options) {
				o.Spec.DTypes, o.Input, o.Output = strings.TrimPrefix(mode, "auto"), schema, schema
			})
			var here, hereCPU, alone, through, throughCPU []float64
			beside, _ := start(b, benchFunction, func(o *Options) {
				o.Spec.Function, o.Input = "clean.py:here", schema
				o.Log = func(_, line string) {
					var wall, cpu float64
					if _, err := fmt.Sscan(line, &wall, &cpu); err != nil {
						b.Error(line)
					}
					here, hereCPU = append(here, wall), append(hereCPU, cpu)
				}
			})
			chunk := []function.Part{{Chunk: function.Chunk{Key: mode}, Rows: benchRows}}
			hand := func(to *Child) (wait func() (function.Answers, error)) {
				rows, err := array.NewRecordReader(schema, records)
				if err != nil {
					b.Fatal(err)
				}
				defer rows.Release()
				if wait, err = to.CallEach(b.Context(), batchOf{rows, chunk}); err != nil {
					b.Fatal(err)
				}
				return wait
			}
			take := func(wait func() (function.Answers, error)) (rows int) {
				answers, err := wait()
				if err != nil {
					b.Fatal(err)
				}
				defer answers.Rows.Release()
				for answers.Rows.Next() {
					rows += int(answers.Rows.RecordBatch().NumRows())
				}
				return rows
			}
			for _, child := range []*Child{beside, bridge} {
				take(hand(child)) // starts the process
			}
			for range b.N {
				for range benchRound {
					take(hand(beside))
				}
				began := time.Now()
				if n := take(hand(bridge)); n < benchRows/4 || n > benchRows*3/4 {
					b.Fatalf("%d rows", n)
				}
				alone = append(alone, milliseconds(began))
				running := hand(bridge)
				began, ran := time.Now(), cpuOf(b, bridge)
				for range benchRound {
					next := hand(bridge)
					take(running)
					running = next
				}
				through = append(through, milliseconds(began)/benchRound)
				throughCPU = append(throughCPU, (cpuOf(b, bridge)-ran)/benchRound)
				take(running)
			}
			median := func(v []float64) float64 { v = slices.Sorted(slices.Values(v)); return v[len(v)/2] }
			b.ReportMetric(median(here), "ms-in-python")
			b.ReportMetric(median(through), "ms-bridge")
			b.ReportMetric(median(through)/median(here), "ratio")
			b.ReportMetric(median(alone)/median(here), "ratio-alone")
			b.ReportMetric(median(hereCPU), "cpu-ms-in-python")
			b.ReportMetric(median(throughCPU), "cpu-ms-bridge")
			b.ReportMetric(median(throughCPU)/median(hereCPU), "cpu-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }
