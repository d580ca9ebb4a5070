package parquet

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/droverdata/drover/internal/duck"
)

// Encodings (parquet.thrift, Encoding).
const (
	encodingPlain      = 0
	encodingRLE        = 3
	encodingDictionary = 8
)

const (
	// maxPageRows is the most rows of a page, and minPageRows what it is lowered to where there are many partitions.
	maxPageRows = 4096
	minPageRows = 256
	// trialRows is how many rows a page needs to decide between dictionary and PLAIN for its column chunk.
	trialRows = 512
	// trialPages is how many pages of a column chunk are stored after one that the codec did not make smaller by one part in leastGain: what less
	// saves of the writing is less than it takes.
	trialPages, leastGain = 15, 8
)

// mode is how the pages of a column chunk are encoded.
type mode byte

const (
	undecided mode = iota
	asDictionary
	asPlain
)

// chunk is one column of the open row group of a file.
type chunk struct {
	staging
	mode                   mode
	dict                   *dictionary
	pages                  pages
	dictPages, plainPages  int
	rows, nulls            int64
	uncompressed           int64
	extent                 extent
	encoding               int32 // of the last page
	stored                 int   // how many more pages of it go out without a trial of the codec
	dictMemory, ownStaging int   // what the writer has counted
}

// scratch is what all pages of a writer share.
type scratch struct {
	rows    [duck.VectorSize]uint16
	codes   []uint32
	payload []byte
	packed  []byte
	header  thrift
	codec   codec
	// decided is, by column, what the last full page of any file chose.
	decided []mode
}

// encodePage encodes the staged page of n rows of a column.
func (w *Writer) encodePage(c *chunk, column, n int) error {
	col, s := &w.columns[column], &w.scratch
	var payload []byte
	encoding := int32(encodingPlain)
	if w.tryDictionary(c, column, n) {
		width := widthOf(c.dict.n)
		s.payload = append(w.levels(c, n), byte(width))
		s.payload = hybrid(s.payload, s.codes[:c.n], width)
		payload, encoding = s.payload, encodingDictionary
		c.dictPages++
	} else {
		payload = w.plain(c, col, n)
		c.plainPages++
	}
	if encoding != c.encoding {
		c.encoding, c.stored = encoding, 0
	}
	if err := w.emit(c, payload, int32(n), encoding); err != nil {
		return fmt.Errorf("column %s: %w", col.Name, err)
	}
	c.rows += int64(n)
	c.nulls += int64(n - c.n)
	c.reset()
	return nil
}

// levels begins a page in the scratch payload with its definition levels.
func (w *Writer) levels(c *chunk, n int) []byte {
	if !c.staging.nulls {
		return presentLevels(w.scratch.payload[:0], n)
	}
	return definitionLevels(w.scratch.payload[:0], c.present)
}

// tryDictionary puts the codes of the staged values into scratch, and says whether the page goes out so. The first page of a column chunk decides: where more
// than half of its values are distinct a dictionary saves nothing. A page of NULLs alone decides nothing and has no dictionary.
func (w *Writer) tryDictionary(c *chunk, column, n int) bool {
	col, s := &w.columns[column], &w.scratch
	if c.mode == asPlain || c.n == 0 || col.width == 16 || col.width == 1 {
		return false
	}
	if c.mode == undecided {
		if s.decided[column] == asPlain && n < trialRows {
			c.mode = asPlain
			return false
		}
		c.mode = asDictionary
		if c.dict == nil {
			c.dict = w.dictionary(col.width == 4)
		}
	}
	limit := maxDictionary
	if c.dictPages == 0 && n >= trialRows {
		limit = c.n/2 + 1
	}
	ok := w.encodeValues(c, col, limit)
	if m := c.dict.memory(); m != c.dictMemory {
		w.dictMemory += m - c.dictMemory
		c.dictMemory = m
	}
	if n >= trialRows {
		s.decided[column] = asDictionary
		if !ok {
			s.decided[column] = asPlain
		}
	}
	if !ok {
		c.mode = asPlain
		if c.dictPages == 0 {
			w.dropDictionary(c)
		}
	}
	return ok
}

// encodeValues encodes the staged values by the dictionary, as far as limit allows, and takes its new values into the statistics.
func (w *Writer) encodeValues(c *chunk, col *Column, limit int) bool {
	d, s := c.dict, &w.scratch
	staged := c.bytes()[head:]
	codes := s.codes[:c.n]
	switch {
	case col.text() && c.long:
		return w.encodeLongTexts(c, codes, limit)
	case col.text():
		before := len(d.short.keys)
		done := d.encode(view[uint64](staged, c.n), codes, limit)
		for _, key := range d.short.keys[before:] {
			at := len(d.texts)
			d.at = append(d.at, uint32(at))
			d.texts = unpack(d.texts, key)
			c.extent.text(d.texts[at+4:])
		}
		return done == c.n
	case col.width == 8:
		before := len(d.short.keys)
		done := d.encode(view[uint64](staged, c.n), codes, limit)
		if fresh := d.short.keys[before:]; len(fresh) > 0 {
			c.extent.numbers(col, bytesOf(fresh), len(fresh))
		}
		return done == c.n
	}
	before, done := len(d.narrow.keys), 0
	done, d.n = d.narrow.encode(view[uint32](staged, c.n), codes, d.n, limit)
	if fresh := d.narrow.keys[before:]; len(fresh) > 0 {
		c.extent.numbers(col, bytesOf(fresh), len(fresh))
	}
	return done == c.n
}

func (w *Writer) encodeLongTexts(c *chunk, codes []uint32, limit int) bool {
	d, texts := c.dict, c.texts
	var code [1]uint32
	for i := range codes {
		n := binary.LittleEndian.Uint32(texts)
		text := texts[4 : 4+n]
		texts = texts[4+n:]
		if n > 7 {
			code, added, ok := d.encodeText(text, limit)
			if !ok {
				return false
			}
			if added {
				c.extent.text(text)
			}
			codes[i] = code
			continue
		}
		before := d.n
		if d.encode([]uint64{packed(text)}, code[:], limit) == 0 {
			return false
		}
		if d.n > before {
			d.addText(text)
			c.extent.text(text)
		}
		codes[i] = code[0]
	}
	return true
}

// plain returns the staged page as PLAIN, and takes its values into the statistics.
func (w *Writer) plain(c *chunk, col *Column, n int) []byte {
	s := &w.scratch
	staged := c.bytes()
	switch {
	case col.text():
		s.payload = w.levels(c, n)
		from := len(s.payload)
		if c.long {
			s.payload = append(s.payload, c.texts...)
		} else {
			for _, key := range view[uint64](staged[min(head, len(staged)):], c.n) {
				s.payload = unpack(s.payload, key)
			}
		}
		for b := s.payload[from:]; len(b) > 0; {
			n := binary.LittleEndian.Uint32(b)
			c.extent.text(b[4 : 4+n])
			b = b[4+n:]
		}
		return s.payload
	case c.n == 0:
		s.payload = w.levels(c, n)
		return s.payload
	case col.phys == physBoolean:
		c.extent.numbers(col, staged[head:], c.n)
		s.payload = w.levels(c, n)
		s.payload = packBits(s.payload, staged[head:head+c.n])
		return s.payload
	case col.width == 16:
		c.extent.fixed(col, staged[head:], c.n)
	default:
		c.extent.numbers(col, staged[head:], c.n)
	}
	if c.staging.nulls {
		s.payload = append(w.levels(c, n), staged[head:head+c.n*col.width]...)
		return s.payload
	}
	// The values are PLAIN as they are staged: the levels go in front of them.
	var levels [levelsRoom]byte
	l := presentLevels(levels[:0], n)
	copy(staged[head-len(l):], l)
	return staged[head-len(l) : head+c.n*col.width]
}

// emit compresses a data page and keeps it until its row group is written. A page of a column chunk whose page shortly before did not become smaller is stored:
// codes, floating-point numbers and times mostly do not, and the trial costs more than to encode them.
func (w *Writer) emit(c *chunk, payload []byte, n, encoding int32) error {
	if c.stored > 0 && w.scratch.codec.store != nil {
		c.stored--
		w.pageHeader(c, len(payload), w.scratch.codec.storedSize(payload), n, encoding)
		w.scratch.codec.store(func(b []byte) { c.pages.write(&w.blocks, b) }, payload)
		return nil
	}
	body, err := w.compress(payload)
	if err != nil {
		return err
	}
	if len(body) > len(payload)-len(payload)/leastGain {
		c.stored = trialPages
	}
	w.pageHeader(c, len(payload), len(body), n, encoding)
	c.pages.write(&w.blocks, body)
	return nil
}

// pageHeader writes the header of a data page.
func (w *Writer) pageHeader(c *chunk, uncompressed, compressed int, n, encoding int32) {
	t := &w.scratch.header
	pageHeader(t, 0, uncompressed, compressed)
	t.structure(5) // data_page_header
	t.i32(1, n)
	t.i32(2, encoding)
	t.i32(3, encodingRLE)
	t.i32(4, encodingRLE)
	t.end()
	t.end()
	c.uncompressed += int64(len(t.b) + uncompressed)
	c.pages.write(&w.blocks, t.b)
}

func (w *Writer) compress(payload []byte) ([]byte, error) {
	body, err := w.scratch.codec.compress(w.scratch.packed, payload)
	if err == nil && (len(payload) > math.MaxInt32 || len(body) > math.MaxInt32) {
		err = fmt.Errorf("a page of %d bytes is larger than Parquet allows", len(payload))
	}
	if err == nil && w.scratch.codec.id != 0 {
		w.scratch.packed = body[:0]
	}
	return body, err
}

// pageHeader begins a PageHeader: 0 is a V1 data page, 2 a dictionary page.
func pageHeader(t *thrift, typ int32, uncompressed, compressed int) {
	t.reset()
	t.begin()
	t.i32(1, typ)
	t.i32(2, int32(uncompressed))
	t.i32(3, int32(compressed))
}
