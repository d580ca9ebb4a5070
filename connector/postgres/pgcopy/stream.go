// Package pgcopy is the wire format of Postgres's binary COPY: streams, tuples, and the fields whose form is more than an
// integer. It is pure: it reads and appends bytes.
//
// The format is documented in PostgreSQL's manual under COPY, "Binary Format"; the forms of fields are those of the send and
// receive functions in src/backend/utils/adt.
package pgcopy

import (
	"encoding/binary"
	"fmt"
)

// Header opens a stream: the signature, no flags, no extension.
const Header = signature + "\x00\x00\x00\x00\x00\x00\x00\x00"

const signature = "PGCOPY\n\xff\r\n\x00"

// headerSize is the size of a header without its extension.
const headerSize = len(signature) + 8

// maxField is the largest field that Postgres makes, in bytes.
const maxField = 1 << 30

// Null is the length word of a NULL field.
const Null = ^uint32(0)

// AppendTrailer ends a stream.
func AppendTrailer(dst []byte) []byte { return append(dst, 0xff, 0xff) }

// Token is what Walker.Next found.
type Token uint8

// The tokens. More means that buf ends before the token does.
const (
	More Token = iota
	Begin
	Tuple
	End
)

// Walker finds the tuples of one or more binary COPY streams that follow each other. It keeps only where it is between them.
type Walker struct {
	// Fields is the number of fields that every tuple must have.
	Fields int
	inside bool // between a header and its trailer
}

// Next reads one token of buf at pos and returns the position behind it. For a Tuple it sets offs[i] to the offset of the i-th
// field's length word and offs[Fields] to the end of the tuple: offs must have Fields+1 elements. With More, pos comes back and nothing
// was consumed. A stream that no server writes is an error.
func (w *Walker) Next(buf []byte, pos int, offs []uint32) (int, Token, error) {
	rest := buf[pos:]
	if !w.inside {
		return w.begin(rest, pos)
	}
	if len(rest) < 2 {
		return pos, More, nil
	}
	n := int(int16(binary.BigEndian.Uint16(rest)))
	if n == -1 {
		w.inside = false
		return pos + 2, End, nil
	}
	if n != w.Fields {
		return pos, More, fmt.Errorf("a tuple has %d fields instead of %d", n, w.Fields)
	}
	q := pos + 2
	offs = offs[:n+1]
	for i := range n {
		if q+4 > len(buf) {
			return pos, More, nil
		}
		offs[i] = uint32(q)
		size := int(int32(binary.BigEndian.Uint32(buf[q:])))
		q += 4
		if size > 0 {
			if size > maxField {
				return pos, More, fmt.Errorf("field %d has %d bytes", i+1, size)
			}
			q += size
		} else if size < -1 {
			return pos, More, fmt.Errorf("field %d has %d bytes", i+1, size)
		}
	}
	if q > len(buf) {
		return pos, More, nil
	}
	offs[n] = uint32(q)
	return q, Tuple, nil
}

func (w *Walker) begin(rest []byte, pos int) (int, Token, error) {
	if k := min(len(rest), len(signature)); string(rest[:k]) != signature[:k] {
		return pos, More, fmt.Errorf("not a binary COPY stream")
	}
	if len(rest) < headerSize {
		return pos, More, nil
	}
	if flags := binary.BigEndian.Uint32(rest[len(signature):]); flags>>16 != 0 {
		return pos, More, fmt.Errorf("a binary COPY stream with flags %#x", flags)
	}
	extension := binary.BigEndian.Uint32(rest[len(signature)+4:])
	if extension > maxField {
		return pos, More, fmt.Errorf("a binary COPY header of %d bytes", extension)
	}
	if len(rest) < headerSize+int(extension) {
		return pos, More, nil
	}
	w.inside = true
	return pos + headerSize + int(extension), Begin, nil
}

// Field returns the bytes of the field whose length word is at off, and whether it is NULL.
func Field(buf []byte, off uint32) (value []byte, null bool) {
	size := binary.BigEndian.Uint32(buf[off:])
	if size == Null {
		return nil, true
	}
	at := int(off) + 4
	return buf[at : at+int(size)], false
}

// AppendNull appends a NULL field.
func AppendNull(dst []byte) []byte { return append(dst, 0xff, 0xff, 0xff, 0xff) }

// AppendBytes appends a field.
func AppendBytes(dst, value []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(value))), value...)
}
