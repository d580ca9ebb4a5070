package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// folderColumn is the name of the staged folder that a row goes to.
const folderColumn = "__drover_folder"

// copyArrow writes Arrow IPC files. DuckDB sorts the rows by folder, so that one file is open at a time.
func (s *sink) copyArrow(ctx context.Context, session *duck.Session, output drover.Schema, query, scratch string) (err error) {
	folders, exprs := s.folders(output)
	data := s.inFiles(output)
	columns := make(drover.Schema, 0, len(data)+1)
	selects := make([]string, len(data))
	for i, c := range data {
		selects[i] = duck.Ident(c.Name)
		if strings.HasPrefix(c.Type, "ENUM") {
			c.Type = "VARCHAR"
			selects[i] += "::VARCHAR AS " + duck.Ident(c.Name)
		}
		columns = append(columns, drover.Column{Name: c.Name, Type: c.Type})
	}
	convert, err := session.NewArrowWriter(append(columns, drover.Column{Name: folderColumn, Type: "VARCHAR"}))
	if err != nil {
		return err
	}
	defer convert.Close()
	// The folder's name is computed by DuckDB, after the file's columns.
	folder := "''"
	for i, f := range folders {
		folder += fmt.Sprintf(" || %s || coalesce(url_encode((%s)::VARCHAR), %s) || '/'", duck.Literal(f+"="), exprs[i], duck.Literal(hiveNull))
	}
	sql := fmt.Sprintf("SELECT %s, %s AS %s FROM (%s)", strings.Join(selects, ", "), folder, folderColumn, query)
	if len(folders) > 0 {
		sql += " ORDER BY " + folderColumn
	}
	rows, err := session.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	all := convert.Schema()
	w := &arrowOut{
		s: s, scratch: scratch, convert: convert,
		schema: arrow.NewSchema(all.Fields()[:len(data)], nil),
	}
	defer func() { err = errors.Join(err, w.close()) }()
	for {
		c, err := rows.Next()
		if err != nil || c.Rows() == 0 {
			return err
		}
		if err := w.write(c); err != nil {
			return err
		}
	}
}

// arrowOut writes rows that come sorted by folder.
type arrowOut struct {
	s       *sink
	scratch string
	convert *duck.ArrowWriter
	schema  *arrow.Schema // of the files
	folder  string
	file    *os.File
	out     *ipc.FileWriter
}

func (w *arrowOut) write(c duck.Chunk) error {
	all, err := w.convert.Batch(c)
	if err != nil {
		return err
	}
	defer all.Release()
	columns := w.schema.NumFields()
	batch := array.NewRecordBatch(w.schema, all.Columns()[:columns], all.NumRows())
	defer batch.Release()
	folders := duck.Data[duck.String](c.Vector(columns))
	for from := 0; from < c.Rows(); {
		folder := string(folders[from].Bytes())
		to := from + 1
		for to < c.Rows() && string(folders[to].Bytes()) == folder {
			to++
		}
		if w.out == nil || folder != w.folder {
			if err := w.open(folder); err != nil {
				return err
			}
		}
		part := batch.NewSlice(int64(from), int64(to))
		err := w.out.Write(part)
		part.Release()
		if err != nil {
			return fmt.Errorf("write %s: %w", w.file.Name(), err)
		}
		from = to
	}
	return nil
}

func (w *arrowOut) open(folder string) error {
	if err := w.close(); err != nil {
		return err
	}
	dir := filepath.Join(w.scratch, filepath.FromSlash(folder))
	// Folder by folder: the scratch folder itself must not come back once the run is closed.
	for i, c := range folder {
		if c != '/' {
			continue
		}
		if err := os.Mkdir(filepath.Join(w.scratch, filepath.FromSlash(folder[:i])), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	f, err := os.Create(filepath.Join(dir, "0"+stagedSuffix))
	if err != nil {
		return err
	}
	w.file, w.folder = f, folder
	options := []ipc.Option{ipc.WithSchema(w.schema)}
	switch w.s.spec.Compression {
	case "zstd":
		options = append(options, ipc.WithZstd())
	case "lz4":
		options = append(options, ipc.WithLZ4())
	}
	w.out, err = ipc.NewFileWriter(f, options...)
	return err
}

func (w *arrowOut) close() error {
	var err error
	if w.out != nil {
		err = w.out.Close()
	}
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
	}
	w.out, w.file = nil, nil
	return err
}

// emptyArrow writes a file of these columns and no rows.
func (s *sink) emptyArrow(session *duck.Session, columns drover.Schema, dir string) error {
	plain := make(drover.Schema, len(columns))
	for i, c := range columns {
		plain[i] = drover.Column{Name: c.Name, Type: c.Type}
		if strings.HasPrefix(c.Type, "ENUM") {
			plain[i].Type = "VARCHAR"
		}
	}
	convert, err := session.NewArrowWriter(plain)
	if err != nil {
		return err
	}
	defer convert.Close()
	w := &arrowOut{s: s, scratch: dir, convert: convert, schema: convert.Schema()}
	if err := w.open(""); err != nil {
		return err
	}
	return w.close()
}
