package connector

import (
	"context"

	"github.com/droverdata/drover/internal/step"
)

// Pushdown is what a source does by itself of what a stage asks of it, for drover plan.
type Pushdown struct {
	// How says in a few words where rows are left out: "the source's COPY statements".
	How string `json:"how"`
	// Columns are the source's columns that are read, Of is how many it has. Columns is empty where whole rows are.
	Columns []string `json:"columns,omitempty"`
	Of      int      `json:"of"`
	// Filters are the conditions by which the source leaves rows out before drover sees them, Left those that remain for drover.
	Filters []string `json:"filters,omitempty"`
	Left    []string `json:"left,omitempty"`
}

// Pusher is a Relation that can say what it does by itself. It is optional.
type Pusher interface {
	// Pushdown says it of a program over the relation, which nothing has read yet; columns are those that the program and the sink need.
	Pushdown(ctx context.Context, program step.Program, columns []string) (Pushdown, error)
}
