package pgcopy

import (
	"encoding/binary"
	"errors"
)

// What keeps an array from being a list.
var (
	ErrDimensions = errors.New("has more than one dimension")
	ErrLowerBound = errors.New("does not start at index 1")
)

// arrayHeader is the size of an array's header without its dimensions, dimension that of one.
const (
	arrayHeader = 12
	dimension   = 8
)

// AppendElements reads an array of one dimension and appends the offset in buf of each element's length word to offs. The array's own
// length word is at off.
func AppendElements(offs []uint32, buf []byte, off uint32) ([]uint32, error) {
	p, null := Field(buf, off)
	if null {
		return offs, nil
	}
	if len(p) < arrayHeader {
		return offs, ErrForm
	}
	switch dims := binary.BigEndian.Uint32(p); {
	case dims == 0 && len(p) == arrayHeader:
		return offs, nil
	case dims == 0 || dims > 6: // MAXDIM
		return offs, ErrForm
	case dims > 1:
		return offs, ErrDimensions
	}
	if len(p) < arrayHeader+dimension {
		return offs, ErrForm
	}
	n := int(binary.BigEndian.Uint32(p[12:]))
	if binary.BigEndian.Uint32(p[16:]) != 1 {
		return offs, ErrLowerBound
	}
	at := arrayHeader + dimension
	if n > (len(p)-at)/4 {
		return offs, ErrForm
	}
	for range n {
		if len(p)-at < 4 {
			return offs, ErrForm
		}
		size := binary.BigEndian.Uint32(p[at:])
		offs = append(offs, off+4+uint32(at))
		at += 4
		if size == Null {
			continue
		}
		if int(size) > len(p)-at {
			return offs, ErrForm
		}
		at += int(size)
	}
	if at != len(p) {
		return offs, ErrForm
	}
	return offs, nil
}

// BeginArray appends the head of the field of an array of one dimension with n elements, whose fields follow. EndArray, given the
// length of dst from before, completes it.
func BeginArray(dst []byte, elem uint32, n int, nulls bool) []byte {
	dst = append(dst, 0, 0, 0, 0)
	if n == 0 {
		dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
		return binary.BigEndian.AppendUint32(dst, elem)
	}
	flag := uint32(0)
	if nulls {
		flag = 1
	}
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, flag)
	dst = binary.BigEndian.AppendUint32(dst, elem)
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	return binary.BigEndian.AppendUint32(dst, 1)
}

// EndArray sets the length word of the array that begins at start.
func EndArray(dst []byte, start int) {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
}

// SetElement makes elem the element type of the array whose field begins at start, NULL or not.
func SetElement(dst []byte, start int, elem uint32) {
	if field, null := Field(dst, uint32(start)); !null && len(field) >= arrayHeader {
		binary.BigEndian.PutUint32(field[8:], elem)
	}
}
