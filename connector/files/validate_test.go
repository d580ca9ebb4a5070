package files

import (
	"errors"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		rule        string
		spec        interface{ Validate() error }
		field, part string // "" for a spec that is right
	}{
		{"a source needs a path", In(), "path", "missing"},
		{"a source's path is not empty", In("a", ""), "path[1]", "empty"},
		{"a source has a known format", &Source{Path: drover.Strings{"a"}, Format: "orc"}, "format", "unknown format"},
		{"a source of files", In("a", "b/*.csv", "c:d"), "", ""},
		{"s3 comes later", In("s3://bucket/x"), "path", "s3://"},
		{"s3 comes later, in a list", In("a", "s3://bucket/x"), "path[1]", "s3://"},
		{"a glob is no URL", In("x*/a://b"), "", ""},
		{"a sink needs a path", &Sink{}, "path", "missing"},
		{"a sink's path is local", Out("https://x/y"), "path", "https://"},
		{"a sink", Out("a").PartitionBy("x", "y").OverwritePartitions(), "", ""},
		{"a sink has a known mode", &Sink{Path: "a", Mode: "apend"}, "mode", "unknown mode"},
		{"partition columns differ", Out("a").PartitionBy("x", "X"), "partition_by[1]", "twice"},
		{"overwrite_partitions needs partitions", Out("a").OverwritePartitions(), "mode", "needs partition_by"},
		{"parquet is the default format", &Sink{Path: "a", Compression: "snappy", RowGroupRows: 5}, "", ""},
		{"a codec belongs to its format", &Sink{Path: "a", Format: "csv", Compression: "snappy"}, "compression", "csv files"},
		{"a codec is known", &Sink{Path: "a", Compression: "brotli"}, "compression", "parquet files"},
		{"row groups are parquet's", &Sink{Path: "a", Format: "json", RowGroupRows: 5}, "row_group_rows", "parquet"},
		{"rows a file are not negative", &Sink{Path: "a", MaxRowsPerFile: -1}, "max_rows_per_file", "at least 0"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			err := c.spec.Validate()
			if c.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *drover.Error
			if !errors.As(err, &e) || e.Kind != drover.Invalid || e.Field != c.field || !strings.Contains(e.Message, c.part) {
				t.Errorf("%+v; want %q at %q", err, c.part, c.field)
			}
		})
	}
}
