package postgres

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/droverdata/drover/connector/postgres/pgcopy"
	"github.com/droverdata/drover/internal/memory"
)

const (
	// groupBytes is how many bytes of tuples are put in order in memory, where the worker's share allows it, and leastGroup where it hardly does.
	groupBytes = 8 << 20
	leastGroup = 1 << 20
	// groupWrite is how much of a run is written at once.
	groupWrite = 256 << 10
)

// grouping puts tuples in the order of their chunks: in memory, and by runs in a file where they do not fit.
type grouping struct {
	dir    string
	most   int
	chunks int

	// data is the tuples since the last run, places where each begins, whose it is and how long: chunk, offset, bytes.
	data   []byte
	places [][3]uint32
	file   *os.File
	size   int64
	runs   [][]int64 // for each run, where the tuples of each chunk begin, and where the last's end
}

// Grouped implements connector.Grouper.
func (r *relation) Grouped() string { return r.register(r.everyChunk(), r.regroup) }

// regroup is feed, in the order of the chunks.
func (r *relation) regroup(columns, chunks []int) (feed, error) {
	f, err := r.feed(columns, chunks)
	if err != nil {
		return f, err
	}
	if shared, _ := r.sharing(chunks); r.kept == nil && (r.spool != nil || shared == nil) {
		return f, nil // one statement, or one place of the spool, after the other
	}
	most := groupBytes
	if share := memory.Divide(r.src.env.Memory).Buffers; share > 0 {
		most = min(most, max(leastGroup, int(share/2)))
	}
	run := func(s *stream) (err error) {
		g := &grouping{dir: r.src.env.TempDir, most: most, chunks: len(r.chunks)}
		defer func() { err = errors.Join(err, g.close()) }()
		add := func(b *batch) error { return g.add(b, len(columns)) }
		if err := pump(s.ctx, &r.src.batches, f, add); err != nil {
			return err
		}
		return g.send(s)
	}
	return feed{fields: len(columns), run: run}, nil
}

// add takes the first fields of a batch's tuples.
func (g *grouping) add(b *batch, fields int) error {
	i := 0
	for _, segment := range b.segments {
		for ; i < int(segment.end); i++ {
			offs := b.row(i)
			tuple := b.arena[offs[0]:offs[fields]]
			if len(g.data) > 0 && len(g.data)+2+len(tuple) > g.most {
				if err := g.flush(); err != nil {
					return err
				}
			}
			g.places = append(g.places, [3]uint32{uint32(segment.chunk), uint32(len(g.data)), uint32(2 + len(tuple))})
			g.data = append(binary.BigEndian.AppendUint16(slices.Grow(g.data, 2+len(tuple)), uint16(fields)), tuple...)
		}
	}
	return nil
}

// sorted returns the places in the order of their chunks, tuples of one in that in which they came, and the place where each chunk's begin.
func (g *grouping) sorted() (places [][3]uint32, begin []int) {
	begin = make([]int, g.chunks+1)
	for _, p := range g.places {
		begin[p[0]+1]++
	}
	for c := range g.chunks {
		begin[c+1] += begin[c]
	}
	places, next := make([][3]uint32, len(g.places)), slices.Clone(begin)
	for _, p := range g.places {
		places[next[p[0]]] = p
		next[p[0]]++
	}
	return places, begin
}

func (g *grouping) tuple(p [3]uint32) []byte { return g.data[p[1] : p[1]+p[2]] }

// flush writes what is in memory as one run.
func (g *grouping) flush() error {
	if g.file == nil {
		file, err := os.CreateTemp(g.dir, "group-")
		if err != nil {
			return fmt.Errorf("make a file for the rows of a task: %w", err)
		}
		g.file = file
	}
	places, begin := g.sorted()
	run := make([]int64, g.chunks+1)
	out := bufio.NewWriterSize(g.file, groupWrite)
	for c := range g.chunks {
		run[c] = g.size
		for _, p := range places[begin[c]:begin[c+1]] {
			_, _ = out.Write(g.tuple(p)) // Flush reports it
			g.size += int64(p[2])
		}
	}
	run[g.chunks] = g.size
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the rows of a task to a file: %w", err)
	}
	g.runs = append(g.runs, run)
	g.data, g.places = g.data[:0], g.places[:0]
	return nil
}

// send writes the tuples of each chunk to s, as one binary COPY stream.
func (g *grouping) send(s *stream) error {
	if len(g.runs) > 0 {
		if err := g.flush(); err != nil {
			return err
		}
		g.data, g.places = nil, nil // sending takes as long as what is made of the rows
	}
	places, begin := g.sorted()
	out := bufio.NewWriterSize(s, groupWrite/4)
	for c := range g.chunks {
		s.pending = append(s.pending, statement{chunk: c})
		_, _ = out.WriteString(pgcopy.Header) // Flush reports it, as all that follows
		for _, run := range g.runs {
			if _, err := out.ReadFrom(io.NewSectionReader(g.file, run[c], run[c+1]-run[c])); err != nil {
				return fmt.Errorf("read the rows of a task from a file: %w", err)
			}
		}
		for _, p := range places[begin[c]:begin[c+1]] {
			_, _ = out.Write(g.tuple(p))
		}
		_, _ = out.Write(pgcopy.AppendTrailer(nil))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return s.flush()
}

// close removes the file.
func (g *grouping) close() error {
	if g.file == nil {
		return nil
	}
	return errors.Join(g.file.Close(), os.Remove(g.file.Name()))
}
