package files

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// arrowSchemaKey is the key, in a Parquet file's metadata, of the Arrow schema that the file was written from: a message of Arrow IPC in base64
// (Arrow's C++, Go and Rust writers).
const arrowSchemaKey = "ARROW:schema"

// refuseDurations refuses kept columns of Arrow durations. Parquet has no such type: the file has plain integers, and only the Arrow schema
// beside them knows that they are durations, and of what unit. DuckDB does not look there.
func refuseDurations(ctx context.Context, s *duck.Session, path string, kept []string) error {
	var text string
	query := "SELECT decode(value) FROM parquet_kv_metadata(" + duck.Literal(globEscape(path)) + ") WHERE key = '" + arrowSchemaKey + "'"
	err := texts(ctx, s, query, func(row []cell) error { text = row[0].Text; return nil })
	if err != nil {
		return fmt.Errorf("read the metadata of %s: %w", path, err)
	}
	message, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(message) == 0 {
		return nil // not what Arrow writes: then it says nothing of durations either
	}
	r, err := ipc.NewReader(strings.NewReader(string(message)))
	if err != nil {
		return nil
	}
	defer r.Release()
	for _, f := range r.Schema().Fields() {
		isKept := slices.ContainsFunc(kept, func(column string) bool { return strings.EqualFold(column, f.Name) })
		if isKept && hasDuration(f.Type) {
			e := drover.Errorf(drover.Data, "column %s of %s is %s in Arrow, and plain numbers in Parquet, which DuckDB would read without their unit", f.Name, path, f.Type).
				WithHint("drop the column, or write it as numbers (pyarrow: column.cast(pa.int64()); pandas: column.dt.total_seconds())")
			e.Column = f.Name
			return e
		}
	}
	return nil
}

func hasDuration(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.DurationType:
		return true
	case *arrow.DictionaryType:
		return hasDuration(t.ValueType)
	case arrow.ExtensionType:
		return hasDuration(t.StorageType())
	case arrow.NestedType:
		return slices.ContainsFunc(t.Fields(), func(f arrow.Field) bool { return hasDuration(f.Type) })
	}
	return false
}
