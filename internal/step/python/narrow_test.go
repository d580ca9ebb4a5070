package python

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/downcast"
)

// exactness.md 33: smaller types are those of the frame where they hold every value of the chunk; else its own, which the log counts. What comes back
// has the schema's types.
func TestSmallerTypesAreThoseOfTheFrameWhereTheyHoldEveryValue(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64},
		{Name: "f", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	for frame, want := range map[string][3]string{
		"pandas":  {"int8 float[pyarrow] category", "int64 float[pyarrow] category", "int8 double[pyarrow] category"},
		"polars":  {"Int8 Float32 Categorical", "Int64 Float32 Categorical", "Int8 Float64 Categorical"},
		"pyarrow": {"int8 float dictionary<values=string, indices=int32, ordered=0>", "int64 float dictionary<values=string, indices=int32, ordered=0>", "int8 double dictionary<values=string, indices=int32, ordered=0>"},
	} {
		t.Run(frame, func(t *testing.T) {
			c, l := start(t, `
def clean(df):
    types = df.schema.types if hasattr(df, "schema") and hasattr(df.schema, "types") else list(df.dtypes)
    print(*types)
    return df
`, func(o *Options) {
				o.Input, o.Output, o.Spec.Frame = schema, schema, frame
				o.Narrow = drover.Schema{{Name: "n", Type: "TINYINT"}, {Name: "f", Type: "FLOAT"}, {Name: "s", Type: downcast.Dictionary}}
			})
			for i, rows := range []string{
				`{"f":0.5,"n":127,"s":"a"}` + "\n" + `{"f":null,"n":-128,"s":null}`,
				`{"f":-0.25,"n":128,"s":"b"}` + "\n" + `{"f":null,"n":1,"s":"b"}`,
				`{"f":0.1,"n":1,"s":"b"}` + "\n" + `{"f":0.5,"n":2,"s":"c"}`,
			} {
				got, err := call(t, c, "x", rowsOf(t, schema, "["+strings.ReplaceAll(rows, "\n", ",")+"]"))
				if err != nil || got != rows {
					t.Errorf("got %s, %v, want %s", got, err, rows)
				}
				if !strings.Contains(l.text(), "x: "+want[i]) {
					t.Errorf("got %s, want %s", l.text(), want[i])
				}
			}
			for _, line := range []string{
				"column n is int64 for this chunk, not int8: 1 of its values do not fit", "column f is double for this chunk, not float32: 1 of its values do not fit",
			} {
				if !strings.Contains(l.text(), line) {
					t.Errorf("the log has no line %q: %s", line, l.text())
				}
			}
		})
	}
}
