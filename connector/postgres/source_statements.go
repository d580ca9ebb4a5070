package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// reading is how the rows of some chunks are read.
type reading struct {
	statements []statement
	// fields is how many fields each tuple has: the columns that were asked for, and one more that says the chunk where added is set.
	fields int
	added  bool
	// The last statement reads the chunks of shared, which are values of the column by; without shared there is none like it.
	by     string
	shared []int
}

// statements returns the COPY statements that read columns of chunks.
//
// Chunks that are values of one column share a statement: a task then visits each page of the table once, in the order of the heap,
// where a statement for each value would visit a page for nearly every row. Other chunks are statements of their own.
func (r *relation) statements(columns, chunks []int) (reading, error) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = "q." + quote(r.columns[c].name)
	}
	shared, null := r.sharing(chunks)
	p := reading{fields: len(columns)}
	together, extra := statement{}, ""
	if shared != nil {
		by := find(r.about.columns, r.chunks[shared[0]].By)
		if by == nil {
			return p, changed(r.chunks[shared[0]].By, "is gone since the run was planned")
		}
		field := slices.IndexFunc(columns, func(c int) bool { return r.columns[c].name == by.name })
		switch keys := r.keys(by, shared); {
		case keys == nil:
			p.added, extra, together = true, "NULL::int4", r.join(names, by, shared)
			null = -1
		case field < 0:
			p.added, extra = true, "q."+quote(by.name)
			together = r.anyOf(append(names[:len(names):len(names)], extra), by, shared, statement{field: len(columns), keys: keys, null: null})
		default:
			together = r.anyOf(names, by, shared, statement{field: field, keys: keys, null: null})
		}
	}
	if p.added { // all tuples of a stream have the same fields
		names = append(names[:len(names):len(names)], extra)
		p.fields++
	}
	for _, c := range chunks {
		if slices.Contains(shared, c) || shared != nil && c == null {
			continue
		}
		where, err := r.chunks[c].where(r.about)
		if err != nil {
			return p, err
		}
		p.statements = append(p.statements, statement{chunk: c, sql: r.copyOf(names, r.narrowed(r.src.from(r.about), where))})
	}
	if shared != nil {
		p.statements = append(p.statements, together)
		p.by, p.shared = r.chunks[shared[0]].By, shared
	}
	return p, nil
}

func (r *relation) copyOf(selects []string, from string) string {
	return "COPY (SELECT " + strings.Join(selects, ", ") + " FROM " + from + ") TO STDOUT (FORMAT binary)"
}

// sharing returns the chunks of values that are read by one statement, or nil, and the chunk of NULL that may join them, or -1.
func (r *relation) sharing(chunks []int) (keyed []int, null int) {
	null = -1
	for _, c := range chunks {
		switch b := r.chunks[c]; {
		case b.Columns != nil:
		case b.Key != nil:
			keyed = append(keyed, c)
		case b.Null:
			null = c
		}
	}
	if len(keyed) < 2 {
		return nil, -1
	}
	return keyed, null
}

// keys returns the chunk of each key by the bytes that the column's values have in binary COPY, or nil for a type or collation under
// which equal values may differ in their bytes.
func (r *relation) keys(by *column, chunks []int) map[string]int32 {
	keys := make(map[string]int32, len(chunks))
	for _, n := range chunks {
		k, ok := keyBytes(by, *r.chunks[n].Key)
		if !ok {
			return nil
		}
		keys[string(k)] = int32(n)
	}
	return keys
}

// keyBytes returns the only binary form of a value, given as text; ok is false where it may have another.
func keyBytes(c *column, text string) (form []byte, ok bool) {
	var bits int
	switch t := c.typ.base; {
	case t.oid == oidText || t.oid == oidVarchar || t.send == "enum_send":
		return []byte(text), c.bytewise || t.send == "enum_send"
	case t.wire == wireInt2:
		bits = 16
	case t.wire == wireInt4:
		bits = 32
	case t.wire == wireInt8:
		bits = 64
	case t.wire == wireDate:
		day, err := time.Parse(time.DateOnly, text)
		return binary.BigEndian.AppendUint32(nil, uint32(day.Unix()/86400-epochDays)), err == nil
	case t.wire == wireUUID:
		form, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		return form, err == nil && len(form) == 16
	default:
		return nil, false
	}
	v, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return nil, false
	}
	for at := bits - 8; at >= 0; at -= 8 {
		form = append(form, byte(v>>at))
	}
	return form, true
}

// values returns the keys of chunks as an SQL literal of an array of texts.
func (r *relation) values(chunks []int) string {
	values := make([]string, len(chunks))
	for i, n := range chunks {
		values[i] = *r.chunks[n].Key
	}
	return literal(arrayText(values))
}

// anyOf reads chunks of single values by a list of the values, with the chunk of NULL where st names one. The rows say by the value itself which
// chunk is theirs.
func (r *relation) anyOf(selects []string, by *column, chunks []int, st statement) statement {
	st.chunk = manyChunks
	where := r.isAny(by, chunks)
	if st.null >= 0 {
		where = "(" + where + " OR " + isNull(by, pgx.Identifier{"q", by.name}.Sanitize()) + ")"
	}
	st.sql = r.copyOf(selects, r.narrowed(r.src.from(r.about), where))
	return st
}

// isAny is the condition that picks the rows of all of the chunks, by an index where there is one.
func (r *relation) isAny(by *column, chunks []int) string {
	return fmt.Sprintf("%s = ANY (%s::%s[])", pgx.Identifier{"q", by.name}.Sanitize(), r.values(chunks), by.typ.castable())
}

// join reads chunks of single values in one pass by a join with the list of the values, which knows the chunks' numbers.
func (r *relation) join(names []string, by *column, chunks []int) statement {
	numbers := make([]string, len(chunks))
	for i, n := range chunks {
		numbers[i] = fmt.Sprint(n)
	}
	list := fmt.Sprintf("(SELECT v::%s AS v, n FROM unnest(%s::text[], '{%s}'::int4[]) AS l(v, n)) AS drover_keys",
		by.typ.castable(), r.values(chunks), strings.Join(numbers, ","))
	selects := append(names[:len(names):len(names)], "drover_keys.n")
	from := r.src.from(r.about) + " JOIN " + list + " ON " + pgx.Identifier{"q", by.name}.Sanitize() + " = drover_keys.v"
	where := ""
	// An array of arrays is not a list of them, and not every type has an array.
	scalar := by.typ.base.wire != wireRaw && by.typ.base.wire != wireArray
	if scalar && r.about.table != nil && r.about.table.ledBy(by.name) {
		where = r.isAny(by, chunks)
	}
	return statement{chunk: manyChunks, field: len(names), null: -1, sql: r.copyOf(selects, r.narrowed(from, where))}
}
