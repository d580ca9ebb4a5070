package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/duck"
)

// keptBlock is how many rows lie between two places that a kept file is read from.
const keptBlock = 256

// kept is a relation's rows in a file, in the order in which they came: tuples as binary COPY has them, with all columns of the relation and
// the number of the chunk, an int4, as one more field. Values that DuckDB cannot carry are in it like others.
type kept struct {
	file   *os.File
	rows   int64
	size   int64
	blocks []int64 // where every keptBlock-th row begins

	from, to int64
	except   []int64
}

// Keep implements connector.Keeper.
func (r *relation) Keep(ctx context.Context) (rows int64, err error) {
	if r.kept != nil {
		return r.kept.rows, nil
	}
	file, err := os.CreateTemp(r.src.env.TempDir, "kept-")
	if err != nil {
		return 0, fmt.Errorf("make a file for the rows of a task: %w", err)
	}
	k := &kept{file: file}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close())
		}
	}()
	columns := make([]int, len(r.columns))
	for i := range columns {
		columns[i] = i
	}
	s, err := r.stream(columns, r.everyChunk())
	if err != nil {
		return 0, err
	}
	defer s.close()
	out := bufio.NewWriterSize(file, spoolRead)
	for {
		b, err := s.next()
		if err != nil {
			return 0, err
		}
		if b == nil {
			break
		}
		err = k.add(out, b, len(columns))
		s.recycle(b)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, err
		}
	}
	if err := out.Flush(); err != nil {
		return 0, fmt.Errorf("keep the rows of a task: %w", err)
	}
	k.to = k.rows
	r.kept = k
	return k.rows, nil
}

// add appends a batch's tuples, with so many columns each.
func (k *kept) add(out *bufio.Writer, b *batch, columns int) error {
	i := 0
	var buf []byte
	for _, g := range b.segments {
		for ; i < int(g.end); i++ {
			if k.rows%keptBlock == 0 {
				k.blocks = append(k.blocks, k.size)
			}
			offs := b.row(i)
			buf = binary.BigEndian.AppendUint16(buf[:0], uint16(columns+1))
			buf = append(buf, b.arena[offs[0]:offs[columns]]...)
			buf = binary.BigEndian.AppendUint32(buf, 4)
			buf = binary.BigEndian.AppendUint32(buf, uint32(g.chunk))
			if _, err := out.Write(buf); err != nil {
				return fmt.Errorf("keep the rows of a task: %w", err)
			}
			k.rows++
			k.size += int64(len(buf))
		}
	}
	return nil
}

// Limit implements connector.Keeper.
func (r *relation) Limit(from, to int64, except []int64) {
	r.kept.from, r.kept.to, r.kept.except = from, to, except
	r.all = ""
}

// feed is what reads columns of the rows within the limit that belong to chunks.
func (k *kept) feed(r *relation, columns, chunks []int) feed {
	run := func(s *stream) error {
		s.pending = append(s.pending, statement{chunk: manyChunks, field: len(columns), null: -1})
		if err := k.send(s, len(r.columns), columns, chunks); err != nil {
			return err
		}
		return s.flush()
	}
	return feed{fields: len(columns) + 1, added: true, run: run}
}

// send writes the fields of columns, and the chunk's number, to w as a binary COPY stream.
func (k *kept) send(w io.Writer, fields int, columns, chunks []int) error {
	out := []byte(pgcopy.Header)
	err := k.each(fields, func(number int64, buf []byte, offs []uint32) error {
		chunk := int(binary.BigEndian.Uint32(buf[offs[fields]+4:]))
		if _, out := slices.BinarySearch(k.except, number); out || !slices.Contains(chunks, chunk) {
			return nil
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(columns)+1))
		for _, c := range columns {
			out = append(out, buf[offs[c]:offs[c+1]]...)
		}
		out = append(out, buf[offs[fields]:offs[fields+1]]...)
		if len(out) < flushBytes {
			return nil
		}
		_, err := w.Write(out)
		out = out[:0]
		return err
	})
	if err == nil {
		_, err = w.Write(pgcopy.AppendTrailer(out))
	}
	return err
}

// each calls do with the rows within the limit: their numbers, and the offsets of their fields in buf.
func (k *kept) each(fields int, do func(number int64, buf []byte, offs []uint32) error) error {
	if k.from >= k.to {
		return nil
	}
	block := k.from / keptBlock
	at, number := k.blocks[block], block*keptBlock
	in := io.MultiReader(strings.NewReader(pgcopy.Header), io.NewSectionReader(k.file, at, k.size-at))
	walker := pgcopy.Walker{Fields: fields + 1}
	offs := make([]uint32, fields+2)
	var buf []byte
	for pos := 0; number < k.to; {
		next, token, err := walker.Next(buf, pos, offs)
		switch {
		case err != nil:
			return fmt.Errorf("read the rows of a task again: %w", err)
		case token == pgcopy.More:
			rest := copy(buf, buf[pos:])
			buf, pos = slices.Grow(buf[:rest], spoolRead/16), 0
			n, err := in.Read(buf[rest:cap(buf)])
			if err != nil {
				return fmt.Errorf("read the rows of a task again: %w", err)
			}
			buf = buf[:rest+n]
			continue
		case token == pgcopy.Tuple:
			if number >= k.from {
				if err := do(number, buf, offs); err != nil {
					return err
				}
			}
			number++
		}
		pos = next
	}
	return nil
}

func (k *kept) close() error {
	return errors.Join(k.file.Close(), os.Remove(k.file.Name()))
}

// Row implements connector.Keeper: DuckDB's form of what DuckDB reads exactly, the text of numerics without a bound, and the bytes of
// everything else in hexadecimal.
func (r *relation) Row(ctx context.Context, number int64) (chunk int, row string, err error) {
	k := *r.kept
	k.from, k.to, k.except = number, number+1, nil
	chunk = -1
	fields := make([]*string, len(r.columns))
	plain := make([]bool, len(r.columns)) // columns whose text is not DuckDB's
	err = k.each(len(r.columns), func(_ int64, buf []byte, offs []uint32) error {
		chunk = int(binary.BigEndian.Uint32(buf[offs[len(r.columns)]+4:]))
		for i, c := range r.columns {
			p, null := pgcopy.Field(buf, offs[i])
			if null {
				continue
			}
			text := fmt.Sprintf(`\x%x`, p)
			if b := c.typ.base; b.wire == wireNumeric {
				text = pgcopy.NumericText(p)
				_, _, bound := precision(b.typmod)
				plain[i] = !bound
			}
			fields[i] = &text
			plain[i] = plain[i] || c.typ.duck() == ""
		}
		return nil
	})
	if err == nil && chunk < 0 {
		err = fmt.Errorf("the task has no row %d", number)
	}
	for err == nil {
		if row, err = r.json(ctx, &k, fields, plain); err == nil {
			break
		}
		// A value that DuckDB cannot hold, such as a date before its first.
		var e *drover.Error
		i := -1
		if errors.As(err, &e) && e.Column != "" {
			i = slices.IndexFunc(r.columns, func(c column) bool { return c.name == e.Column })
		}
		if i < 0 || plain[i] {
			break
		}
		plain[i], err = true, nil
	}
	return chunk, row, err
}

// json makes a JSON object of the one row of k. Those of its fields that are plain are texts.
func (r *relation) json(ctx context.Context, k *kept, fields []*string, plain []bool) (row string, err error) {
	one := &relation{ctx: r.ctx, src: r.src, session: r.session, about: r.about, columns: r.columns, chunks: r.chunks, kept: k, borrowed: true}
	defer func() { err = errors.Join(err, one.Close()) }()
	exprs := make([]string, len(r.columns))
	for i, c := range r.columns {
		name := duck.Ident(c.name)
		switch {
		case fields[i] == nil:
			exprs[i] = name + " := NULL"
		case plain[i]:
			exprs[i] = name + " := " + duck.Literal(*fields[i])
		default:
			exprs[i] = name + " := " + duck.JSON(c.typ.duck(), name)
		}
	}
	rows, err := r.session.Texts(ctx, "SELECT to_json(struct_pack("+strings.Join(exprs, ", ")+"))::VARCHAR FROM "+one.All())
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || rows[0][0] == nil {
		return "", errors.New("a row became no JSON object")
	}
	return *rows[0][0], nil
}
