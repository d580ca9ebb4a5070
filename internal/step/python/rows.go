package python

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sys/unix"
)

// answerMemory is the memory that a child writes its answers into, one after the other, as long as each is released before the next.
type answerMemory struct{ last *mapping }

// mapping is memory of the child, mapped here. It is unmapped once nothing will be read from it any more.
type mapping struct {
	mu      sync.Mutex
	data    []byte
	lent    bool // rows refer to it
	retired bool // the child will not write to it again
}

// take has the memory that came with an answer, if any did, take the place of the last one.
func (a *answerMemory) take(f *os.File) error {
	if f == nil {
		return nil
	}
	a.retire()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the answer of Python: %w", err)
	}
	if info.Size() == 0 || info.Size() != int64(int(info.Size())) {
		return fmt.Errorf("the answer of Python has %d bytes", info.Size())
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the answer of Python: %w", err)
	}
	a.last = &mapping{data: data}
	return nil
}

// spare says whether the child may write into the last memory: nothing refers to it.
func (a *answerMemory) spare() bool {
	if a.last == nil {
		return false
	}
	a.last.mu.Lock()
	defer a.last.mu.Unlock()
	return !a.last.lent
}

// retire lets go of the last memory.
func (a *answerMemory) retire() {
	if a.last == nil {
		return
	}
	m := a.last
	a.last = nil
	m.mu.Lock()
	defer m.mu.Unlock()
	m.retired = true
	m.unmap()
}

// rows returns the rows of the IPC stream that is as many bytes of the last memory. Their buffers are that memory.
func (a *answerMemory) rows(size int) (array.RecordReader, error) {
	m := a.last
	if m == nil || size <= 0 || size > len(m.data) {
		return nil, fmt.Errorf("python answered with %d bytes that are not there", size)
	}
	m.mu.Lock()
	m.lent = true
	m.mu.Unlock()
	r, err := ipc.NewReaderFromMessageReader(&messages{mapped: memory.NewBufferWithAllocator(m.data[:size:size], m)})
	if err != nil {
		return nil, fmt.Errorf("read the answer of Python: %w", err)
	}
	return r, nil
}

// unmap ends the mapping if nobody needs it.
func (m *mapping) unmap() {
	if m.retired && !m.lent && m.data != nil {
		// The address and length are those that Mmap returned: it cannot fail.
		_ = unix.Munmap(m.data)
		m.data = nil
	}
}

// mapping is the allocator of the buffer that is lent.
func (m *mapping) Allocate(int) []byte           { panic("python: a mapping does not grow") }
func (m *mapping) Reallocate(int, []byte) []byte { panic("python: a mapping does not grow") }

// Free is called once the last buffer is released.
func (m *mapping) Free([]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lent = false
	m.unmap()
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
