package files

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/pgurl"
	"github.com/droverdata/drover/internal/vocabulary"
)

// codecs says which compressions a format takes.
var codecs = map[string][]string{
	"parquet": {"zstd", "snappy", "gzip", "lz4", "uncompressed"},
	"csv":     {"zstd", "gzip", "uncompressed"},
	"json":    {"zstd", "gzip", "uncompressed"},
	"arrow":   {"zstd", "lz4", "uncompressed"},
}

// plainType matches types whose values are no lists and have no fields.
var plainType = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_ ]*(\( *[0-9]+ *(, *[0-9]+ *)?\))?$`)

// Validate refuses a source that is wrong whatever lies at its path. The error's Field is relative to the source.
func (s *Source) Validate() error {
	if err := vocabulary.Check(s); err != nil {
		return err
	}
	if s.NoHeader && s.Format != "" && s.Format != formatCSV {
		return drover.Errorf(drover.Invalid, "no_header is for csv files, and the format is %s", s.Format).
			WithField("no_header").WithHint("remove no_header")
	}
	if len(s.Types) > 0 && s.Format != "" && s.Format != formatCSV {
		return drover.Errorf(drover.Invalid, "types is for csv files, and the format is %s", s.Format).
			WithField("types").WithHint("remove types, and add a step cast")
	}
	for _, p := range s.Types {
		if !plainType.MatchString(p.Value) {
			return drover.Errorf(drover.Invalid, "types gives column %s the type %q, which is no plain type", p.Key, p.Value).
				WithField("types." + p.Key).WithHint("write a type of DuckDB's, such as VARCHAR, BIGINT, DOUBLE, DECIMAL(12,2), DATE or TIMESTAMP")
		}
	}
	for i, path := range s.Path {
		field := fmt.Sprintf("path[%d]", i)
		if len(s.Path) == 1 {
			field = "path"
		}
		if err := checkPath(path, field); err != nil {
			return err
		}
	}
	return nil
}

// Validate refuses a sink that is wrong whatever lies at its path. The error's Field is relative to the sink.
func (s *Sink) Validate() error {
	if err := vocabulary.Check(s); err != nil {
		return err
	}
	if err := checkPath(s.Path, "path"); err != nil {
		return err
	}
	format := s.Format
	if format == "" {
		format = "parquet"
	}
	if known := codecs[format]; s.Compression != "" && !slices.Contains(known, s.Compression) {
		return drover.Errorf(drover.Invalid, "%s files have no compression %q", format, s.Compression).
			WithField("compression").WithHint("%s", vocabulary.DidYouMean(s.Compression, known))
	}
	if s.RowGroupRows != 0 && format != "parquet" {
		return drover.Errorf(drover.Invalid, "row_group_rows is for parquet files, and the format is %s", format).
			WithField("row_group_rows").WithHint("remove row_group_rows, or write format: parquet")
	}
	if s.MaxFiles != 0 && len(s.Partition) == 0 {
		return drover.Errorf(drover.Invalid, "max_files is for partitioned datasets, and there is no partition_by").
			WithField("max_files").WithHint("Remove max_files, or add partition_by: [COLUMN].")
	}
	if s.Mode == OverwritePartitions && len(s.Partition) == 0 {
		return drover.Errorf(drover.Invalid, "mode overwrite_partitions needs partition_by").
			WithField("mode").WithHint("add partition_by: [COLUMN], or write mode: overwrite to replace the whole dataset")
	}
	return nil
}

// checkPath refuses URLs: read as a local path, s3://bucket would quietly become a folder called "s3:".
func checkPath(path, field string) error {
	if pgurl.Of(path) == pgurl.Mistyped {
		return drover.Errorf(drover.Invalid, "this is neither a local path nor a postgres:// URL, but resembles one").WithField(field).WithHint(pgurl.Spelling)
	}
	scheme, _, found := strings.Cut(path, "://")
	if found && !strings.ContainsAny(scheme, "/*?[") {
		return drover.Errorf(drover.Invalid, "this version of drover reads and writes local paths, not %s://", scheme).
			WithField(field).WithHint("write a local path")
	}
	return nil
}
