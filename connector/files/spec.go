// Package files reads and writes folders of Parquet, CSV, newline JSON and Arrow IPC files.
package files

import (
	"strings"

	"github.com/droverdata/drover"
)

// Name is the connector's name in job files.
const Name = "files"

// Source says which files to read.
type Source struct {
	// Path is a folder, a file or a glob, or several of them.
	Path drover.Strings `json:"path" jsonschema:"required"`
	// Format is parquet, csv, json or arrow. Empty: by the files' names.
	Format string `json:"format,omitempty" jsonschema:"enum=parquet,enum=csv,enum=json,enum=arrow"`
	// NoHeader says that the first line of the CSV files is data: the columns are column0, column1 and so on.
	NoHeader bool `json:"no_header,omitempty"`
	// Types gives columns of CSV files their types, in the place of those that their values suggest.
	Types []drover.Pair `json:"types,omitempty"`
}

// In reads the files at the given paths.
func In(path ...string) *Source { return &Source{Path: path} }

// Connector implements drover.Source.
func (*Source) Connector() string { return Name }

func (s *Source) String() string { return "files " + strings.Join(s.Path, ", ") }

// Meaning implements drover.Source.
func (s *Source) Meaning() any { return s }

// AsSink returns a sink that refuses a place where data is, and one that writes what the source would read, all or nothing.
func (s *Source) AsSink() (empty, write drover.Sink, err error) {
	if len(s.Path) != 1 || strings.ContainsAny(s.Path[0], "*?[") {
		return nil, nil, drover.Errorf(drover.Invalid, "what is written needs one folder, not several paths or a pattern").WithField("path").WithHint("path: truth/")
	}
	sink := &Sink{Path: s.Path[0], Format: s.Format, Mode: Error}
	return sink, sink, nil
}

// Mode says what a sink does with data that is there already.
type Mode string

// The modes of a files sink.
const (
	Error               Mode = "error" // refuse to write where there is data
	Append              Mode = "append"
	Overwrite           Mode = "overwrite"
	OverwritePartitions Mode = "overwrite_partitions" // replace only the partitions that get rows
)

// Sink says where and how to write a dataset.
type Sink struct {
	// Path is the dataset's folder.
	Path string `json:"path" jsonschema:"required"`
	// Format is parquet (default), csv, json or arrow.
	Format string `json:"format,omitempty" jsonschema:"enum=parquet,enum=csv,enum=json,enum=arrow"`
	// Partition names the Hive partition columns, outermost first.
	Partition []string `json:"partition_by,omitempty"`
	Mode      Mode     `json:"mode,omitempty" jsonschema:"enum=append,enum=overwrite,enum=overwrite_partitions,enum=error"`
	// Compression is the codec of the format: zstd, snappy (Parquet's default), gzip, lz4, uncompressed.
	Compression    string `json:"compression,omitempty"`
	MaxRowsPerFile int64  `json:"max_rows_per_file,omitempty" jsonschema:"minimum=0"`
	RowGroupRows   int64  `json:"row_group_rows,omitempty" jsonschema:"minimum=1"`
	// MaxFiles is how many files the tasks of a run may leave in partitions; 10,000 by default. Where they would leave more, each task
	// writes one file that is merged with the others' before it is published.
	MaxFiles int64 `json:"max_files,omitempty" jsonschema:"minimum=1"`
}

// Out writes a dataset below path.
func Out(path string) *Sink { return &Sink{Path: path} }

// PartitionBy lays the dataset out in Hive partitions.
func (s *Sink) PartitionBy(columns ...string) *Sink { s.Partition = columns; return s }

// Overwrite replaces what is there.
func (s *Sink) Overwrite() *Sink { s.Mode = Overwrite; return s }

// Append adds to what is there.
func (s *Sink) Append() *Sink { s.Mode = Append; return s }

// OverwritePartitions replaces the partitions that get rows.
func (s *Sink) OverwritePartitions() *Sink { s.Mode = OverwritePartitions; return s }

// Connector implements drover.Sink.
func (*Sink) Connector() string { return Name }

func (s *Sink) String() string {
	mode := s.Mode
	if mode == "" {
		mode = Error
	}
	return s.Place() + " (" + string(mode) + ")"
}

// Place is String without how it is written.
func (s *Sink) Place() string { return "files " + s.Path }

// Meaning implements drover.Sink.
func (s *Sink) Meaning() any { return s }

// Rejects returns the sink as it holds a job's rejects: it adds to what is there.
func (s *Sink) Rejects() (drover.Sink, error) {
	c := *s
	switch {
	case s.Mode != "" && s.Mode != Append:
		return nil, drover.Errorf(drover.Invalid, "rejects are added to those of other runs, and the mode is %s", s.Mode).
			WithField("mode").WithHint("remove mode")
	case len(s.Partition) > 0:
		return nil, drover.Errorf(drover.Invalid, "rejects are not partitioned").WithField("partition_by").WithHint("remove partition_by")
	}
	c.Mode = Append
	return &c, nil
}

// Doubles reports whether a second run adds the same rows again.
func (s *Sink) Doubles() bool { return s.Mode == Append }

// FewTasks reports whether each task leaves a file in every partition that it has rows for.
func (s *Sink) FewTasks() bool { return len(s.Partition) > 0 }

// KeepsRows reports whether a run adds to the rows of earlier ones.
func (s *Sink) KeepsRows() bool { return s.Mode == Append }
