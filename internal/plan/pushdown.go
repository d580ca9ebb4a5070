package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/human"
)

// WithPushdown is the plan with what the source of its first stage does by itself.
func (p Plan) WithPushdown(d connector.Pushdown) Plan {
	p.Stages = slices.Clone(p.Stages)
	p.Stages[0].Pushdown = &d
	return p
}

// Needs returns the source columns that the program reads or the sink gets, in the source's order.
func (s Stage) Needs() []string {
	var out []string
	for _, c := range s.Input {
		if slices.Contains(s.Reads, c.Name) || slices.ContainsFunc(s.Output, func(o drover.Column) bool { return o.From == c.Name }) {
			out = append(out, c.Name)
		}
	}
	return out
}

// pushed says what the source does by itself and what stays with drover.
func (s Stage) pushed(b *strings.Builder) {
	d := s.Pushdown
	if d == nil {
		return
	}
	columns := human.Plural(int64(d.Of), "column")
	if len(d.Columns) > 0 {
		columns = fmt.Sprintf("%d of %s", len(d.Columns), columns)
		if !s.Program.RowWise && len(s.Program.Calls) == 0 {
			columns = "at most " + columns // which of them a whole chunk's SQL needs, DuckDB finds out
		}
	}
	text := columns + " are read"
	if d.Of == 1 {
		text = columns + " is read"
	}
	if len(d.Filters) > 0 {
		line(b, "pushed down", text+"; filtered by "+d.How+": "+strings.Join(d.Filters, " AND "))
	} else {
		line(b, "pushed down", text+"; no filter")
	}
	if len(d.Left) > 0 {
		line(b, "", "filtered by drover: "+strings.Join(d.Left, " AND "))
	}
}
