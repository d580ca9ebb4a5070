package connector

import (
	"context"
	"fmt"

	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/exact"
	"github.com/droverdata/drover/internal/step"
)

// SumColumn is a column to add up: in the rows that are read, before any step, and in those that are written.
type SumColumn struct {
	// Source and Column are its names there and here.
	Source string `json:"source"`
	Column string `json:"column"`
	// SourceType and Type are its DuckDB types, of which both have exact sums.
	SourceType string `json:"source_type"`
	Type       string `json:"type"`
}

// Summed is what a column of one chunk came to.
type Summed struct {
	Source string `json:"source"`
	Column string `json:"column"`
	// In is the sum over all rows of the chunk as its source has them, rejected ones too; Out is that over the rows that were written.
	In  exact.Sum `json:"in"`
	Out exact.Sum `json:"out"`
}

// Sums adds up columns of the chunks of one attempt.
type Sums struct {
	columns []SumColumn
	in, out []*exact.Totals
	// Place returns the chunk that a row with this tag belongs to. It is nil where the tag is the chunk's index. A sink that gives rows other tags
	// sets it.
	Place func(tag int64) int
}

// ReadSums reads all rows of a relation of so many chunks for the sums of columns. The relation is as if it had not been read. It is a pass of its own: how
// many rows a program takes of a relation is up to the program (LIMIT, WHERE false) and to what was pushed down.
func ReadSums(ctx context.Context, session *duck.Session, rel Relation, chunks int, columns []SumColumn) (*Sums, error) {
	again, ok := rel.(Recounter)
	if !ok {
		return nil, fmt.Errorf("add up what is read: the source cannot be read twice")
	}
	s := &Sums{columns: columns}
	names, types := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i], types[i] = c.Source, c.SourceType
	}
	totals, expressions, err := totals(names, types, chunks)
	if err != nil {
		return nil, err
	}
	s.in = totals
	query, remove := session.AddConsumer("SELECT * FROM "+rel.All(), expressions, func(c duck.Chunk) error { return add(totals, c, nil) })
	defer remove()
	if err := session.Exec(ctx, query); err != nil {
		return nil, fmt.Errorf("add up what is read: %w", err)
	}
	again.Recount()
	return s, nil
}

// Tap returns the input with its program's rows added up as they pass. free is called once no query uses it.
func (s *Sums) Tap(in Input, chunks int) (_ Input, free func(), err error) {
	names, types := make([]string, len(s.columns)), make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i], types[i] = c.Column, c.Type
	}
	totals, expressions, err := totals(names, types, chunks)
	if err != nil {
		return in, nil, err
	}
	s.out = totals
	in.Sums = s
	in.Program.SQL, free = in.Session.AddTap(in.Program.SQL, expressions, func(c duck.Chunk) error { return add(totals, c, s.Place) })
	return in, free, nil
}

// totals are the sums of columns by chunk, and the expressions that they are made of, with the tag as the last.
func totals(names, types []string, chunks int) (out []*exact.Totals, expressions []string, err error) {
	for i, name := range names {
		c, ok := exact.NewColumn(name, types[i])
		if !ok {
			return nil, nil, fmt.Errorf("column %s is %s, which has no exact sum", name, types[i])
		}
		out = append(out, c.Totals(chunks))
		expressions = append(expressions, c.Expression())
	}
	return out, append(expressions, duck.Ident(step.Tag)), nil
}

// add adds the rows of c, the last vector of which, before the number of the consumer, is their tag.
func add(all []*exact.Totals, c duck.Chunk, place func(int64) int) error {
	groups := make([]int, c.Rows())
	for i, tag := range duck.Data[int64](c.Vector(len(all)))[:c.Rows()] {
		groups[i] = int(tag)
		if place != nil {
			groups[i] = place(tag)
		}
	}
	for i, t := range all {
		t.Add(c.Vector(i), groups)
	}
	return nil
}

// of returns the sums of the i-th chunk.
func (s *Sums) of(i int) []Summed {
	if s == nil {
		return nil
	}
	out := make([]Summed, len(s.columns))
	for k, c := range s.columns {
		out[k] = Summed{Source: c.Source, Column: c.Column, In: s.in[k].Sum(i), Out: s.out[k].Sum(i)}
	}
	return out
}
