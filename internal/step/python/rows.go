package python

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sys/unix"
)

// writeRows writes rows to their end into fresh memory, as an IPC stream.
func writeRows(rows array.RecordReader) (_ *os.File, err error) {
	f, err := newMemory()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	// Small writes are gathered, large buffers pass through.
	out := bufio.NewWriterSize(f, 1<<16)
	w := ipc.NewWriter(out, ipc.WithSchema(rows.Schema()))
	for rows.Next() {
		if err := w.Write(rows.RecordBatch()); err != nil {
			return nil, fmt.Errorf("write rows for Python: %w", errors.Join(err, w.Close()))
		}
	}
	if err := errors.Join(w.Close(), out.Flush()); err != nil {
		return nil, fmt.Errorf("write rows for Python: %w", err)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

// openRows maps the IPC stream in a file's memory and returns its rows, whose buffers are that memory. The mapping lasts until the last
// buffer is released.
func openRows(f *os.File) (array.RecordReader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at the answer of Python: %w", err)
	}
	if info.Size() == 0 || info.Size() != int64(int(info.Size())) {
		return nil, fmt.Errorf("the answer of Python has %d bytes", info.Size())
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the answer of Python: %w", err)
	}
	mapped := memory.NewBufferWithAllocator(data, unmapper{})
	r, err := ipc.NewReaderFromMessageReader(&messages{mapped: mapped})
	if err != nil {
		return nil, fmt.Errorf("read the answer of Python: %w", err)
	}
	return r, nil
}

// unmapper is the allocator of mapped memory: what is freed is unmapped.
type unmapper struct{}

func (unmapper) Allocate(int) []byte           { panic("python: a mapping does not grow") }
func (unmapper) Reallocate(int, []byte) []byte { panic("python: a mapping does not grow") }

func (unmapper) Free(data []byte) {
	// The address and length are those that Mmap returned: it cannot fail.
	_ = unix.Munmap(data[:cap(data)])
}

// messages reads the encapsulated messages of an IPC stream where they lie
// (https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format).
type messages struct {
	mapped *memory.Buffer
	at     int
	last   *ipc.Message
}

func (m *messages) Message() (*ipc.Message, error) {
	m.forget()
	data := m.mapped.Bytes()
	if len(data)-m.at < 8 || binary.LittleEndian.Uint32(data[m.at:]) != 0xffffffff {
		return nil, io.ErrUnexpectedEOF
	}
	size := int(binary.LittleEndian.Uint32(data[m.at+4:]))
	if size == 0 {
		return nil, io.EOF
	}
	start := m.at + 8
	if size > len(data)-start {
		return nil, io.ErrUnexpectedEOF
	}
	meta := memory.SliceBuffer(m.mapped, start, size)
	defer meta.Release()
	// The body's length is in the metadata.
	empty := memory.NewBufferBytes(nil)
	probe := ipc.NewMessage(meta, empty)
	length := probe.BodyLen()
	probe.Release()
	if length < 0 || length > int64(len(data)-start-size) {
		return nil, io.ErrUnexpectedEOF
	}
	body := memory.SliceBuffer(m.mapped, start+size, int(length))
	defer body.Release()
	m.at = start + size + int(length)
	m.last = ipc.NewMessage(meta, body)
	return m.last, nil
}

func (m *messages) forget() {
	if m.last != nil {
		m.last.Release()
		m.last = nil
	}
}

func (m *messages) Retain() {}

func (m *messages) Release() {
	m.forget()
	if m.mapped != nil {
		m.mapped.Release()
		m.mapped = nil
	}
}
