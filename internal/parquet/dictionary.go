package parquet

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"unsafe"
)

const (
	// maxDictionary is the most values of a dictionary, and maxDictionaryText the most bytes of its texts.
	maxDictionary     = 1 << 15
	maxDictionaryText = 1 << 20
	// golden is 2^64 divided by the golden ratio, for multiplicative hashing (Knuth, The Art of Computer Programming 3, section 6.4).
	golden = 0x9E3779B97F4A7C15
	// sparse is how many slots a table has for each key at least: where the first slot is nearly always the right one, the processor guesses so.
	sparse = 2
)

// slot is a place of an open-addressing table. code is one above the value's code; 0 is a free slot.
type slot[K uint32 | uint64] struct{ key, code K }

// table gives numbers to keys of 4 or 8 bytes, from 0 in the order in which they first come.
type table[K uint32 | uint64] struct {
	slots []slot[K]
	shift uint
	keys  []K
}

func newTable[K uint32 | uint64]() table[K] {
	return table[K]{slots: make([]slot[K], 64), shift: 58}
}

func (t *table[K]) reset() {
	clear(t.slots)
	t.keys = t.keys[:0]
}

func (t *table[K]) memory() int {
	var k K
	return (2*len(t.slots) + cap(t.keys)) * int(unsafe.Sizeof(k))
}

func (t *table[K]) find(key K) (at uint64, ok bool) {
	mask := uint64(len(t.slots) - 1)
	for at = uint64(key) * golden >> t.shift; t.slots[at].code != 0; at = (at + 1) & mask {
		if t.slots[at].key == key {
			return at, true
		}
	}
	return at, false
}

// put adds a key that is not there, under a code of the caller's choice.
func (t *table[K]) put(key, code K) {
	if len(t.keys)*sparse >= len(t.slots) {
		old := t.slots
		t.slots, t.shift = make([]slot[K], len(old)*2), t.shift-1
		// A fresh page that is read first maps the kernel's page of zeros, and the write after it costs a fault and a TLB flush.
		for i := 0; i < len(t.slots); i += 4096 / int(unsafe.Sizeof(old[0])) {
			t.slots[i].code = 0
		}
		for _, s := range old {
			if s.code != 0 {
				at, _ := t.find(s.key)
				t.slots[at] = s
			}
		}
	}
	at, _ := t.find(key)
	t.keys = append(t.keys, key)
	t.slots[at] = slot[K]{key, code + 1}
}

// code returns the number of a key, which is new if added.
func (t *table[K]) code(key K) (code K, added bool) {
	if at, ok := t.find(key); ok {
		return t.slots[at].code - 1, false
	}
	n := K(len(t.keys))
	t.put(key, n)
	return n, true
}

// encode gives each key its code, new ones from n on. It stops where there would be more than limit values, and returns how many keys it did and
// how many values there are then.
func (t *table[K]) encode(keys []K, codes []uint32, n, limit int) (done, values int) {
	codes = codes[:len(keys)]
	slots, shift := t.slots, t.shift
	for i, k := range keys {
		s := &slots[uint64(k)*golden>>shift&uint64(len(slots)-1)]
		if s.key == k && s.code != 0 {
			codes[i] = uint32(s.code - 1)
			continue
		}
		if at, ok := t.find(k); ok {
			codes[i] = uint32(slots[at].code - 1)
			continue
		}
		if n >= limit {
			return i, n
		}
		codes[i] = uint32(n)
		t.put(k, K(n))
		n++
		slots, shift = t.slots, t.shift
	}
	return len(keys), n
}

// dictionary is a column chunk's distinct values. Numbers of 4 bytes are keys of narrow; those of 8, and texts of up to 7 bytes packed with their length,
// are keys of short; longer texts hash into long. All have codes from 0 in the order in which they first came.
type dictionary struct {
	narrow table[uint32]
	short  table[uint64]
	n      int
	long   []uint64 // hash's upper half and code+1, open addressing
	nLong  int
	seed   maphash.Seed
	texts  []byte   // as PLAIN, of a column of texts
	at     []uint32 // where each code's text begins in texts
}

// newDictionary returns an empty dictionary of values of 4 bytes, or of others.
func newDictionary(narrow bool) *dictionary {
	if narrow {
		return &dictionary{narrow: newTable[uint32]()}
	}
	return &dictionary{short: newTable[uint64](), seed: maphash.MakeSeed()}
}

func (d *dictionary) reset() {
	d.narrow.reset()
	d.short.reset()
	clear(d.long)
	d.n, d.nLong, d.texts, d.at = 0, 0, d.texts[:0], d.at[:0]
}

// memory returns the bytes that the dictionary holds.
func (d *dictionary) memory() int {
	return d.narrow.memory() + d.short.memory() + len(d.long)*8 + cap(d.texts) + cap(d.at)*4
}

// encode gives each key its code. It stops where the dictionary would pass limit values, and returns how many keys it did.
func (d *dictionary) encode(keys []uint64, codes []uint32, limit int) (done int) {
	done, d.n = d.short.encode(keys, codes, d.n, limit)
	return done
}

// addText appends the text of the newest code.
func (d *dictionary) addText(text []byte) {
	d.at = append(d.at, uint32(len(d.texts)))
	d.texts = appendText(d.texts, text)
}

// encodeText gives a text longer than 7 bytes its code. ok is false where the dictionary would pass limit values.
func (d *dictionary) encodeText(text []byte, limit int) (code uint32, added, ok bool) {
	if d.nLong*2 >= len(d.long) {
		d.growLong()
	}
	h := maphash.Bytes(d.seed, text)
	mask := uint64(len(d.long) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		s := d.long[at]
		if s == 0 {
			if d.n >= limit || len(d.texts) > maxDictionaryText {
				return 0, false, false
			}
			d.n++
			d.nLong++
			d.long[at] = h>>32<<32 | uint64(d.n)
			d.addText(text)
			return uint32(d.n - 1), true, true
		}
		if s>>32 == h>>32 {
			code := uint32(s) - 1
			from := d.at[code]
			n := binary.LittleEndian.Uint32(d.texts[from:])
			if bytes.Equal(d.texts[from+4:from+4+n], text) {
				return code, false, true
			}
		}
	}
}

func (d *dictionary) growLong() {
	old := d.long
	d.long = make([]uint64, max(64, 2*len(old)))
	mask := uint64(len(d.long) - 1)
	for _, s := range old {
		if s == 0 {
			continue
		}
		from := d.at[uint32(s)-1]
		n := binary.LittleEndian.Uint32(d.texts[from:])
		at := maphash.Bytes(d.seed, d.texts[from+4:from+4+n]) & mask
		for d.long[at] != 0 {
			at = (at + 1) & mask
		}
		d.long[at] = s
	}
}

// appendText appends a text as PLAIN has it: 4 bytes of length, least significant first, and the bytes.
func appendText(dst, text []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(text))), text...)
}

// packed is a text of up to 7 bytes as one number: its bytes, least significant first, and its length in the top byte.
func packed(text []byte) uint64 {
	key := uint64(len(text)) << 56
	for i, b := range text {
		key |= uint64(b) << (8 * i)
	}
	return key
}

// unpack appends the text of packed as PLAIN has it.
func unpack(dst []byte, key uint64) []byte {
	n := int(key >> 56)
	dst = append(dst, byte(n), 0, 0, 0)
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], key)
	return append(dst, b[:n]...)
}
