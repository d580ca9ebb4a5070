package python

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// segment is shared memory that grows, mapped here for as long as it is kept. What was written into it once costs no page fault again. Memory
// that is not written to takes no space.
type segment struct {
	file *os.File
	data []byte
}

func newSegment() (*segment, error) {
	f, err := newMemory()
	if err != nil {
		return nil, err
	}
	return &segment{file: f}, nil
}

// grow makes room for size bytes. What was written stays, and the mapping may move.
func (s *segment) grow(size int) error {
	if size <= len(s.data) {
		return nil
	}
	size = max(size, 2*len(s.data))
	page := os.Getpagesize()
	size = (size + page - 1) / page * page
	if err := s.file.Truncate(int64(size)); err != nil {
		return fmt.Errorf("enlarge shared memory: %w", err)
	}
	data, err := unix.Mmap(int(s.file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map shared memory: %w", err)
	}
	err = s.unmap()
	s.data = data
	return err
}

func (s *segment) unmap() error {
	if s.data == nil {
		return nil
	}
	data := s.data
	s.data = nil
	if err := unix.Munmap(data); err != nil {
		return fmt.Errorf("unmap shared memory: %w", err)
	}
	return nil
}

// close gives the memory back, as far as the child does not hold it.
func (s *segment) close() error { return errors.Join(s.unmap(), s.file.Close()) }
