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

// answerPlaces is how many memories a child writes answers into: while one is read to its end, it fills another.
const answerPlaces = 2

// answerMemory is the memory that a child writes its answers into, by place.
type answerMemory struct{ places [answerPlaces]*mapping }

// mapping is memory of the child, mapped here. It is unmapped once nothing will be read from it any more.
type mapping struct {
	mu      sync.Mutex
	data    []byte
	lent    bool // rows refer to it
	retired bool // the child will not write to it again
}

// take has the memory that came with an answer take a place.
func (a *answerMemory) take(place int, f *os.File) error {
	if place < 0 || place >= answerPlaces {
		return fmt.Errorf("python answered in place %d of %d", place, answerPlaces)
	}
	a.retire(place)
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
	a.places[place] = &mapping{data: data}
	return nil
}

// spare lists the places that the child may write to: nothing refers to their memory.
func (a *answerMemory) spare() []int {
	spare := []int{}
	for i, m := range a.places {
		if m == nil || m.free() {
			spare = append(spare, i)
		}
	}
	return spare
}

func (m *mapping) free() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.lent
}

// retire lets go of the memory of a place.
func (a *answerMemory) retire(place int) {
	m := a.places[place]
	if m == nil {
		return
	}
	a.places[place] = nil
	m.mu.Lock()
	defer m.mu.Unlock()
	m.retired = true
	m.unmap()
}

// retireAll lets go of all memory.
func (a *answerMemory) retireAll() {
	for i := range a.places {
		a.retire(i)
	}
}

// rows returns the rows of the IPC stream that an answer is. Their buffers are the child's memory.
func (a *answerMemory) rows(at answerAt) (array.RecordReader, error) {
	if at.Place < 0 || at.Place >= answerPlaces || a.places[at.Place] == nil || at.Bytes <= 0 || at.Bytes > len(a.places[at.Place].data) {
		return nil, fmt.Errorf("python answered with %d bytes in place %d that are not there", at.Bytes, at.Place)
	}
	m := a.places[at.Place]
	m.mu.Lock()
	m.lent = true
	m.mu.Unlock()
	r, err := ipc.NewReaderFromMessageReader(&messages{mapped: memory.NewBufferWithAllocator(m.data[:at.Bytes:at.Bytes], m)})
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
