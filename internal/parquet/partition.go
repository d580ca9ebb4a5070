package parquet

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"github.com/droverdata/drover/internal/duck"
)

// Value is a partition column's value.
type Value struct {
	// Text is the value as DuckDB casts it to VARCHAR.
	Text string
	Null bool
}

// Key is a column that tells partitions apart.
type Key struct {
	// Cast is the DuckDB type that its vectors must have.
	Cast string
	src  int
}

// NewKey returns the key for a DuckDB type: integers, booleans and dates are told apart as they are, others by their text.
func NewKey(typ string) Key {
	widths := map[string]int{
		"BOOLEAN": 1, "TINYINT": 1, "UTINYINT": 1, "SMALLINT": 2, "USMALLINT": 2, "INTEGER": 4, "UINTEGER": 4, "DATE": 4, "BIGINT": 8, "UBIGINT": 8,
	}
	if n := widths[typ]; n > 0 {
		return Key{typ, n}
	}
	return Key{"VARCHAR", 16}
}

// text renders a value as DuckDB casts it to VARCHAR.
func (k Key) text(bits uint64) string {
	switch k.Cast {
	case "BOOLEAN":
		return strconv.FormatBool(bits != 0)
	case "TINYINT":
		return strconv.FormatInt(int64(int8(bits)), 10)
	case "SMALLINT":
		return strconv.FormatInt(int64(int16(bits)), 10)
	case "INTEGER":
		return strconv.FormatInt(int64(int32(bits)), 10)
	case "BIGINT":
		return strconv.FormatInt(int64(bits), 10)
	case "DATE":
		return dateText(int32(bits))
	}
	return strconv.FormatUint(bits, 10)
}

// dateText is a DATE, the days since 1970-01-01, as DuckDB prints it.
func dateText(days int32) string {
	switch days {
	case math.MaxInt32:
		return "infinity"
	case -math.MaxInt32:
		return "-infinity"
	}
	year, month, day := time.Unix(int64(days)*86400, 0).UTC().Date()
	era := ""
	if year <= 0 {
		year, era = 1-year, " (BC)"
	}
	return fmt.Sprintf("%04d-%02d-%02d%s", year, month, day, era)
}

// keyColumn numbers the values of one key.
type keyColumn struct {
	Key
	numbers table[uint64]  // of values as bits, and of texts of up to 7 bytes
	texts   map[string]int // of longer ones
	values  []Value
	null    int // the code of NULL, or -1
	// narrow has one above the code of each value of one byte, and of NULL.
	narrow [1<<8 + 1]uint32
}

func newKeyColumn(k Key) *keyColumn {
	return &keyColumn{Key: k, numbers: newTable[uint64](), texts: map[string]int{}, null: -1}
}

// code returns the number of the value in row i.
func (k *keyColumn) code(v vector, i int) uint64 {
	if !duck.Valid(v.mask, i) {
		if k.null < 0 {
			k.null = k.add(Value{Null: true})
		}
		return uint64(k.null)
	}
	var bits uint64
	switch k.src {
	case 1:
		bits = uint64(*(*uint8)(unsafe.Add(v.data, i)))
	case 2:
		bits = uint64(*(*uint16)(unsafe.Add(v.data, i*2)))
	case 4:
		bits = uint64(*(*uint32)(unsafe.Add(v.data, i*4)))
	case 8:
		bits = *(*uint64)(unsafe.Add(v.data, i*8))
	default:
		s := (*duck.String)(unsafe.Add(v.data, i*16))
		key, ok := s.Packed()
		if !ok {
			return k.long(s.Bytes())
		}
		bits = key
	}
	if at, ok := k.numbers.find(bits); ok {
		return k.numbers.slots[at].code - 1
	}
	var text string
	if k.src == 16 {
		text = string(unpack(nil, bits)[4:])
	} else {
		text = k.text(bits)
	}
	n := k.add(Value{Text: text})
	k.numbers.put(bits, uint64(n))
	return uint64(n)
}

// codes numbers the values of the first rows.
func (k *keyColumn) codes(v vector, codes []uint32) {
	if k.src > 1 {
		for i := range codes {
			codes[i] = uint32(k.code(v, i))
		}
		return
	}
	const null = 1 << 8
	values := (*[duck.VectorSize]uint8)(v.data)
	for i := range codes {
		at := int(values[i%duck.VectorSize])
		if !duck.Valid(v.mask, i) {
			at = null
		}
		if k.narrow[at] == 0 {
			k.narrow[at] = uint32(k.code(v, i)) + 1
		}
		codes[i] = k.narrow[at] - 1
	}
}

func (k *keyColumn) long(text []byte) uint64 {
	if n, ok := k.texts[string(text)]; ok {
		return uint64(n)
	}
	n := k.add(Value{Text: string(text)})
	k.texts[string(text)] = n
	return uint64(n)
}

func (k *keyColumn) add(v Value) int {
	k.values = append(k.values, v)
	return len(k.values) - 1
}

// partition is one combination of values that has come.
type partition struct {
	values []Value
	count  uint32 // rows in the chunk at hand
}

// squareSide is below how many partitions and codes their pairs are looked up without a hash.
const squareSide = 64

// pairs numbers pairs of a number of what came before and a key's code.
type pairs struct {
	table[uint64]
	square [squareSide * squareSide]uint32
}

// partitioner numbers the partitions.
type partitioner struct {
	keys []*keyColumn
	// pairs numbers, for each key but the first, pairs of the number of what came before and the key's code.
	pairs      []pairs
	partitions []partition
	touched    []uint32
	ids, codes [duck.VectorSize]uint32
	sorted     [duck.VectorSize]uint16
	accept     func([]Value) error
}

func newPartitioner(keys []Key, accept func([]Value) error) *partitioner {
	p := &partitioner{accept: accept}
	for i, k := range keys {
		p.keys = append(p.keys, newKeyColumn(k))
		if i > 0 {
			p.pairs = append(p.pairs, pairs{table: newTable[uint64]()})
		}
	}
	return p
}

// split groups n rows by partition and calls each with the rows of one, in their order.
func (p *partitioner) split(vectors []vector, n int, each func(partition int, rows []uint16) error) error {
	if err := p.number(vectors, n); err != nil {
		return err
	}
	// A counting sort by partition over those that have rows here.
	slices.Sort(p.touched)
	var starts uint32
	for _, id := range p.touched {
		starts, p.partitions[id].count = starts+p.partitions[id].count, starts
	}
	for i, id := range p.ids[:n] {
		at := &p.partitions[id].count
		p.sorted[*at%duck.VectorSize] = uint16(i)
		*at++
	}
	from := uint32(0)
	for _, id := range p.touched {
		to := p.partitions[id].count
		p.partitions[id].count = 0
		if err := each(int(id), p.sorted[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// number finds each row's partition: key by key, for one column at a time is what a processor reads well.
func (p *partitioner) number(vectors []vector, n int) error {
	p.touched = p.touched[:0]
	ids := p.ids[:n]
	clear(ids) // without keys, all rows are one partition
	for k, key := range p.keys {
		if k == 0 {
			key.codes(vectors[0], ids)
			continue
		}
		codes := p.codes[:n]
		key.codes(vectors[k], codes)
		p.pair(k-1, ids, codes)
	}
	for i, id := range ids {
		if id == uint32(len(p.partitions)) {
			if err := p.begin(vectors, i); err != nil {
				return err
			}
		}
		part := &p.partitions[id]
		if part.count == 0 {
			p.touched = append(p.touched, id)
		}
		part.count++
	}
	return nil
}

// pair makes ids the numbers of the pairs of an id and a code. Most are small: a square has one above the number of each such pair.
func (p *partitioner) pair(k int, ids, codes []uint32) {
	pairs := &p.pairs[k]
	for i, code := range codes {
		id := ids[i]
		if id|code >= squareSide {
			n, _ := pairs.code(uint64(id)<<32 | uint64(code))
			ids[i] = uint32(n)
			continue
		}
		known := &pairs.square[id*squareSide+code]
		if *known == 0 {
			n, _ := pairs.code(uint64(id)<<32 | uint64(code))
			*known = uint32(n) + 1
		}
		ids[i] = *known - 1
	}
}

// begin makes the partition of row i.
func (p *partitioner) begin(vectors []vector, i int) error {
	var values []Value
	for k, key := range p.keys {
		values = append(values, key.values[key.code(vectors[k], i)])
	}
	p.partitions = append(p.partitions, partition{values: values})
	if p.accept != nil {
		return p.accept(values)
	}
	return nil
}
