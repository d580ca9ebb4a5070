package plan

import (
	"fmt"
	"slices"

	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/step"
)

// Layout is how the tasks of a run reach a sink to which each leaves an object in every partition (exactness.md 18): they write its objects
// directly, or spools that a second stage merges.
type Layout struct {
	// Tasks and Partitions are estimates; Partitions is 0 where there is none.
	Tasks      int64 `json:"tasks"`
	Partitions int64 `json:"partitions,omitempty"`
	// Files is how many objects the tasks would leave, at most, if they wrote directly.
	Files int64 `json:"files,omitempty"`
	// Budget is how many they may leave.
	Budget int64 `json:"budget"`
	// Unspoolable says why there can be no spools; empty if there can.
	Unspoolable string `json:"unspoolable,omitempty"`
}

// Merged reports whether the run spools and merges: where that leaves at most half of the files.
func (l Layout) Merged() bool {
	return l.Files > l.Budget && l.Files >= 2*l.Partitions && l.Unspoolable == ""
}

func (l Layout) String() string {
	tasks := human.Plural(l.Tasks, "task")
	switch {
	case l.Tasks < 2:
		return "direct: 1 task"
	case l.Partitions == 0:
		return "direct: " + tasks + ", and how many partitions nobody knows before the steps have run"
	}
	text := fmt.Sprintf("about %s x %s", human.Plural(l.Partitions, "partition"), tasks)
	switch {
	case l.Merged():
		return fmt.Sprintf("spooled, then merged: %s would leave %s files, and max_files is %s", text, human.Count(l.Files), human.Count(l.Budget))
	case l.Files > l.Budget && l.Unspoolable != "":
		return fmt.Sprintf("direct: %s, although max_files is %s: %s", text, human.Count(l.Budget), l.Unspoolable)
	}
	return "direct: " + text
}

// WithLayout is the plan with its layout: a note, and the second stage where there is one.
func (p Plan) WithLayout(l Layout) Plan {
	first := p.Stages[0]
	first.Notes = append(slices.Clone(first.Notes), l.String())
	p.Stages = []Stage{first}
	if l.Merged() {
		p = p.Merged()
	}
	return p
}

// Merged is the plan with its one stage made into two, the second of which merges what the first has spooled.
func (p Plan) Merged() Plan {
	first := p.Stages[0]
	second := Stage{
		Source: Endpoint{Connector: first.Sink.Connector, Text: "the spools", Identity: first.Sink.Identity},
		Input:  first.Output, Output: first.Output, Sink: first.Sink, Types: first.Types,
		Program: step.Program{SQL: "SELECT * FROM " + step.Input(), RowWise: true},
	}
	p.Stages = []Stage{first, second}
	return p
}

// Spools reports whether the i-th stage leaves spools for the next one.
func (p Plan) Spools(i int) bool { return i+1 < len(p.Stages) }
