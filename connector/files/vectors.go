package files

import (
	"context"
	gojson "encoding/json"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/parquet"
	"github.com/droverdata/drover/internal/step"
)

const (
	// freeMemory is what the writer may hold where the process has no bound.
	freeMemory  = 64 << 20
	leastMemory = 4 << 20
	// longestName is the most bytes of a folder's name on the usual file systems.
	longestName = 255
)

// writeMemory is how much the Parquet writer may hold: five eighths of the Go runtime's part. What it holds stays until its row group is
// written; above two thirds of the runtime's limit the collector would run all the time and find nothing.
func (s *sink) writeMemory() int64 {
	goes := memory.Divide(s.env.Memory).Go
	if goes == 0 {
		return freeMemory
	}
	return max(goes*5/8, leastMemory)
}

// vectors returns the writer's options and the expressions that it is fed with, where it can write the output; DuckDB's COPY writes the rest.
func (s *sink) vectors(output drover.Schema) (o parquet.Options, expressions []string, ok bool) {
	if s.format() != formatParquet || !parquet.Compresses(s.spec.Compression) {
		return o, nil, false
	}
	cast := func(c drover.Column, typ string) string {
		if typ == c.Type {
			return duck.Ident(c.Name)
		}
		return duck.Ident(c.Name) + "::" + typ
	}
	for _, c := range s.inFiles(output) {
		column, ok := parquet.NewColumn(c.Name, c.Type)
		if !ok {
			return o, nil, false
		}
		o.Columns = append(o.Columns, column)
		expressions = append(expressions, cast(c, column.Cast))
	}
	for _, p := range s.spec.Partition {
		c := output[output.Index(p)]
		key := parquet.NewKey(c.Type)
		o.Keys = append(o.Keys, key)
		expressions = append(expressions, cast(c, key.Cast))
	}
	o.Compression, o.GroupRows, o.FileRows, o.Suffix = s.spec.Compression, s.spec.RowGroupRows, s.spec.MaxRowsPerFile, stagedSuffix
	if len(s.spec.Partition) > 0 {
		o.Metadata = map[string]string{partitionTypesKey: s.partitionTypes(output)}
	}
	o.Accept = func(values []parquet.Value) error {
		_, err := s.folder(output, values)
		return err
	}
	return o, append(expressions, duck.Ident(step.Tag)), true
}

// writeVectors writes the input into files of scratch, at most one a partition unless max_rows_per_file says otherwise, and counts its rows by chunk.
func (s *sink) writeVectors(ctx context.Context, in connector.Input, chunks int, scratch string, o parquet.Options, expressions []string) (rows []int64, files []written, err error) {
	o.Dir, o.Tags, o.Memory = scratch, chunks, s.writeMemory()
	w, err := parquet.New(o)
	if err != nil {
		return nil, nil, err
	}
	sql, remove := in.Session.AddConsumer(in.Query(chunks), expressions, w.Consume)
	defer remove()
	var done []parquet.File
	err = whileReporting(reporter(in, w.Counts), func() error {
		if err := in.Session.Exec(ctx, sql); err != nil {
			return err
		}
		done, err = w.Finish()
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	for _, f := range done {
		dir, err := s.folder(in.Output, f.Values)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, written{path: f.Path, dir: dir})
	}
	return w.Counts(), files, nil
}

// folder returns the folder of a partition, below the root and with a final slash.
func (s *sink) folder(output drover.Schema, values []parquet.Value) (string, error) {
	var b strings.Builder
	for i, p := range s.spec.Partition {
		c := output[output.Index(p)]
		v := values[i]
		name, err := partitionFolder(c, v.Text, v.Null)
		if err != nil {
			return "", err
		}
		b.WriteString(name + "/")
	}
	return b.String(), nil
}

// partitionFolder is the name of the folder of one value.
func partitionFolder(c drover.Column, text string, null bool) (string, error) {
	if !null && text == hiveNull {
		return "", literalNull(c)
	}
	name := hivePart{Column: c.Name, Value: text, Null: null}.dir()
	if len(name) > longestName {
		return "", &drover.Error{
			Kind: drover.Data, Column: c.Name, Sample: text,
			Message: fmt.Sprintf("a value of partition column %s needs a folder name of %d bytes, and %d are the most", c.Name, len(name), longestName),
			Hint:    "partition by a shorter value, such as set: {" + c.Name + ": left(" + c.Name + ", 50)}",
		}
	}
	return name, nil
}

// literalNull refuses the text that stands for NULL in a folder's name.
func literalNull(c drover.Column) error {
	return &drover.Error{
		Kind: drover.Data, Column: c.Name, Sample: hiveNull,
		Message: fmt.Sprintf("column %s holds the text %s, which stands for NULL in a folder's name", c.Name, hiveNull),
		Hint:    "add a step that replaces it: set: {" + c.Name + ": nullif(" + c.Name + ", '" + hiveNull + "')}",
	}
}

// partitionTypesKey is the key, in a Parquet file's metadata, of the types of the columns that its folders hold: an object of DuckDB's types by
// column. A _common_metadata file would say it once a dataset, but polars refuses to read a folder that holds one.
const partitionTypesKey = "drover_partition_types"

func (s *sink) partitionTypes(output drover.Schema) string {
	types := map[string]string{}
	for _, p := range s.spec.Partition {
		c := output[output.Index(p)]
		types[c.Name] = c.Type
	}
	// Marshalling texts cannot fail.
	text, _ := gojson.Marshal(types)
	return string(text)
}
