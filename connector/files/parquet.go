package files

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// maxDigits is the precision of DuckDB's widest decimal. It reads wider ones as DOUBLE, which loses digits.
const maxDigits = 38

// shape is the columns of a file, in its own order.
type shape []drover.Column

// has reports whether the shape has a column of this name.
func (sh shape) has(name string) bool { return drover.Schema(sh).Index(name) >= 0 }

// parquetShapes returns the shapes of Parquet files, each kind of footer once, and the index of each path's.
func parquetShapes(ctx context.Context, s *duck.Session, paths []string) ([]shape, []int, error) {
	escaped := make([]string, len(paths))
	for i, p := range paths {
		escaped[i] = globEscape(p)
	}
	index := make(map[string]int, len(paths)) // path -> kind
	kinds := map[string]int{}                 // signature -> kind
	var representative []string
	query := `SELECT file_name, md5(string_agg(concat_ws('|', name, type, type_length, repetition_type, num_children, converted_type,
		scale, precision, logical_type, duckdb_type), chr(10) ORDER BY column_id)) FROM parquet_schema(` + literals(escaped) + `) GROUP BY file_name`
	err := texts(ctx, s, query, func(row []cell) error {
		kind, ok := kinds[row[1].Text]
		if !ok {
			kind = len(representative)
			kinds[row[1].Text] = kind
			representative = append(representative, row[0].Text)
		}
		index[row[0].Text] = kind
		return nil
	})
	if err != nil {
		return nil, nil, blame(ctx, s, paths, err)
	}
	shapes := make([]shape, len(representative))
	for i, p := range representative {
		if shapes[i], err = parquetShape(ctx, s, p); err != nil {
			return nil, nil, err
		}
	}
	at := make([]int, len(paths))
	for i, p := range paths {
		kind, ok := index[p]
		if !ok {
			return nil, nil, drover.Errorf(drover.Refused, "DuckDB found no footer of %s", p)
		}
		at[i] = kind
	}
	return shapes, at, nil
}

// blame finds the file that an error about many is due to.
func blame(ctx context.Context, s *duck.Session, paths []string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	for _, p := range paths {
		one := s.Exec(ctx, "SELECT count(*) FROM parquet_schema("+duck.Literal(globEscape(p))+")")
		if one != nil {
			return drover.Errorf(drover.Refused, "%s is not a readable Parquet file: %w", p, one).
				WithHint("repair it, move it away, or leave it out of source.files.path")
		}
	}
	return err
}

// parquetShape reads one file's columns. DuckDB renames columns whose names differ in case alone; two such columns are refused.
func parquetShape(ctx context.Context, s *duck.Session, path string) (shape, error) {
	src := duck.Literal(globEscape(path))
	columns, err := s.Describe(ctx, "SELECT * FROM read_parquet("+src+", hive_partitioning=false)")
	if err != nil {
		return nil, drover.Errorf(drover.Refused, "read the columns of %s: %w", path, err)
	}
	// The schema is a tree in depth-first order: the root, then each column with what lies below it.
	var names []string
	var nulls []bool
	skip, first := 0, true
	err = texts(ctx, s, "SELECT name, num_children, duckdb_type, precision FROM parquet_schema("+src+") ORDER BY column_id", func(row []cell) error {
		children := 0
		if !row[1].Null {
			n, err := strconv.Atoi(row[1].Text)
			if err != nil {
				return fmt.Errorf("number of children of %s: %w", row[0].Text, err)
			}
			children = n
		}
		if digits, err := strconv.Atoi(row[3].Text); err == nil && digits > maxDigits {
			return drover.Errorf(drover.Refused, "column %q of %s is a decimal of %d digits, and drover carries %d", row[0].Text, path, digits, maxDigits).
				WithHint("write it with fewer digits, or leave the file out of source.files.path")
		}
		switch {
		case first:
			first = false
		case skip > 0:
			skip += children - 1
		default:
			names, nulls = append(names, row[0].Text), append(nulls, row[2].Text == nullType)
			skip = children
		}
		return nil
	})
	if drover.KindOf(err) == drover.Refused {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", path, err)
	}
	seen := map[string]string{}
	for _, n := range names {
		if other, ok := seen[strings.ToLower(n)]; ok {
			return nil, drover.Errorf(drover.Refused, "%s has two columns that differ at most in case: %q and %q", path, other, n).
				WithHint("rename one of them in the file")
		}
		seen[strings.ToLower(n)] = n
	}
	for i := range columns {
		if i < len(nulls) && nulls[i] && len(nulls) == len(columns) {
			columns[i].Type = nullType
		}
	}
	return shape(columns), nil
}

// footer is what chunking wants to know of a Parquet file.
type footer struct {
	rows, groups int64
}

// footers returns the row and row group counts of Parquet files.
func footers(ctx context.Context, s *duck.Session, paths []string) (map[string]footer, error) {
	escaped := make([]string, len(paths))
	for i, p := range paths {
		escaped[i] = globEscape(p)
	}
	out := make(map[string]footer, len(paths))
	err := texts(ctx, s, "SELECT file_name, num_rows, num_row_groups FROM parquet_file_metadata("+literals(escaped)+")", func(row []cell) error {
		rows, err := strconv.ParseInt(row[1].Text, 10, 64)
		if err != nil {
			return fmt.Errorf("rows of %s: %w", row[0].Text, err)
		}
		groups, err := strconv.ParseInt(row[2].Text, 10, 64)
		if err != nil {
			return fmt.Errorf("row groups of %s: %w", row[0].Text, err)
		}
		out[row[0].Text] = footer{rows, groups}
		return nil
	})
	if err != nil {
		return nil, blame(ctx, s, paths, err)
	}
	return out, nil
}

// rowGroup is one row group's rows and compressed bytes.
type rowGroup struct{ rows, bytes int64 }

// rowGroups returns the row groups of one file in order.
func rowGroups(ctx context.Context, s *duck.Session, path string) ([]rowGroup, error) {
	var groups []rowGroup
	err := texts(ctx, s, `SELECT row_group_id, any_value(row_group_num_rows), sum(total_compressed_size)::BIGINT FROM parquet_metadata(`+
		duck.Literal(globEscape(path))+`) GROUP BY row_group_id ORDER BY row_group_id`, func(row []cell) error {
		rows, err := strconv.ParseInt(row[1].Text, 10, 64)
		if err != nil {
			return fmt.Errorf("rows of a row group: %w", err)
		}
		bytes, err := strconv.ParseInt(row[2].Text, 10, 64)
		if err != nil {
			return fmt.Errorf("bytes of a row group: %w", err)
		}
		groups = append(groups, rowGroup{rows, bytes})
		return nil
	})
	if err != nil {
		return nil, drover.Errorf(drover.Refused, "read the row groups of %s: %w", path, err)
	}
	return groups, nil
}
