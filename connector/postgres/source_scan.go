package postgres

import (
	"errors"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/duck"
)

// scan is one query's pass over some chunks. It starts to read when it is asked for rows, and then knows for which columns.
type scan struct {
	rel    *relation
	chunks []int
	from   feeder

	stream *stream
	ended  bool
	decode []decoder // per vector; nil where there is nothing to decode
	field  []int     // per vector, its field in the tuples
	cur    *batch
	pos    int
	seg    int
}

// fill implements duck.Filler.
func (sc *scan) fill(out duck.Chunk, projection []int) (int, error) {
	if sc.ended {
		return 0, nil
	}
	if sc.stream == nil {
		if err := sc.start(projection); err != nil {
			return 0, err
		}
	}
	for sc.cur == nil || sc.pos == sc.cur.rows {
		if sc.cur != nil {
			sc.stream.recycle(sc.cur)
		}
		var err error
		if sc.cur, err = sc.stream.next(); err != nil || sc.cur == nil {
			sc.close()
			return 0, err
		}
		sc.pos, sc.seg = 0, 0
	}
	b := sc.cur
	n := min(b.rows-sc.pos, duck.VectorSize)
	stride := b.fields + 1
	for i, c := range projection {
		switch {
		case c == len(sc.rel.columns):
			sc.tag(duck.Data[int64](out.Vector(i))[:n])
		case sc.decode[i] != nil:
			if err := sc.decode[i](out.Vector(i), n, b.arena, b.offs[sc.pos*stride+sc.field[i]:], stride); err != nil {
				return 0, sc.rel.describeValue(&sc.rel.columns[c], err)
			}
		}
	}
	sc.pos += n
	return n, nil
}

// start begins to read the columns that the query needs.
func (sc *scan) start(projection []int) error {
	var columns []int
	sc.decode, sc.field = make([]decoder, len(projection)), make([]int, len(projection))
	for i, c := range projection {
		if c < 0 || c >= len(sc.rel.columns) {
			continue
		}
		sc.decode[i] = newDecoder(sc.rel.columns[c].typ)
		sc.field[i] = len(columns)
		columns = append(columns, c)
	}
	var err error
	sc.stream, err = sc.rel.streamOf(sc.from, columns, sc.chunks)
	return err
}

// tag writes the chunk of each of the rows from pos on.
func (sc *scan) tag(out []int64) {
	for i := 0; i < len(out); {
		g := sc.cur.segments[sc.seg]
		end := min(int(g.end)-sc.pos, len(out))
		for ; i < end; i++ {
			out[i] = int64(g.chunk)
		}
		if int(g.end) <= sc.pos+len(out) {
			sc.seg++
		}
	}
}

// close ends the pass. It may be called again.
func (sc *scan) close() {
	sc.ended = true
	if sc.stream == nil {
		return
	}
	if sc.cur != nil {
		sc.stream.recycle(sc.cur)
		sc.cur = nil
	}
	sc.stream.close()
	sc.stream = nil
}

// describeValue names the column and the value of a decoder's error.
func (r *relation) describeValue(c *column, err error) error {
	var v *valueError
	if !errors.As(err, &v) {
		return err
	}
	e := drover.Errorf(drover.Data, "column %s: a value of type %s %s", c.name, c.native, v.err.Error())
	e.Column, e.Cause = c.name, err
	if c.typ.base.wire == wireNumeric {
		e.Sample = sample(pgcopy.NumericText(v.value))
		e.Message += ": " + e.Sample
		e.Hint = "leave the column untouched, or read it by a query that casts it"
	}
	return e
}
