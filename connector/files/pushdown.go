package files

import (
	"context"
	gojson "encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// operator is a node of DuckDB's plan as EXPLAIN (FORMAT JSON) prints it.
type operator struct {
	Name     string     `json:"name"`
	Children []operator `json:"children"`
	Info     struct {
		Filters    gojson.RawMessage `json:"Filters"`
		Expression gojson.RawMessage `json:"Expression"`
	} `json:"extra_info"`
}

// Pushdown implements connector.Pusher by DuckDB's own plan of the query, which knows what reaches the scan.
func (r *relation) Pushdown(ctx context.Context, program step.Program, columns []string) (connector.Pushdown, error) {
	p := connector.Pushdown{How: "the scan, which skips row groups by their statistics", Columns: columns, Of: len(r.schema)}
	if r.sv.Format != formatParquet {
		p.How, p.Columns = "the scan, which reads whole rows", nil
	}
	first := program
	if len(program.Calls) > 0 {
		first = program.Calls[0].Before
		p.Left = slices.Clone(program.Rest[len(first.Rest):]) // the filters behind the first call are not in its query
	}
	scan := r.of([]int{0})
	if r.chunks[0].By != nil { // the condition that picks the chunk's rows is no filter of the job's
		scan = "(" + r.union(r.everything()) + ")"
	}
	sql := r.tally(scan)
	if first.RowWise {
		sql = first.Over(sql)
	} else {
		sql = first.Chunk(sql, 0)
	}
	plan, err := r.plan(ctx, sql)
	if err != nil {
		return p, fmt.Errorf("ask DuckDB how it scans the files: %w", err)
	}
	var left []string
	for _, o := range plan {
		o.walk(func(o operator) {
			p.Filters = add(p.Filters, o.Info.Filters)
			if strings.TrimSpace(o.Name) == "FILTER" {
				left = add(left, o.Info.Expression)
			}
		})
	}
	p.Left = append(left, p.Left...)
	return p, nil
}

// plan is DuckDB's plan of a query.
func (r *relation) plan(ctx context.Context, sql string) ([]operator, error) {
	rows, err := r.session.Query(ctx, "EXPLAIN (FORMAT JSON) "+sql)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	c, err := rows.Next()
	if err != nil || c.Rows() == 0 {
		return nil, err
	}
	var plan []operator
	return plan, gojson.Unmarshal(duck.Data[duck.String](c.Vector(1))[0].Bytes(), &plan)
}

func (o operator) walk(visit func(operator)) {
	visit(o)
	for _, c := range o.Children {
		c.walk(visit)
	}
}

// own are the beginnings of conditions that are drover's: that pick a chunk's rows of a file by their numbers, and that count rows.
var own = []string{"file_row_number>=", "drover_counted"}

// add adds one text, or a list of them, each once and without those that begin like drover's own.
func add(list []string, data gojson.RawMessage) []string {
	var one string
	var many []string
	if gojson.Unmarshal(data, &one) == nil {
		many = []string{one}
	} else if gojson.Unmarshal(data, &many) != nil {
		return list
	}
	for _, text := range many {
		mine := slices.ContainsFunc(own, func(head string) bool { return strings.HasPrefix(text, head) })
		if text != "" && !mine && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}
