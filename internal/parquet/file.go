package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// magic begins and ends a Parquet file.
const magic = "PAR1"

// file is the file of a partition that is being written. Between row groups it is closed: there may be any number of them.
type file struct {
	partition int
	seq       int // files of the partition before this one
	chunks    []chunk
	n         int   // rows of the open page
	groupRows int64 // rows of the open row group's pages
	rows      int64 // rows of row groups that are written
	size      int64 // bytes written
	groups    []byte
	count     int  // row groups written
	wide      bool // some page was full of long texts
}

// path returns the file's name.
func (w *Writer) path(f *file) string {
	return filepath.Join(w.o.Dir, fmt.Sprintf("%d-%d%s", f.partition, f.seq, w.o.Suffix))
}

// held returns the bytes that the open row group holds in encoded pages and dictionaries.
func (f *file) held() (n int) {
	for i := range f.chunks {
		n += f.chunks[i].pages.size + f.chunks[i].dictMemory
	}
	return n
}

func (f *file) staged() (n int) {
	for i := range f.chunks {
		n += f.chunks[i].ownStaging
	}
	return n
}

// flushPage encodes the open page of each column.
func (w *Writer) flushPage(f *file) error {
	if f.n == 0 {
		return nil
	}
	for i := range f.chunks {
		if err := w.encodePage(&f.chunks[i], i, f.n); err != nil {
			return err
		}
	}
	f.groupRows += int64(f.n)
	f.n = 0
	return nil
}

// flushGroup writes the open row group to disk.
func (w *Writer) flushGroup(f *file) (err error) {
	if err := w.flushPage(f); err != nil || f.groupRows == 0 {
		return err
	}
	out, err := os.OpenFile(w.path(f), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return failedIO(err)
	}
	defer func() {
		if e := out.Close(); e != nil {
			err = errors.Join(err, failedIO(e))
		}
	}()
	w.out = w.out[:0]
	if f.size == 0 {
		w.out = append(w.out, magic...)
		f.size = int64(len(magic))
	}
	t := &thrift{b: f.groups}
	t.begin()
	t.list(1, thriftStruct, len(f.chunks))
	var uncompressed, compressed int64
	for i := range f.chunks {
		c := &f.chunks[i]
		total, err := w.writeChunk(out, f, c, &w.columns[i], t)
		if err != nil {
			return err
		}
		compressed += total
		uncompressed += c.uncompressed
		w.clear(c)
	}
	t.i64(2, uncompressed)
	t.i64(3, f.groupRows)
	t.i64(6, compressed)
	t.end()
	f.groups = t.b
	f.count++
	f.rows += f.groupRows
	f.groupRows = 0
	if err := w.drain(out); err != nil {
		return err
	}
	writeBack(out)
	return nil
}

// writeChunk writes one column chunk and its ColumnChunk, and returns its size.
func (w *Writer) writeChunk(out *os.File, f *file, c *chunk, col *Column, t *thrift) (int64, error) {
	start, dictionaryAt := f.size, int64(-1)
	if c.dictPages > 0 {
		dictionaryAt = f.size
		if err := w.writeDictionary(out, f, c, col); err != nil {
			return 0, fmt.Errorf("column %s: %w", col.Name, err)
		}
	}
	dataAt := f.size
	for _, b := range c.pages.blocks {
		if err := w.write(out, b); err != nil {
			return 0, err
		}
	}
	f.size += int64(c.pages.size)
	t.begin()
	t.i64(2, 0)
	t.structure(3) // ColumnMetaData
	t.i32(1, col.phys)
	encodings := []int64{encodingPlain, encodingRLE}
	if c.dictPages > 0 {
		encodings = append(encodings, encodingDictionary)
	}
	t.list(2, thriftI32, len(encodings))
	for _, e := range encodings {
		t.zigzag(e)
	}
	t.list(3, thriftBinary, 1)
	t.element(col.Name)
	t.i32(4, w.scratch.codec.id)
	t.i64(5, c.rows)
	t.i64(6, c.uncompressed)
	t.i64(7, f.size-start)
	t.i64(9, dataAt)
	if dictionaryAt >= 0 {
		t.i64(11, dictionaryAt)
	}
	t.structure(12) // Statistics
	t.i64(3, c.nulls)
	if least, most, ok := c.extent.bounds(col); ok {
		t.binary(5, most)
		t.binary(6, least)
	}
	t.end()
	t.end()
	t.end()
	return f.size - start, nil
}

func (w *Writer) writeDictionary(out *os.File, f *file, c *chunk, col *Column) error {
	d, payload := c.dict, c.dict.texts
	switch {
	case col.text():
	case col.width == 8:
		payload = bytesOf(d.short.keys)
	default:
		payload = bytesOf(d.narrow.keys)
	}
	body, err := w.compress(payload)
	if err != nil {
		return err
	}
	t := &w.scratch.header
	pageHeader(t, 2, len(payload), len(body))
	t.structure(7) // dictionary_page_header
	t.i32(1, int32(d.n))
	t.i32(2, encodingPlain)
	t.end()
	t.end()
	c.uncompressed += int64(len(t.b) + len(payload))
	f.size += int64(len(t.b) + len(body))
	if err := w.write(out, t.b); err != nil {
		return err
	}
	return w.write(out, body)
}

// clear makes a column chunk ready for the next row group.
func (w *Writer) clear(c *chunk) {
	c.pages.release(&w.blocks)
	w.dropDictionary(c)
	c.mode, c.dictPages, c.plainPages, c.rows, c.nulls, c.uncompressed, c.stored = undecided, 0, 0, 0, 0, 0, 0
	c.extent.reset()
}

// finish writes the footer (parquet.thrift, FileMetaData).
func (w *Writer) finish(f *file) error {
	if err := w.flushGroup(f); err != nil || f.count == 0 {
		return err
	}
	t := &thrift{b: w.scratch.payload[:0]}
	t.begin()
	t.i32(1, 1) // version
	t.list(2, thriftStruct, len(w.columns)+1)
	t.begin()
	t.text(4, "schema")
	t.i32(5, int32(len(w.columns)))
	t.end()
	for i := range w.columns {
		w.columns[i].element(t)
	}
	t.i64(3, f.rows)
	t.list(4, thriftStruct, f.count)
	t.b = append(t.b, f.groups...)
	if len(w.o.Metadata) > 0 {
		t.list(5, thriftStruct, len(w.o.Metadata))
		for _, key := range slices.Sorted(maps.Keys(w.o.Metadata)) {
			t.begin()
			t.text(1, key)
			t.text(2, w.o.Metadata[key])
			t.end()
		}
	}
	t.text(6, "drover version 1.0")
	t.list(7, thriftStruct, len(w.columns))
	for range w.columns {
		t.begin()
		t.empty(1) // TYPE_ORDER
		t.end()
	}
	t.end()
	t.b = binary.LittleEndian.AppendUint32(t.b, uint32(len(t.b)))
	t.b = append(t.b, magic...)
	w.scratch.payload = t.b
	out, err := os.OpenFile(w.path(f), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return failedIO(err)
	}
	_, err = out.Write(t.b)
	if err = errors.Join(err, out.Close()); err != nil {
		return failedIO(err)
	}
	w.files = append(w.files, File{Path: w.path(f), Values: w.partitions[f.partition].values, Rows: f.rows})
	f.seq, f.rows, f.size, f.groups, f.count = f.seq+1, 0, 0, f.groups[:0], 0
	return nil
}

// write sends data to the file by way of one buffer.
func (w *Writer) write(out *os.File, data []byte) error {
	if len(w.out)+len(data) > cap(w.out) {
		if err := w.drain(out); err != nil {
			return err
		}
	}
	w.out = append(w.out, data...)
	return nil
}

func (w *Writer) drain(out *os.File) error {
	_, err := out.Write(w.out)
	w.out = w.out[:0]
	if err != nil {
		return failedIO(err)
	}
	return nil
}
