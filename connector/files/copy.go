package files

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/parquet"
	"github.com/droverdata/drover/internal/storage"
)

// The staged folders' columns: partition columns by number, and the number of a file of at most max_rows_per_file rows.
const (
	partColumn = "__drover_p"
	fileColumn = "__drover_file"
	// textMark precedes every text in a staged folder's name: DuckDB writes NULL and the text __HIVE_DEFAULT_PARTITION__ to one
	// folder and one file name, where the later overwrites the earlier.
	textMark = "v"
)

// spareFiles is how many of the files that the process may open are left for all but partitions.
const spareFiles = 256

// leastCopyGroup is the least bound on row groups that COPY keeps: it ends them after a chunk, and no sooner than one is full.
const leastCopyGroup = 2 * duck.VectorSize

// checkRowGroups refuses a bound that COPY would pass, where COPY is what writes.
func (s *sink) checkRowGroups(output drover.Schema) error {
	n := s.spec.RowGroupRows
	if s.format() != formatParquet || n <= 0 || n >= leastCopyGroup {
		return nil
	}
	if _, _, ours := s.vectors(output); ours {
		return nil
	}
	why := "compression " + s.spec.Compression
	for _, c := range s.inFiles(output) {
		if _, ok := parquet.NewColumn(c.Name, c.Type); !ok {
			why = fmt.Sprintf("column %s (%s)", c.Name, c.Type)
			break
		}
	}
	return drover.Errorf(drover.Invalid, "row groups of %d rows cannot be written with %s: there the least is %d", n, why, leastCopyGroup).
		WithField("sink.files.row_group_rows").WithHint("write row_group_rows: %d or more", leastCopyGroup)
}

// maxOpenFiles is how many partitions a task keeps open: as many as the system allows. Beyond it DuckDB, whose own default is 100, closes the
// oldest and begins a second file for it.
func maxOpenFiles() int { return max(100, min(100_000, storage.OpenFiles()-spareFiles)) }

// copy writes the rows of query, which has output's columns, below scratch.
func (s *sink) copy(ctx context.Context, session *duck.Session, output drover.Schema, query, scratch string) error {
	if s.format() == formatArrow {
		return s.copyArrow(ctx, session, output, query, scratch)
	}
	if err := session.Exec(ctx, fmt.Sprintf("SET partitioned_write_max_open_files = %d", maxOpenFiles())); err != nil {
		return fmt.Errorf("prepare DuckDB: %w", err)
	}
	folders, exprs := s.folders(output)
	data := s.inFiles(output)
	columns := copied(data)
	if s.format() == formatJSON {
		columns = jsonLine(data)
	}
	sql := "SELECT " + columns
	for i, f := range folders {
		sql += fmt.Sprintf(", %s AS %s", exprs[i], duck.Ident(f))
	}
	sql += " FROM (" + query + ")"
	options := append(s.copyOptions(), s.metadata(output)...)
	if s.format() == formatParquet {
		options = append(options, plainFloats(data)...)
	}
	target := filepath.Join(scratch, "0"+stagedSuffix)
	if len(folders) > 0 {
		target = scratch
		options = append(options, "PARTITION_BY ("+idents(folders)+")", "FILENAME_PATTERN '{i}'",
			"FILE_EXTENSION "+duck.Literal(strings.TrimPrefix(stagedSuffix, ".")), "OVERWRITE_OR_IGNORE")
	}
	return session.Exec(ctx, fmt.Sprintf("COPY (%s) TO %s (%s)", sql, duck.Literal(target), strings.Join(options, ", ")))
}

// plainFloats is the option of COPY to Parquet that keeps the signs of zeros: DuckDB's dictionaries take 0.0 and -0.0 for one value, and write
// the one that came first. They cannot be left out of single columns.
func plainFloats(columns drover.Schema) []string {
	for _, c := range columns {
		if strings.Contains(c.Type, "DOUBLE") || strings.Contains(c.Type, "FLOAT") {
			return []string{"DICTIONARY_SIZE_LIMIT 0"}
		}
	}
	return nil
}

// copied is what COPY is fed with. It writes a NULL of a list of fixed size with levels that only DuckDB reads back.
func copied(columns drover.Schema) string {
	exprs := make([]string, len(columns))
	for i, c := range columns {
		exprs[i] = duck.Ident(c.Name)
		if t := duck.OpenLists(c.Type); t != c.Type {
			exprs[i] += "::" + t + " AS " + exprs[i]
		}
	}
	return strings.Join(exprs, ", ")
}

// inFiles returns the columns that lie in the files.
func (s *sink) inFiles(output drover.Schema) drover.Schema {
	var data drover.Schema
	for _, c := range output {
		if !s.partitions(c.Name) {
			data = append(data, c)
		}
	}
	return data
}

// folders returns the columns that name staged folders, and their expressions.
func (s *sink) folders(output drover.Schema) (names, exprs []string) {
	var keys []string
	for i, p := range s.spec.Partition {
		c := output[output.Index(p)]
		expr := duck.Ident(c.Name)
		keys = append(keys, expr)
		if folded(c.Type) {
			expr = duck.Literal(textMark) + " || " + expr + "::VARCHAR"
		}
		names = append(names, fmt.Sprintf("%s%d", partColumn, i))
		exprs = append(exprs, expr)
	}
	if n := s.spec.MaxRowsPerFile; n > 0 {
		over := ""
		if len(keys) > 0 {
			over = "PARTITION BY " + strings.Join(keys, ", ")
		}
		names = append(names, fileColumn)
		exprs = append(exprs, fmt.Sprintf("(row_number() OVER (%s) - 1) // %d", over, n))
	}
	return names, exprs
}

func (s *sink) copyOptions() []string {
	switch s.format() {
	case formatCSV:
		return append([]string{"FORMAT csv", "HEADER true"}, s.textCompression()...)
	case formatJSON:
		// A CSV of one column without quotes, which is how DuckDB itself writes JSON; its own JSON writer has no partitions.
		return append([]string{"FORMAT csv", "HEADER false", "QUOTE ''", "ESCAPE ''", "DELIMITER ''"}, s.textCompression()...)
	}
	options := []string{"FORMAT parquet"}
	if c := s.spec.Compression; c == "lz4" {
		options = append(options, "COMPRESSION lz4_raw")
	} else if c != "" {
		options = append(options, "COMPRESSION "+duck.Literal(c))
	}
	if s.spec.RowGroupRows > 0 {
		// DuckDB ends a row group after the chunk that fills it.
		options = append(options, fmt.Sprintf("ROW_GROUP_SIZE %d", max(1, s.spec.RowGroupRows-duck.VectorSize+1)))
	}
	return options
}

// metadata is the option for what schemafile.go and the source's hive types rely on.
func (s *sink) metadata(output drover.Schema) []string {
	if s.format() != formatParquet || len(s.spec.Partition) == 0 {
		return nil
	}
	return []string{"KV_METADATA {" + partitionTypesKey + ": " + duck.Literal(s.partitionTypes(output)) + "}"}
}

func (s *sink) textCompression() []string {
	c := s.spec.Compression
	if c == "" || c == "uncompressed" {
		c = "none"
	}
	return []string{"COMPRESSION " + duck.Literal(c)}
}

// jsonLine is the expression of a row as a JSON object. DuckDB would write NaN and infinities as bare words, which no JSON parser but its own
// must read (RFC 8259, section 6): they are an error.
func jsonLine(columns drover.Schema) string {
	fields := make([]string, len(columns))
	for i, c := range columns {
		q := duck.Ident(c.Name)
		fail := "error(" + duck.Literal("column "+c.Name+" holds NaN or an infinity, which JSON cannot carry") + ")"
		fields[i] = q + " := " + q
		switch {
		case c.Type == "DOUBLE" || c.Type == "FLOAT":
			fields[i] = fmt.Sprintf("%s := CASE WHEN isfinite(%s) IS NOT false THEN %s ELSE %s END", q, q, q, fail)
		case strings.Contains(c.Type, "DOUBLE") || strings.Contains(c.Type, "FLOAT"):
			// Outside of strings these words cannot be anything else.
			fields[i] = fmt.Sprintf(`%s := CASE WHEN regexp_matches(regexp_replace(to_json(%s)::VARCHAR, '"(\\.|[^"\\])*"', '', 'g'), 'NaN|Infinity') IS NOT true THEN %s ELSE %s END`, q, q, q, fail)
		}
	}
	return "to_json(struct_pack(" + strings.Join(fields, ", ") + "))::VARCHAR AS json"
}

// target returns the folder, below the root and with a final slash, that a staged file goes to.
func (s *sink) target(rel string, output drover.Schema) (string, error) {
	dirs := strings.Split(rel, "/")
	var b strings.Builder
	for i, p := range s.spec.Partition {
		_, text, ok := strings.Cut(dirs[i], "=")
		if !ok {
			return "", fmt.Errorf("DuckDB wrote to %s, which is no partition of %s", rel, p)
		}
		c := output[output.Index(p)]
		part := hivePart{Column: c.Name, Value: hiveUnescape(text), Null: text == hiveNull}
		if !part.Null && folded(c.Type) {
			part.Value = strings.TrimPrefix(part.Value, textMark)
			if part.Value == hiveNull {
				return "", literalNull(c)
			}
		}
		b.WriteString(part.dir() + "/")
	}
	return b.String(), nil
}
