package files

import (
	"context"
	"strings"

	"github.com/droverdata/drover/internal/duck"
)

// literals returns a DuckDB list of texts.
func literals(texts []string) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, t := range texts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(duck.Literal(t))
	}
	b.WriteByte(']')
	return b.String()
}

// globEscape makes DuckDB's readers take a path by its letters.
func globEscape(path string) string {
	if !strings.ContainsAny(path, `*?[`) {
		return path
	}
	var b strings.Builder
	for i := range len(path) {
		switch path[i] {
		case '*', '?', '[':
			b.WriteByte('[')
			b.WriteByte(path[i])
			b.WriteByte(']')
		default:
			b.WriteByte(path[i])
		}
	}
	return b.String()
}

func idents(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = duck.Ident(n)
	}
	return strings.Join(q, ", ")
}

// cell is one value of a query as text.
type cell struct {
	Text string
	Null bool
}

// texts runs query and calls row with each of its rows, all columns as VARCHAR. row is called after the query has ended, so it may run others.
func texts(ctx context.Context, s *duck.Session, query string, row func([]cell) error) error {
	rows, err := s.Texts(ctx, query)
	if err != nil {
		return err
	}
	for _, r := range rows {
		cells := make([]cell, len(r))
		for i, v := range r {
			if cells[i].Null = v == nil; v != nil {
				cells[i].Text = *v
			}
		}
		if err := row(cells); err != nil {
			return err
		}
	}
	return nil
}
