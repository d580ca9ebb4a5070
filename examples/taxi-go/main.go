// The taxi job as a Go program, with a function of its own: it has every verb of drover, and its workers are itself.
//
//	go run ./examples/taxi-go plan
//	go run ./examples/taxi-go run
package main

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/cli"
	"github.com/droverdata/drover/connector/files"
)

func main() {
	cli.Main(drover.Job{
		Name: "taxi-go",
		Frame: drover.Read(files.In("examples/taxi/data/")).ChunkFiles(1).
			Select("passenger_count", "payment_type", "trip_distance", "total_amount").Filter("trip_distance > 1").
			Cast("trip_distance", "DOUBLE").Cast("total_amount", "DOUBLE").
			Map("per-mile", perMile),
		Sink: files.Out("examples/taxi-go/out/").PartitionBy("passenger_count").Overwrite(),
	})
}

// perMile adds what a mile has cost. Its batch has the rows of one chunk, here one file.
func perMile(_ context.Context, chunk arrow.RecordBatch) (arrow.RecordBatch, error) {
	column := func(name string) *array.Float64 {
		return chunk.Column(chunk.Schema().FieldIndices(name)[0]).(*array.Float64)
	}
	miles, amount := column("trip_distance"), column("total_amount")
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	defer b.Release()
	for i := range miles.Len() {
		if miles.IsNull(i) || amount.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(amount.Value(i) / miles.Value(i))
	}
	values := b.NewFloat64Array()
	defer values.Release()
	fields := append(chunk.Schema().Fields(), arrow.Field{Name: "per_mile", Type: arrow.PrimitiveTypes.Float64, Nullable: true})
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), append(chunk.Columns(), values), chunk.NumRows()), nil
}
