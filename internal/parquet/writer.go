// Package parquet writes Parquet files, partitioned or not, from DuckDB's vectors: one pass over each chunk of 2,048 rows sorts them by partition, gathers
// every column into the partition's open page, and encodes full pages. Format: github.com/apache/parquet-format, version 1 data pages, flat
// and optional columns, dictionary or PLAIN values, statistics per column chunk.
package parquet

import (
	"fmt"
	"math"
	"sync"
	"unsafe"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

const (
	// defaultGroupRows is the most rows of a row group where Options say nothing.
	defaultGroupRows = 1 << 18
	// spareShare is the part of the memory that dictionaries may take while they wait for their next column chunk.
	spareShare = 8
	// longText is the size of a page's texts, in bytes, at which it is full whatever its rows.
	longText = 1 << 20
	// longTextRows is how many rows at once go into a page that has reached longText once.
	longTextRows = 64
)

// Options say what a Writer writes.
type Options struct {
	// Dir is the folder for all files of all partitions, and Suffix how their names end.
	Dir, Suffix string
	// Columns lie in the files; Keys tell partitions apart. Without Keys there is one partition.
	Columns []Column
	Keys    []Key
	// Tags is the number of different values of the tag column.
	Tags int
	// Compression is snappy (or empty), zstd, gzip or uncompressed.
	Compression string
	// GroupRows is the most rows of a row group, FileRows of a file; 0 means a default, and no limit.
	GroupRows, FileRows int64
	// Metadata is the footer's own keys and values.
	Metadata map[string]string
	// Memory is how many bytes pages and dictionaries may hold.
	Memory int64
	// Accept is told each new partition, and may refuse it.
	Accept func([]Value) error
}

// File is a file that is complete.
type File struct {
	Path   string
	Values []Value // of the Keys
	Rows   int64
}

// Writer writes the chunks that it is given. Its methods may be called from several goroutines.
type Writer struct {
	mu      sync.Mutex
	o       Options
	columns []Column
	*partitioner
	open    []*file // by partition
	files   []File
	counts  []int64 // by tag
	err     error   // the first failure: nothing goes on after it
	rows    []vector
	keyVecs []vector

	scratch     scratch
	blocks      blocks
	spare       []*dictionary // of values that are not of 4 bytes
	spareNarrow []*dictionary
	spareHeld   int // bytes of both
	dictMemory  int // bytes of the dictionaries in use
	staged      int // bytes of open pages
	pageRows    int
	out         []byte
}

// New returns a Writer. It needs no Close: it opens a file only while it writes to it.
func New(o Options) (*Writer, error) {
	c, err := newCodec(o.Compression)
	if err != nil {
		return nil, err
	}
	if o.GroupRows <= 0 {
		o.GroupRows = defaultGroupRows
	}
	if o.FileRows <= 0 {
		o.FileRows = math.MaxInt64
	}
	return &Writer{
		o: o, columns: o.Columns, partitioner: newPartitioner(o.Keys, o.Accept), counts: make([]int64, o.Tags),
		rows: make([]vector, len(o.Columns)), keyVecs: make([]vector, len(o.Keys)), pageRows: maxPageRows, out: make([]byte, 0, 256<<10),
		scratch: scratch{
			codes: make([]uint32, maxPageRows), codec: c, decided: make([]mode, len(o.Columns)),
		},
	}, nil
}

// Consume writes a chunk: the Columns, the Keys, and a BIGINT tag below Tags, by which it counts rows. It keeps nothing of the chunk.
func (w *Writer) Consume(c duck.Chunk) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.consume(c)
	}
	return w.err
}

func (w *Writer) consume(c duck.Chunk) error {
	n := c.Rows()
	for i := range w.rows {
		w.rows[i] = vectorOf(c.Vector(i), n)
	}
	for i := range w.keyVecs {
		w.keyVecs[i] = vectorOf(c.Vector(len(w.rows)+i), n)
	}
	if err := w.count(duck.Data[int64](c.Vector(len(w.rows) + len(w.keyVecs)))[:n]); err != nil {
		return err
	}
	return w.split(w.keyVecs, n, w.add)
}

// count counts rows by tag, which come in long repeats.
func (w *Writer) count(tags []int64) error {
	for from := 0; from < len(tags); {
		t, to := tags[from], from+1
		for to < len(tags) && tags[to] == t {
			to++
		}
		if t < 0 || t >= int64(len(w.counts)) {
			return fmt.Errorf("tag %d is not below %d", t, len(w.counts))
		}
		w.counts[t] += int64(to - from)
		from = to
	}
	return nil
}

// Counts returns the rows so far by tag.
func (w *Writer) Counts() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]int64(nil), w.counts...)
}

// Finish completes all files.
func (w *Writer) Finish() ([]File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.open {
		if w.err == nil {
			w.err = w.finish(f)
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	var got, want int64
	for _, f := range w.files {
		got += f.Rows
	}
	for _, n := range w.counts {
		want += n
	}
	if got != want {
		return nil, fmt.Errorf("the files hold %d rows of %d", got, want)
	}
	return w.files, nil
}

// add appends rows of the chunk at hand to a partition.
func (w *Writer) add(partition int, rows []uint16) error {
	for partition >= len(w.open) {
		w.open = append(w.open, &file{partition: len(w.open), chunks: make([]chunk, len(w.columns))})
	}
	f := w.open[partition]
	for len(rows) > 0 {
		group := f.groupRows + int64(f.n)
		room := min(int64(w.pageRows-f.n), w.o.GroupRows-group, w.o.FileRows-f.rows-group)
		if f.wide {
			room = min(room, longTextRows)
		}
		k := int(min(room, int64(len(rows))))
		full := w.stage(f, rows[:k])
		rows = rows[k:]
		group += int64(k)
		var err error
		switch {
		case f.rows+group == w.o.FileRows:
			err = w.finish(f)
		case group == w.o.GroupRows:
			err = w.flushGroup(f)
		case full || f.n >= w.pageRows:
			err = w.flushPage(f)
		}
		for before := 0; err == nil && w.held() > int(w.o.Memory) && w.held() != before; {
			before = w.held()
			err = w.shrink()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stage gathers rows into the open page of a file, and says whether it is full of long texts.
func (w *Writer) stage(f *file, rows []uint16) (full bool) {
	for i := range f.chunks {
		c, col := &f.chunks[i], &w.columns[i]
		c.room(c.n+len(rows), col.width, w.pageRows)
		c.gather(col, w.rows[i], rows, w.scratch.rows[:], f.n)
		if m := c.memory(); m != c.ownStaging {
			w.staged += m - c.ownStaging
			c.ownStaging = m
		}
		full = full || len(c.texts) > longText
	}
	f.n += len(rows)
	f.wide = f.wide || full
	return full
}

// held returns the bytes that pages and dictionaries hold.
func (w *Writer) held() int { return w.staged + w.blocks.used + w.dictMemory }

// shrink makes room: the largest row groups go to disk, and where open pages alone take more than half, pages become smaller.
func (w *Writer) shrink() error {
	half := int(w.o.Memory) / 2
	for w.blocks.used+w.dictMemory > half {
		var largest *file
		most := 0
		for _, f := range w.open {
			if n := f.held(); n > most {
				largest, most = f, n
			}
		}
		if largest == nil {
			break
		}
		if err := w.flushGroup(largest); err != nil {
			return err
		}
	}
	if w.staged <= half {
		return nil
	}
	if w.pageRows > minPageRows {
		w.pageRows /= 2
		for _, f := range w.open {
			if f.n*2 < w.pageRows && f.staged() <= half/len(w.open) {
				continue
			}
			if err := w.flushPage(f); err != nil {
				return err
			}
			w.unstage(f)
		}
		return nil
	}
	average := w.staged / len(w.open)
	for _, f := range w.open {
		if f.staged() < average {
			continue
		}
		if err := w.flushGroup(f); err != nil {
			return err
		}
		w.unstage(f)
	}
	return nil
}

// unstage gives up the memory of an empty open page.
func (w *Writer) unstage(f *file) {
	for i := range f.chunks {
		c := &f.chunks[i]
		w.staged -= c.ownStaging
		c.staging, c.ownStaging = staging{}, 0
	}
}

// dictionary returns an empty dictionary of values of 4 bytes, or of others.
func (w *Writer) dictionary(narrow bool) *dictionary {
	spare := w.spareOf(narrow)
	if n := len(*spare); n > 0 {
		d := (*spare)[n-1]
		w.spareHeld -= d.memory()
		*spare = (*spare)[:n-1]
		return d
	}
	return newDictionary(narrow)
}

func (w *Writer) spareOf(narrow bool) *[]*dictionary {
	if narrow {
		return &w.spareNarrow
	}
	return &w.spare
}

// dropDictionary takes a column chunk's dictionary back.
func (w *Writer) dropDictionary(c *chunk) {
	w.dictMemory -= c.dictMemory
	if c.dict != nil && w.spareHeld+c.dict.memory() <= int(w.o.Memory)/spareShare {
		c.dict.reset()
		spare := w.spareOf(c.dict.narrow.slots != nil)
		*spare = append(*spare, c.dict)
		w.spareHeld += c.dict.memory()
	}
	c.dict, c.dictMemory = nil, 0
}

// failedIO is a file system's failure, which a retry may mend, with the code that DuckDB gives to its own.
func failedIO(err error) error {
	return &drover.Error{Kind: drover.Unreachable, Code: "IO Error", Message: "write Parquet files: " + err.Error(), Cause: err}
}

// bytesOf is values as PLAIN has them.
func bytesOf[K uint32 | uint64](keys []K) []byte {
	var k K
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(keys))), len(keys)*int(unsafe.Sizeof(k)))
}
