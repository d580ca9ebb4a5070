package files

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	pq "github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// nanosBatch is how many values are read at a time.
const nanosBatch = 4096

// checked is a file, or row groups of one, and one of its columns.
type checked struct {
	path     string
	from, to int64
	column   string
}

// Check implements connector.Checker. DuckDB reads Parquet's TIME(NANOS), TIMESTAMP(NANOS) in UTC and INT96 in microseconds and cuts what
// is below without a word. Most files of pandas and Spark have such a type and no such digit, so the values decide, and not the type: those
// of the kept columns are decoded once more. That costs 2 ns a value (INT96: 6) beside DuckDB's own reading, and no file without such a
// column is opened. TIMESTAMP(NANOS) without a zone is TIMESTAMP_NS to DuckDB, which is exact.
// Arrow's durations are refused (durations.go).
func (r *relation) Check(ctx context.Context, columns []string) error {
	if r.sv.Format != formatParquet {
		return nil
	}
	pieces := slices.Clone(r.all)
	for _, b := range r.chunks {
		pieces = append(pieces, b.Pieces...)
	}
	fine := map[int]bool{} // by shape
	for _, p := range pieces {
		path := p.path(r.sv.Roots)
		kind := r.kind[path]
		has, known := fine[kind]
		if !known {
			if err := refuseDurations(ctx, r.session, path, columns); err != nil {
				return err
			}
			var err error
			if has, err = cutsNanoseconds(ctx, r.session, path); err != nil {
				return err
			}
			fine[kind] = has
		}
		if !has {
			continue
		}
		hive := parseHive(p.Rel)
		kept := func(column string) bool {
			same := func(name string) bool { return strings.EqualFold(name, column) }
			return slices.ContainsFunc(columns, same) && lastHive(hive, column) < 0
		}
		if err := r.source.wholeMicroseconds(ctx, path, p, kept); err != nil {
			return err
		}
	}
	return nil
}

// cutsNanoseconds reports whether a file has columns whose nanoseconds DuckDB cuts.
func cutsNanoseconds(ctx context.Context, s *duck.Session, path string) (bool, error) {
	found := false
	query := "SELECT 1 FROM parquet_schema(" + duck.Literal(globEscape(path)) + ") WHERE type = 'INT96' OR logical_type LIKE '%NANOS=NanoSeconds%' LIMIT 1"
	err := texts(ctx, s, query, func([]cell) error { found = true; return nil })
	if err != nil {
		return false, fmt.Errorf("read the schema of %s: %w", path, err)
	}
	return found, nil
}

// cutByDuckDB reports whether a column holds nanoseconds that DuckDB reads as microseconds.
func cutByDuckDB(c *pq.Column) bool {
	if c.PhysicalType() == parquet.Types.Int96 {
		return true
	}
	switch t := c.LogicalType().(type) {
	case pq.TimeLogicalType:
		return t.TimeUnit() == pq.TimeUnitNanos
	case pq.TimestampLogicalType:
		return t.TimeUnit() == pq.TimeUnitNanos && t.IsAdjustedToUTC()
	}
	return false
}

// wholeMicroseconds reads a piece's columns of nanoseconds that are kept. It reads each once: chunks by key share files.
func (s *source) wholeMicroseconds(ctx context.Context, path string, p piece, kept func(column string) bool) (err error) {
	in, err := s.store.Open(ctx, path)
	if err != nil {
		return drover.Errorf(drover.Refused, "read %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true // a column chunk is not read at one time
	f, err := pqfile.NewParquetReader(io.NewSectionReader(in, 0, in.Size()), pqfile.WithReadProps(props))
	if err != nil {
		return drover.Errorf(drover.Refused, "read the footer of %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	schema := f.MetaData().Schema
	for i := range schema.NumColumns() {
		column := schema.Column(i)
		name := column.ColumnPath()[0]
		if !cutByDuckDB(column) || !kept(name) || s.wasChecked(checked{path, p.From, p.To, column.Path()}) {
			continue
		}
		var row int64
		for g := range f.NumRowGroups() {
			group := f.RowGroup(g)
			first := row
			row += group.NumRows()
			if p.To > 0 && (first < p.From || first >= p.To) {
				continue
			}
			reader, err := group.Column(i)
			if err != nil {
				return fmt.Errorf("read column %s of %s: %w", name, path, err)
			}
			value, found, err := firstCut(ctx, reader)
			if err = errors.Join(err, reader.Close()); err != nil {
				return fmt.Errorf("read column %s of %s: %w", name, path, err)
			}
			if found {
				e := drover.Errorf(drover.Data, "column %s of %s has digits below a microsecond, which DuckDB would cut: %s", name, path, value).
					WithHint("cast it to microseconds where the file is written (pandas: to_parquet(..., coerce_timestamps=\"us\", allow_truncated_timestamps=True)), or drop the column")
				e.Column, e.Sample = name, value
				return e
			}
		}
		s.nowChecked(checked{path, p.From, p.To, column.Path()})
	}
	return nil
}

func (s *source) wasChecked(c checked) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked[c]
}

func (s *source) nowChecked(c checked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checked == nil {
		s.checked = map[checked]bool{}
	}
	s.checked[c] = true
}

// firstCut returns the first value of a column chunk that is not a whole number of microseconds, as text.
func firstCut(ctx context.Context, reader pqfile.ColumnChunkReader) (value string, found bool, err error) {
	defs, reps := make([]int16, nanosBatch), make([]int16, nanosBatch)
	switch reader := reader.(type) {
	case *pqfile.Int64ColumnChunkReader:
		layout := "2006-01-02 15:04:05.000000000"
		if _, ok := reader.Descriptor().LogicalType().(pq.TimeLogicalType); ok {
			layout = "15:04:05.000000000"
		}
		values := make([]int64, nanosBatch)
		for reader.HasNext() {
			_, n, err := reader.ReadBatch(nanosBatch, values, defs, reps)
			if err := errors.Join(err, ctx.Err()); err != nil {
				return "", false, err
			}
			for _, v := range values[:n] {
				if v%1000 != 0 {
					return time.Unix(0, v).UTC().Format(layout), true, nil
				}
			}
		}
	case *pqfile.Int96ColumnChunkReader:
		// Nanoseconds of the day in 8 bytes, and the Julian day in 4
		// (https://github.com/apache/parquet-format/blob/master/LogicalTypes.md).
		values := make([]parquet.Int96, nanosBatch)
		for reader.HasNext() {
			_, n, err := reader.ReadBatch(nanosBatch, values, defs, reps)
			if err := errors.Join(err, ctx.Err()); err != nil {
				return "", false, err
			}
			for i := range values[:n] {
				if binary.LittleEndian.Uint64(values[i][:8])%1000 != 0 {
					return values[i].ToTime().Format("2006-01-02 15:04:05.000000000"), true, nil
				}
			}
		}
	}
	return "", false, reader.Err()
}
