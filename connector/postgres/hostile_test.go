package postgres

import (
	"errors"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/duck"
)

// hostileTypes are a type of each form, and arrays.
func hostileTypes() []*pgType {
	var types []*pgType
	for w := wireBool; w <= wireXid8; w++ {
		t := &pgType{wire: w, typmod: -1, name: "x"}
		t.base = t
		types = append(types, t)
	}
	for _, elem := range types[:len(types):len(types)] {
		a := &pgType{wire: wireArray, typmod: -1, elem: elem, name: "x[]"}
		a.base = a
		types = append(types, a)
	}
	return types
}

// FuzzHostileStreamsEndInAnError feeds a stream that no server writes, in pieces, to the reader and its tuples to a decoder and to the
// splicer. The batch's arena is exactly as large as its bytes, for an address sanitizer to see what lies behind.
func FuzzHostileStreamsEndInAnError(f *testing.F) {
	good := []byte(pgcopy.Header)
	good = pgcopy.AppendBytes(append(good, 0, 2), []byte("0123456789abcdef"))
	good = pgcopy.AppendNumeric(good, pgcopy.Decimal{Lo: 1234567}, 3, false)
	list := pgcopy.BeginArray([]byte(pgcopy.Header+"\x00\x02"), 23, 1, false)
	list = pgcopy.AppendBytes(list, []byte{0, 0, 0, 7})
	pgcopy.EndArray(list, len(pgcopy.Header)+2)
	for kind := range hostileTypes() {
		f.Add(pgcopy.AppendTrailer(good), uint8(kind), uint8(5))
		f.Add(pgcopy.AppendTrailer(pgcopy.AppendNull(list)), uint8(kind), uint8(255))
		f.Add(good[:len(good)-3], uint8(kind), uint8(1))
	}
	types, session := hostileTypes(), newSession(f)
	f.Fuzz(func(t *testing.T, data []byte, kind, piece uint8) {
		typ := types[int(kind)%len(types)]
		tuples, err := hostileTuples(t, data, int(piece)+1)
		if err != nil {
			return // it said so
		}
		for _, tuple := range tuples {
			decodeHostile(t, session, typ, tuple)
		}
	})
}

// hostileTuples reads a stream and returns its tuples as batches of one.
func hostileTuples(t *testing.T, data []byte, piece int) (tuples []*batch, err error) {
	pool := &batchPool{arena: 64}
	t.Cleanup(pool.close)
	s := startStream(t.Context(), pool, feed{fields: 2, run: func(s *stream) error {
		s.pending = make([]statement, 1)
		for rest := data; len(rest) > 0; {
			n := min(piece, len(rest))
			if _, err := s.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return s.flush()
	}})
	defer s.close()
	for {
		b, err := s.next()
		if b == nil {
			return tuples, err
		}
		for i := range b.rows {
			offs := b.row(i)
			one := &batch{arena: allocate(nil, int(offs[2]-offs[0])), fields: 2, rows: 1}
			t.Cleanup(one.free)
			copy(one.arena, b.arena[offs[0]:offs[2]])
			one.offs = []uint32{0, offs[1] - offs[0], offs[2] - offs[0]}
			tuples = append(tuples, one)
		}
		s.recycle(b)
	}
}

// decodeHostile decodes both fields of a tuple, and copies them as the splicer does.
func decodeHostile(t *testing.T, session *duck.Session, typ *pgType, b *batch) {
	duckType := typ.duck()
	if duckType == "" {
		duckType = "BLOB"
	}
	for field := range 2 {
		done := false
		name, remove, err := session.AddScan(drover.Schema{{Name: "v", Type: duckType}}, func() (duck.Filler, error) {
			return func(out duck.Chunk, _ []int) (int, error) {
				if done {
					return 0, nil
				}
				done = true
				return 1, newDecoder(typ)(out.Vector(0), 1, b.arena, b.offs[field:], 3)
			}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = session.Texts(t.Context(), "SELECT octet_length(v::VARCHAR::BLOB) FROM "+name)
		remove()
		var known *drover.Error
		if err != nil && !errors.As(err, &known) && !errors.As(err, new(*valueError)) {
			t.Errorf("%s: %v", typ.duck(), err)
		}
	}
	if typ.wire == wireArray {
		p := append([]byte(nil), b.arena[b.offs[0]:b.offs[1]]...)
		pgcopy.SetElement(p, 0, 23)
	}
}
