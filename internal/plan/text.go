package plan

import (
	"fmt"
	"io"
)

// WriteText renders the plan for a person.
func (p Plan) WriteText(w io.Writer, t Totals) error {
	_, err := fmt.Fprintf(w, "%s   %s -> %s\n", p.Job, p.Stages[0].Source.Text, p.Stages[0].Sink.Text)
	return err
}

// Document is the answer of plan --json.
type Document struct {
	Plan
	Totals
}
