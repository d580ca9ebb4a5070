package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/duck"
)

// splicePass runs a row-wise program over batches of tuples. DuckDB sees the columns that the program reads and returns the numbers of
// the rows that stay, with their new columns; all other fields are copied from tuple to tuple.
type splicePass struct {
	*loader
	rel    *relation
	stmt   *duck.Stmt
	remove func()

	// fetch holds the source columns that are read, in the order of the tuples' fields.
	fetch []int
	ops   []op
	encs  []encoder
	made  []int // the output columns that encs belong to

	// What the scan reads: the current batch from row pos on.
	cur    *batch
	pos    int
	seg    int   // the segment of the last row that was sent
	from   int   // its first row
	silent int   // bytes since the last call of Progress
	seen   []int // the columns that the program reads
	decode []decoder
	field  []int
}

// op makes part of an output row.
type op struct {
	// enc is the index of an encoder, or -1 for a copy of the fields from first up to, but not with, last.
	enc, first, last int
	// elem is the array element type to set in the copied field; 0 leaves it.
	elem uint32
}

// prepareSplice readies the pass for a source that is Postgres.
func (ld *loader) prepareSplice(ctx context.Context, rel *relation) (_ pass, err error) {
	p := &splicePass{loader: ld, rel: rel}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	spliced := make([]int, len(ld.columns)) // source column, or -1
	for k, o := range ld.in.Output {
		spliced[k] = -1
		if o.From != "" {
			if s := ld.in.Source.Index(o.From); s >= 0 && rel.columns[s].typ.sameForm(ld.columns[k].typ) {
				spliced[k] = s
			}
		}
		if spliced[k] < 0 {
			p.made = append(p.made, k)
		}
	}
	var list []string
	if p.encs, list, err = ld.encoders(p.made); err != nil {
		return nil, err
	}
	if err := p.register(ctx, list); err != nil {
		return nil, err
	}
	p.layout(spliced)
	return p, nil
}

// register makes the batch readable, binds the program to it and finds out which columns it reads, by running it over no rows.
func (p *splicePass) register(ctx context.Context, list []string) error {
	if p.in.Sums != nil {
		p.in.Sums.Place = p.chunkOf
	}
	name, remove, err := p.in.Session.AddScan(p.rel.scanned(), func() (duck.Filler, error) { return p.fill, nil })
	if err != nil {
		return fmt.Errorf("make a batch readable: %w", err)
	}
	// Rows that leave a query are copied by DuckDB; consumed inside it they are not.
	query, ended := p.in.Session.AddConsumer(p.in.Program.Over("(SELECT * FROM "+name+")"), list, p.send)
	p.remove = func() { ended(); remove() }
	p.stmt, err = p.in.Session.Prepare(query)
	if err != nil {
		return err
	}
	rows, err := p.stmt.Query(ctx)
	if err != nil {
		return err
	}
	defer rows.Close()
	_, err = rows.Next()
	return err
}

// layout orders the fields that are read so that neighbours in the output are neighbours in the input, and plans the output row.
func (p *splicePass) layout(spliced []int) {
	for k, s := range spliced {
		if s < 0 {
			p.ops = append(p.ops, op{enc: slices.Index(p.made, k)})
			continue
		}
		f := slices.Index(p.fetch, s)
		if f < 0 {
			f = len(p.fetch)
			p.fetch = append(p.fetch, s)
		}
		elem := uint32(0)
		if from, to := p.rel.columns[s].typ.base, p.columns[k].typ.base; to.wire == wireArray && from.elem.oid != to.elem.oid {
			elem = to.elem.oid
		}
		if last := len(p.ops) - 1; elem == 0 && last >= 0 && p.ops[last].enc < 0 && p.ops[last].elem == 0 && p.ops[last].last == f {
			p.ops[last].last++
			continue
		}
		p.ops = append(p.ops, op{enc: -1, first: f, last: f + 1, elem: elem})
	}
	p.decode, p.field = make([]decoder, len(p.rel.columns)), make([]int, len(p.rel.columns))
	for _, c := range p.seen {
		f := slices.Index(p.fetch, c)
		if f < 0 {
			f = len(p.fetch)
			p.fetch = append(p.fetch, c)
		}
		p.decode[c], p.field[c] = newDecoder(p.rel.columns[c].typ), f
	}
}

// fill implements duck.Filler over the current batch. Tag is the row's number.
func (p *splicePass) fill(out duck.Chunk, projection []int) (int, error) {
	if p.cur == nil { // the run that asks which columns are read
		for _, c := range projection {
			if c >= 0 && c < len(p.rel.columns) {
				p.seen = append(p.seen, c)
			}
		}
		return 0, nil
	}
	b := p.cur
	n := min(b.rows-p.pos, duck.VectorSize)
	if n == 0 {
		return 0, nil
	}
	stride := b.fields + 1
	for i, c := range projection {
		switch {
		case c == len(p.rel.columns):
			tags := duck.Data[int64](out.Vector(i))[:n]
			for j := range tags {
				tags[j] = int64(p.pos + j)
			}
		case c < 0:
		case p.decode[c] == nil:
			return 0, fmt.Errorf("column %s was not read", p.rel.columns[c].name)
		default:
			if err := p.decode[c](out.Vector(i), n, b.arena, b.offs[p.pos*stride+p.field[c]:], stride); err != nil {
				return 0, p.rel.describeValue(&p.rel.columns[c], err)
			}
		}
	}
	p.pos += n
	return n, nil
}

// rows implements pass.
func (p *splicePass) rows(ctx context.Context) error {
	err := p.rel.pump(p.fetch, p.rel.everyChunk(), func(b *batch) error {
		if err := p.batch(ctx, b); err != nil {
			return err
		}
		if p.silent += b.used; p.silent >= arenaSize {
			p.silent = 0
			p.progress() // it looks at every chunk
		}
		return nil
	})
	p.progress()
	return err
}

// batch sends the rows of one batch.
func (p *splicePass) batch(ctx context.Context, b *batch) error {
	p.cur, p.pos, p.seg, p.from = b, 0, 0, 0
	rows, err := p.stmt.Query(ctx)
	if err != nil {
		return err
	}
	defer rows.Close()
	for {
		c, err := rows.Next()
		if err != nil || c.Rows() == 0 {
			return err
		}
	}
}

// send sends the rows of the current batch whose numbers and new columns are in c.
func (p *splicePass) send(c duck.Chunk) error {
	b, n := p.cur, c.Rows()
	for i, e := range p.encs {
		e.bind(c.Vector(i), n)
	}
	for i, r := range duck.Data[int64](c.Vector(len(p.encs)))[:n] {
		if int(r) < p.from {
			p.seg, p.from = 0, 0
		}
		for int(r) >= int(b.segments[p.seg].end) {
			p.from = int(b.segments[p.seg].end)
			p.seg++
		}
		size, err := p.row(b, b.row(int(r)), i)
		if err != nil {
			return err
		}
		p.sent(int64(b.segments[p.seg].chunk), size)
		if err := p.out.flush(false); err != nil {
			return err
		}
	}
	return nil
}

// chunkOf returns the chunk of a row of the current batch.
func (p *splicePass) chunkOf(row int64) int {
	i, _ := slices.BinarySearchFunc(p.cur.segments, row+1, func(g segment, end int64) int { return cmp.Compare(int64(g.end), end) })
	return int(p.cur.segments[i].chunk)
}

// row appends one output row, made of the input row with the given offsets and row i of the encoders, and returns its size.
func (p *splicePass) row(b *batch, offs []uint32, i int) (int, error) {
	dst := p.out.buf
	start := len(dst)
	dst = append(dst, byte(len(p.columns)>>8), byte(len(p.columns)))
	for _, o := range p.ops {
		if o.enc >= 0 {
			var err error
			if dst, err = p.encs[o.enc].append(dst, i); err != nil {
				k := p.made[o.enc]
				return 0, encodeError(&p.columns[k], p.in.Output[k].Type, err)
			}
			continue
		}
		at := len(dst)
		dst = append(dst, b.arena[offs[o.first]:offs[o.last]]...)
		if o.elem != 0 {
			pgcopy.SetElement(dst, at, o.elem)
		}
	}
	p.out.buf = dst
	return len(dst) - start, nil
}

// close implements pass. It leaves no goroutine and no memory behind.
func (p *splicePass) close() {
	if p.stmt != nil {
		p.stmt.Close()
		p.stmt = nil
	}
	if p.remove != nil {
		p.remove()
		p.remove = nil
	}
}
