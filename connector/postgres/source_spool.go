package postgres

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/postgres/pgcopy"
)

const (
	// spoolBuffer is how many bytes of rows are grouped in memory before they go to disk.
	spoolBuffer = 64 << 20
	// spoolRead is how much of a spool file is read at once.
	spoolRead = 1 << 20
)

// spool is a source that was read once and grouped by chunk on local disk: the tuples of one chunk after those of another, as binary
// COPY has them, with every column. The index lies beside the file and is written last: without it the file is not complete.
type spool struct {
	Columns []string              `json:"columns"`
	Chunks  []connector.Chunk     `json:"chunks"`
	Places  map[string]spoolRange `json:"places"` // by bounds.name
}

// spoolRange is a chunk's place in the file.
type spoolRange struct {
	Offset int64 `json:"offset"`
	Bytes  int64 `json:"bytes"`
	Rows   int64 `json:"rows"`
}

// name identifies a chunk in a spool.
func (b bounds) name() string {
	switch {
	case b.Null:
		return "null"
	case b.Key != nil:
		return "key " + *b.Key
	}
	return "others"
}

// spoolPath returns a new place for a spool file.
func (s *source) spoolPath() (string, error) {
	path, err := filepath.Abs(filepath.Join(s.env.TempDir, "spool-"+rand.Text()))
	if err != nil {
		return "", fmt.Errorf("place the spool file: %w", err)
	}
	return path, nil
}

func readSpool(path string) (*spool, error) {
	data, err := os.ReadFile(path + ".index")
	if err != nil {
		return nil, fmt.Errorf("read the index of a spool file: %w", err)
	}
	sp := &spool{}
	if err := json.Unmarshal(data, sp); err != nil {
		return nil, fmt.Errorf("read the index of a spool file: %w", err)
	}
	return sp, nil
}

// makeSpool reads the source once, in one snapshot, into path. It belongs to this source, whose Close removes it.
func (s *source) makeSpool(ctx context.Context, d *description, c drover.Chunking, path string) (err error) {
	conn, err := s.begin(ctx, "")
	if err != nil {
		return err
	}
	defer func() { s.end(ctx, conn) }()
	sp := &spool{Places: map[string]spoolRange{}}
	r := &relation{ctx: ctx, src: s, about: d, columns: d.columns}
	p := planner{ctx: ctx, conn: conn, src: s, about: d}
	p.yield = func(ch connector.Chunk) bool {
		var b bounds
		err = json.Unmarshal(ch.Bounds, &b)
		r.chunks, sp.Chunks = append(r.chunks, b), append(sp.Chunks, ch)
		return err == nil
	}
	list := p.values
	if c.Keys != "" {
		list = p.keyList
	}
	if listErr := list(c); listErr != nil || err != nil {
		return errors.Join(listErr, err)
	}
	sql, err := r.grouped(c)
	if err != nil {
		return err
	}
	w := &spoolWriter{path: path, buffers: map[int][]byte{}}
	defer func() { err = errors.Join(err, w.close()) }()
	read := reading{statements: []statement{{chunk: manyChunks, sql: sql, field: len(d.columns), null: -1}}, fields: len(d.columns) + 1, added: true}
	out := startStream(ctx, &s.batches, s.copyOut(conn.PgConn(), read, nil, nil))
	defer out.close()
	for {
		b, err := out.next()
		if err != nil {
			return err
		}
		if b == nil {
			break
		}
		err = w.add(b)
		out.recycle(b)
		if err != nil {
			return err
		}
	}
	for _, col := range d.columns {
		sp.Columns = append(sp.Columns, col.name+" "+col.native)
	}
	return w.finish(sp, r.chunks)
}

// grouped is one statement over the source that says of each row which chunk it is in. Rows of no chunk are left out.
func (r *relation) grouped(c drover.Chunking) (string, error) {
	by, err := chunkColumn(r.about, c.By)
	if err != nil {
		return "", err
	}
	name := "q." + quote(by.name)
	var values, numbers []string
	null, rest := "NULL", "NULL"
	for i, b := range r.chunks {
		switch {
		case b.Key != nil:
			values, numbers = append(values, *b.Key), append(numbers, fmt.Sprint(i))
		case b.Null:
			null = fmt.Sprint(i)
		default: // (other), or all of a table that was empty
			null, rest = fmt.Sprint(i), fmt.Sprint(i)
		}
	}
	selects := make([]string, len(r.columns), len(r.columns)+1)
	for i, col := range r.columns {
		selects[i] = "q." + quote(col.name)
	}
	number := fmt.Sprintf("CASE WHEN %s THEN %s ELSE coalesce(drover_keys.n, %s) END::int4", isNull(by, name), null, rest)
	from := fmt.Sprintf("%s LEFT JOIN (SELECT v::%s AS v, n FROM unnest(%s::text[], '{%s}'::int4[]) AS l(v, n)) AS drover_keys ON %s = drover_keys.v WHERE %s IS NOT NULL",
		r.src.from(r.about), by.typ.castable(), literal(arrayText(values)), strings.Join(numbers, ","), name, number)
	return r.copyOf(append(selects, number), from), nil
}

// spoolWriter groups tuples by chunk: in memory, then in runs on disk, which finish merges.
type spoolWriter struct {
	path    string
	buffers map[int][]byte
	size    int
	rows    map[int]int64
	file    *os.File
	at      int64
	runs    []map[int]spoolRange
}

// add takes the tuples of a batch, without the field that says their chunk.
func (w *spoolWriter) add(b *batch) error {
	if w.rows == nil {
		w.rows = map[int]int64{}
	}
	i := 0
	for _, g := range b.segments {
		chunk := int(g.chunk)
		for ; i < int(g.end); i++ {
			offs := b.row(i)
			fields := b.fields - 1
			buf := append(w.buffers[chunk], byte(fields>>8), byte(fields))
			w.buffers[chunk] = append(buf, b.arena[offs[0]:offs[fields]]...)
			w.size += 2 + int(offs[fields]-offs[0])
			w.rows[chunk]++
		}
	}
	if w.size < spoolBuffer {
		return nil
	}
	return w.flush()
}

// flush writes what is in memory as one run.
func (w *spoolWriter) flush() error {
	if w.file == nil {
		var err error
		if w.file, err = os.CreateTemp(filepath.Dir(w.path), "spool-runs-"); err != nil {
			return fmt.Errorf("make a spool file: %w", err)
		}
	}
	run := map[int]spoolRange{}
	out := bufio.NewWriterSize(w.file, spoolRead)
	for chunk, data := range w.buffers {
		run[chunk] = spoolRange{Offset: w.at, Bytes: int64(len(data))}
		w.at += int64(len(data))
		_, _ = out.Write(data) // Flush reports it
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write a spool file: %w", err)
	}
	w.runs, w.size = append(w.runs, run), 0
	clear(w.buffers)
	return nil
}

// finish merges the runs into the spool file and writes its index.
func (w *spoolWriter) finish(sp *spool, chunks []bounds) error {
	if err := w.flush(); err != nil {
		return err
	}
	file, err := os.OpenFile(w.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make a spool file: %w", err)
	}
	out := bufio.NewWriterSize(file, spoolRead)
	var at int64
	for i, b := range chunks {
		r := spoolRange{Offset: at, Rows: w.rows[i]}
		for _, run := range w.runs {
			part, ok := run[i]
			if !ok {
				continue
			}
			if _, err := io.Copy(out, io.NewSectionReader(w.file, part.Offset, part.Bytes)); err != nil {
				return errors.Join(fmt.Errorf("write a spool file: %w", err), file.Close())
			}
			r.Bytes += part.Bytes
		}
		at += r.Bytes
		sp.Places[b.name()] = r
		sp.Chunks[i].Rows, sp.Chunks[i].Bytes = r.Rows, r.Bytes
	}
	if err := errors.Join(out.Flush(), file.Close()); err != nil {
		return fmt.Errorf("write a spool file: %w", err)
	}
	index, err := json.Marshal(sp)
	if err != nil {
		return fmt.Errorf("encode the index of a spool file: %w", err)
	}
	tmp := w.path + ".tmp"
	if err := os.WriteFile(tmp, index, 0o600); err != nil {
		return fmt.Errorf("write the index of a spool file: %w", err)
	}
	if err := os.Rename(tmp, w.path+".index"); err != nil {
		return fmt.Errorf("write the index of a spool file: %w", err)
	}
	return nil
}

// close removes the runs.
func (w *spoolWriter) close() error {
	if w.file == nil {
		return nil
	}
	return errors.Join(w.file.Close(), os.Remove(w.file.Name()))
}

// spooled is a relation's spool.
type spooled struct {
	*spool
	path   string
	fields []int // of the relation's columns, in the file's tuples
}

// openSpool finds the relation's columns and chunks in a spool.
func (r *relation) openSpool(path string) error {
	sp, err := readSpool(path)
	if err != nil {
		return drover.Errorf(drover.Refused, "the spool file of this run is not on this machine: %w", err).WithHint("start again with --new")
	}
	o := &spooled{spool: sp, path: path}
	for _, c := range r.columns {
		k := slices.Index(sp.Columns, c.name+" "+c.native)
		if k < 0 {
			return changed(c.name, "is not in the run's spool file as it is now")
		}
		o.fields = append(o.fields, k)
	}
	for _, b := range r.chunks {
		if _, ok := sp.Places[b.name()]; !ok {
			return drover.Errorf(drover.Refused, "the spool file was made anew and does not have the chunk %s", b.name()).WithHint("start again with --new")
		}
	}
	r.spool = o
	return nil
}

// send writes the given columns of a chunk's tuples to w as a binary COPY stream.
func (o *spooled) send(w io.Writer, name string, columns []int) (err error) {
	file, err := os.Open(o.path)
	if err != nil {
		return fmt.Errorf("open a spool file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	place := o.Places[name]
	in := io.MultiReader(strings.NewReader(pgcopy.Header), io.NewSectionReader(file, place.Offset, place.Bytes), bytes.NewReader(pgcopy.AppendTrailer(nil)))
	walker := pgcopy.Walker{Fields: len(o.Columns)}
	offs := make([]uint32, len(o.Columns)+1)
	buf := make([]byte, 0, min(place.Bytes+64, spoolRead))
	out := []byte(pgcopy.Header)
	for at := 0; ; {
		next, token, err := walker.Next(buf, at, offs)
		switch {
		case err != nil:
			return drover.Errorf(drover.Refused, "the spool file is damaged: %w", err)
		case token == pgcopy.More:
			buf = slices.Grow(append(buf[:0], buf[at:]...), spoolRead/2)
			at = 0
			n, err := in.Read(buf[len(buf):cap(buf)])
			if err != nil {
				return drover.Errorf(drover.Refused, "the spool file is cut: %w", err)
			}
			buf = buf[:len(buf)+n]
			continue
		case token == pgcopy.Tuple:
			out = binary.BigEndian.AppendUint16(out, uint16(len(columns)))
			for _, c := range columns {
				f := o.fields[c]
				out = append(out, buf[offs[f]:offs[f+1]]...)
			}
		case token == pgcopy.End:
			_, err := w.Write(pgcopy.AppendTrailer(out))
			return err
		}
		at = next
		if len(out) >= flushBytes {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
}
