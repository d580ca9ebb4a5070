package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/storage"
)

// arrowFile reads the record batches of one Arrow IPC file or stream, one at a time.
type arrowFile struct {
	schema *arrow.Schema
	next   func() (arrow.RecordBatch, error) // io.EOF at the end; valid until the next call
	close  func() error
}

// openArrow opens a file in either of the formats of Arrow IPC: the file format starts with the magic ARROW1, the stream format does not
// (https://arrow.apache.org/docs/format/Columnar.html). Buffers are C memory, which DuckDB may keep.
func openArrow(ctx context.Context, store storage.Store, path string) (_ *arrowFile, err error) {
	r, err := store.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	// arrow-go panics at some schemas, such as lists of the fixed size 0.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	var magic [6]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	section := io.NewSectionReader(r, 0, r.Size())
	if string(magic[:]) != "ARROW1" {
		in, err := ipc.NewReader(section, ipc.WithAllocator(mallocator.NewMallocator()))
		if err != nil {
			return nil, err
		}
		return &arrowFile{
			schema: in.Schema(),
			next: func() (arrow.RecordBatch, error) {
				if in.Next() {
					return in.RecordBatch(), nil
				}
				if err := in.Err(); err != nil {
					return nil, err
				}
				return nil, io.EOF
			},
			close: func() error { in.Release(); return r.Close() },
		}, nil
	}
	in, err := ipc.NewFileReader(section, ipc.WithAllocator(mallocator.NewMallocator()))
	if err != nil {
		return nil, err
	}
	at := 0
	return &arrowFile{
		schema: in.Schema(),
		next: func() (arrow.RecordBatch, error) {
			if at >= in.NumRecords() {
				return nil, io.EOF
			}
			at++
			return in.RecordBatch(at - 1)
		},
		close: func() error { return errors.Join(in.Close(), r.Close()) },
	}, nil
}

// arrowShape returns the columns of an Arrow file, their types spelled as DuckDB does: it quotes the names of a STRUCT's fields only where they need it.
func arrowShape(ctx context.Context, store storage.Store, s *duck.Session, path string) (shape, error) {
	f, err := openArrow(ctx, store, path)
	if err != nil {
		return nil, drover.Errorf(drover.Refused, "%s is not readable as Arrow IPC: %w", path, err)
	}
	columns, err := duck.ArrowColumns(f.schema)
	if err = errors.Join(err, f.close()); err != nil {
		return nil, drover.Errorf(drover.Refused, "%s: %w", path, err)
	}
	for i, c := range columns {
		if columns[:i].Index(c.Name) >= 0 {
			return nil, drover.Errorf(drover.Refused, "%s has two columns that differ at most in case: %q", path, c.Name).
				WithHint("rename one of them in the file")
		}
		if strings.Contains(c.Type, "STRUCT(") {
			as, err := s.Describe(ctx, "SELECT CAST(NULL AS "+c.Type+") AS t")
			if err != nil {
				return nil, fmt.Errorf("%s: the type of column %s: %w", path, c.Name, err)
			}
			columns[i].Type = as[0].Type
		}
	}
	return shape(columns), nil
}

// addArrow makes one Arrow file a relation of the session. remove frees it, also where the scan was given up half-way.
func addArrow(ctx context.Context, store storage.Store, s *duck.Session, path string) (sql string, sh shape, remove func() error, err error) {
	sh, err = arrowShape(ctx, store, s, path)
	if err != nil {
		return "", nil, nil, err
	}
	columns := make(drover.Schema, len(sh))
	for i, c := range sh {
		columns[i] = c
		if c.Type == nullType {
			columns[i].Type = "INTEGER"
		}
	}
	scan := &arrowScan{ctx: ctx, store: store, session: s, path: path}
	sql, unregister, err := s.AddScan(columns, scan.open)
	if err != nil {
		return "", nil, nil, fmt.Errorf("register %s: %w", path, err)
	}
	return sql, sh, func() error { unregister(); return scan.close() }, nil
}

// arrowScan is one file being scanned.
type arrowScan struct {
	ctx     context.Context
	store   storage.Store
	session *duck.Session
	path    string

	file   *arrowFile
	filler *duck.ArrowFiller
	batch  arrow.RecordBatch
	at     int64
}

func (a *arrowScan) open() (duck.Filler, error) {
	if err := a.close(); err != nil {
		return nil, err
	}
	f, err := openArrow(a.ctx, a.store, a.path)
	if err != nil {
		return nil, fmt.Errorf("%s is not readable as Arrow IPC: %w", a.path, err)
	}
	a.file, a.batch, a.at = f, nil, 0
	if a.filler, err = a.session.NewArrowFiller(f.schema); err != nil {
		return nil, err
	}
	return a.fill, nil
}

func (a *arrowScan) fill(out duck.Chunk, projection []int) (int, error) {
	for a.batch == nil || a.at == a.batch.NumRows() {
		b, err := a.file.next()
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", a.path, err)
		}
		a.batch, a.at = b, 0
	}
	end := min(a.at+duck.VectorSize, a.batch.NumRows())
	part := a.batch.NewSlice(a.at, end)
	defer part.Release()
	if err := a.filler.Fill(out, projection, part); err != nil {
		return 0, fmt.Errorf("read %s: %w", a.path, err)
	}
	n := int(end - a.at)
	a.at = end
	return n, nil
}

func (a *arrowScan) close() error {
	if a.filler != nil {
		a.filler.Close()
		a.filler = nil
	}
	if a.file == nil {
		return nil
	}
	f := a.file
	a.file, a.batch = nil, nil
	return f.close()
}
