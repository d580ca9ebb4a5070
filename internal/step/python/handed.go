package python

import (
	"errors"
	"os"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/droverdata/drover/internal/step/function"
)

// rowPlaces is how many memories rows are given in: while the function runs on those in one, the next are written into another.
const rowPlaces = 2

// rowMemory is the memory that rows are given in, by place.
type rowMemory struct {
	places [rowPlaces]*segment
	// mapped are the bytes of each that the process has mapped.
	mapped   [rowPlaces]int
	gatherer gatherer
}

// handed is rows that are in memory for a call.
type handed struct {
	calls        []called
	place, bytes int
	// once says that the memory is not used again.
	once bool
	// done is closed when the call has ended, with answers or err; waited is set once somebody has seen that.
	done    chan struct{}
	answers function.Answers
	err     error
	waited  bool
}

func (h *handed) wait() (function.Answers, error) {
	<-h.done
	h.waited = true
	return h.answers, h.err
}

// write writes rows into a place that no call uses.
func (m *rowMemory) write(place int, rows array.RecordReader) (int, error) {
	if m.places[place] == nil {
		s, err := newSegment()
		if err != nil {
			return 0, err
		}
		m.places[place] = s
	}
	return m.gatherer.write(m.places[place], rows)
}

// unmapped returns the memory of a place if the process does not have it in its present size. It does then.
func (m *rowMemory) unmapped(place int) *os.File {
	s := m.places[place]
	if m.mapped[place] == len(s.data) {
		return nil
	}
	m.mapped[place] = len(s.data)
	return s.file
}

// forget lets go of the memory of a place.
func (m *rowMemory) forget(place int) error {
	s := m.places[place]
	m.places[place], m.mapped[place] = nil, 0
	if s == nil {
		return nil
	}
	return s.close()
}

func (m *rowMemory) close() error {
	var errs []error
	for place := range m.places {
		errs = append(errs, m.forget(place))
	}
	return errors.Join(errs...)
}
