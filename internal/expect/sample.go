package expect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/redact"
)

const (
	// mostSamples is how many rows are shown, mostColumns how many columns of them, and longestValue how much of a value, in characters.
	mostSamples  = 3
	mostColumns  = 4
	longestValue = 40
)

// shown is the columns by which a row that breaks b is shown: those that b reads, then those that the job expects to identify a row, then
// the first of the output.
func (c checker) shown(b Bound) []string {
	var out []string
	add := func(names ...string) {
		for _, name := range names {
			if i := c.Output.Index(name); i >= 0 && c.Output[i].Type != "" && !slices.Contains(out, name) && len(out) < mostColumns {
				out = append(out, name)
			}
		}
	}
	add(b.columns...)
	for _, other := range c.all {
		if other.Kind() == "unique" {
			add(other.columns...)
		}
	}
	if len(out) <= len(b.columns) {
		add(c.Output.Names()...)
	}
	return out
}

// samples returns the first rows of a query, in the order of these columns: the same ones each time.
func (c checker) samples(ctx context.Context, columns []string, query string) ([]string, error) {
	if len(columns) == 0 {
		return nil, nil
	}
	list := join(columns, "%s", ", ")
	rows, err := c.Session.Texts(ctx, fmt.Sprintf("SELECT %s FROM (%s) ORDER BY %s LIMIT %d", list, query, join(columns, "%s NULLS LAST", ", "), mostSamples))
	if err != nil {
		if ofData(ctx, err) {
			return nil, nil // a value that cannot be shown: that it is there is known already
		}
		return nil, err
	}
	out := make([]string, len(rows))
	for i, row := range rows {
		parts := make([]string, 0, len(row))
		suffix := ""
		for k, v := range row {
			switch {
			case columns[k] == times:
				suffix = " (" + *v + " rows)"
			case v == nil:
				parts = append(parts, columns[k]+"=NULL")
			default:
				parts = append(parts, columns[k]+"="+value(*v))
			}
		}
		out[i] = human.Printable(strings.Join(parts, ", ") + suffix)
	}
	return out, nil
}

// value is a value for people: shortened, and without what looks like a password.
func value(text string) string {
	text = redact.Passwords(text)
	if utf8.RuneCountInString(text) > longestValue {
		text = string([]rune(text)[:longestValue-1]) + "…"
	}
	if text == "" {
		return "''"
	}
	return text
}

func plural(n int64, what string) string { return human.Plural(n, what) }

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return redact.Passwords(line)
}
