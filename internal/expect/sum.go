package expect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/exact"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/vocabulary"
)

// Source is the sum of a column over what a run has read.
type Source struct {
	Source string    `json:"source"`
	Column string    `json:"column"`
	In     exact.Sum `json:"in"`
	// Out is the sum over what was written, by the same count.
	Out exact.Sum `json:"out"`
	// Differ is how many of Chunks chunks were written with another sum than they were read with, and Samples some of them.
	Differ  int64    `json:"differ,omitempty"`
	Chunks  int64    `json:"chunks"`
	Samples []string `json:"samples,omitempty"`
	// Rejected is how many rows were read and not written for their values.
	Rejected int64 `json:"rejected,omitempty"`
}

// SumColumns returns what expectations have added up, each column once.
func SumColumns(bound []Bound) []connector.SumColumn {
	var out []connector.SumColumn
	for _, b := range bound {
		for _, c := range b.sums {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// sumColumns finds the column of the source for each column of the output: the one that it repeats, else the one of its name.
func sumColumns(names []string, input, output drover.Schema, field string) ([]connector.SumColumn, error) {
	out := make([]connector.SumColumn, len(names))
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", field, i)
		c, err := column(name, output, at, false)
		if err != nil {
			return nil, err
		}
		from := c.From
		if from == "" {
			from = c.Name
		}
		k := input.Index(from)
		if k < 0 {
			err := drover.Errorf(drover.Invalid, "column %q does not exist in the source, so it has no sum to equal", name).WithField(at)
			hint := "the source's columns are " + strings.Join(input.Names(), ", ")
			if near := vocabulary.Nearest(name, input.Names()); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			return nil, err.WithHint("%s; a renamed column has its source's sum as long as no step changes it", hint)
		}
		s := input[k]
		there, ok := exact.NewColumn(s.Name, s.Type)
		if !ok {
			return nil, unsummed(s, "source", at)
		}
		here, ok := exact.NewColumn(c.Name, c.Type)
		if !ok {
			return nil, unsummed(c, "output", at)
		}
		if there.Float() != here.Float() {
			err := drover.Errorf(drover.Invalid, "column %s is %s in the source and %s in the output: hardly any value is the same in both, so their exact sums differ",
				name, s.Type, c.Type).WithField(at)
			err.Column = name
			return nil, err.WithHint("have the source yield %s (types: in source.files, a cast in source.postgres.query), or expect it of a column that is converted nowhere", c.Type)
		}
		out[i] = connector.SumColumn{Source: s.Name, Column: c.Name, SourceType: s.Type, Type: c.Type}
	}
	return out, nil
}

// unsummed is the error of a column whose values cannot be added up exactly.
func unsummed(c drover.Column, where, field string) error {
	typ := c.Type
	if typ == "" {
		typ = c.Native
	}
	err := drover.Errorf(drover.Invalid, "column %s is %s in the %s: only integers, decimals and floats have a sum", c.Name, typ, where).WithField(field)
	err.Column = c.Name
	return err.WithHint("have it read as a number, for example by types: {%s: 'DECIMAL(18,2)'} in source.files or a cast in source.postgres.query, or remove it here", c.Name)
}

// sums adds up the rows and compares.
func (c checker) sums(ctx context.Context, b Bound) (*Broken, error) {
	columns, lists := make([]*exact.Totals, len(b.sums)), make([]string, len(b.sums))
	for i, s := range b.sums {
		column, ok := exact.NewColumn(s.Column, s.Type)
		if !ok {
			return nil, fmt.Errorf("column %s is %s, which has no exact sum", s.Column, s.Type)
		}
		columns[i], lists[i] = column.Totals(1), column.Expression()
	}
	one := make([]int, duck.VectorSize) // all rows are of one group
	query, remove := c.Session.AddConsumer("SELECT * FROM "+c.Relation()+" AS chunk", lists, func(rows duck.Chunk) error {
		for i, t := range columns {
			t.Add(rows.Vector(i), one[:rows.Rows()])
		}
		return nil
	})
	defer remove()
	if err := c.Session.Exec(ctx, query); err != nil {
		if ofData(ctx, err) {
			return &Broken{Message: "it cannot be evaluated: " + firstLine(err.Error())}, nil
		}
		return nil, err
	}
	sums := make([]exact.Sum, len(columns))
	for i, t := range columns {
		sums[i] = t.Sum(0)
	}
	return compareSums(b.sums, sums, c.Sources)
}

// sourceOf finds the sums of a column.
func sourceOf(sources []Source, c connector.SumColumn) (Source, error) {
	k := slices.IndexFunc(sources, func(s Source) bool { return s.Source == c.Source && s.Column == c.Column })
	if k < 0 {
		return Source{}, fmt.Errorf("nobody has added up the source's column %s", c.Source)
	}
	return sources[k], nil
}

// compareSums says which sums of the rows are not their source's.
func compareSums(columns []connector.SumColumn, rows []exact.Sum, sources []Source) (*Broken, error) {
	var broken Broken
	for i, c := range columns {
		s, err := sourceOf(sources, c)
		if err != nil {
			return nil, err
		}
		if rows[i].Equal(s.In) {
			continue
		}
		text := fmt.Sprintf("the source's sum is %s, that of the rows %s", s.In, rows[i])
		if d := rows[i].Less(s.In); d != "" {
			text += ": " + d
		}
		if s.Rejected > 0 {
			text += ", with " + human.Plural(s.Rejected, "row") + " rejected"
		}
		switch {
		case s.Differ > 0:
			text += fmt.Sprintf("; %s of %s differ", human.Count(s.Differ), human.Plural(s.Chunks, "chunk"))
		case !rows[i].Equal(s.Out):
			text += "; the steps kept it, and the target stores other values"
		}
		if len(columns) > 1 {
			text = c.Column + ": " + text
		}
		if broken.Message != "" {
			text = broken.Message + "; " + text
		}
		broken.Message = text
		for _, sample := range s.Samples {
			if len(columns) > 1 {
				sample = c.Column + ", " + sample
			}
			broken.Samples = append(broken.Samples, human.Printable(sample))
		}
	}
	if broken.Message == "" {
		return nil, nil
	}
	return &broken, nil
}
