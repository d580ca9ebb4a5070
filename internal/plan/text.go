package plan

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/step"
)

// splicing is the connectors that move untouched columns as raw bytes from one end to the other when both ends are theirs.
var splicing = []string{"postgres"}

// WriteText renders the plan for a person. The SQL is that of a row-wise stage's whole task, or of one chunk; input stands for the
// source's relation.
func (p Plan) WriteText(w io.Writer, t Totals) error {
	var b strings.Builder
	for i, s := range p.Stages {
		label := p.Job
		if i > 0 {
			label = fmt.Sprintf("stage %d", i+1)
		}
		sink := s.Sink.Text
		if p.Spools(i) {
			sink = "spools, one a task, in the staging area of " + sink
		}
		line(&b, label, s.Source.Text+" -> "+sink)
		if i > 0 {
			line(&b, "", "a merge: each task writes the final files of some partitions")
			continue
		}
		if i == 0 {
			line(&b, "plan", human.Plural(int64(len(p.Stages)), "stage")+", "+t.text(s.Chunk)+" · "+s.Path())
			if t.Workers > 0 {
				line(&b, "resources", human.Plural(int64(t.Workers), "worker")+", "+human.Memory(t.Memory))
			}
			line(&b, "reading", s.reading())
			if s.Reading != "" {
				line(&b, "", s.Reading)
			}
			line(&b, "time zone", p.Timezone)
		}
		s.write(&b)
	}
	for i, text := range p.Expect {
		label := ""
		if i == 0 {
			label = "expect"
		}
		line(&b, label, text)
	}
	if len(p.Expect) > 0 {
		line(&b, "", "checked on what is staged, once every chunk is finished; nothing is published while one fails")
	}
	for _, c := range p.Sums {
		line(&b, "", fmt.Sprintf("for the sum of %s the source's column %s is read once more, chunk by chunk, and what is written of it is decoded", c.Column, c.Source))
	}
	if p.Rejects != nil {
		line(&b, "rejects", fmt.Sprintf("rows that cannot be converted or stored go to %s; more than %s fail the run", p.Rejects.Sink.Text, human.Count(p.Rejects.Max)))
		switch first := p.Stages[0].Program; {
		case len(first.Calls) > 0:
			line(&b, "", fmt.Sprintf("of what step %d returns: what it raises, and what steps before it cannot convert, fails the chunk", first.Calls[len(first.Calls)-1].Step+1))
		case !first.RowWise:
			line(&b, "", "of what the last step that sees whole chunks returns: a value that it, or a step before it, cannot convert fails the chunk, because "+first.Why)
		}
	}
	line(&b, "fingerprint", p.Fingerprint)
	_, err := io.WriteString(w, b.String())
	return err
}

// reading says what a run sees of a source that changes meanwhile.
func (s Stage) reading() string {
	if s.Source.Connector == "files" {
		return "each file as it was when the run began: one that changes while it runs is an error"
	}
	return "each chunk is one snapshot of the source, the run is not: rows that change while it runs may be seen as they were or as they are"
}

func (s Stage) write(b *strings.Builder) {
	for i, st := range s.Steps {
		label := ""
		if i == 0 {
			label = "steps"
		}
		line(b, label, fmt.Sprintf("%d %s: %s", i+1, st.Kind(), describe(st)))
	}
	for _, c := range s.Program.Calls {
		line(b, "", fmt.Sprintf("%d receives %s", c.Step+1, c.Function.Receives()))
		if len(c.Narrow) > 0 {
			line(b, "", fmt.Sprintf("%d receives smaller types: %s (they hold %s; a chunk with another value keeps the column's own type)",
				c.Step+1, smaller(c), "chunk "+strings.Join(c.NarrowedBy, ", ")))
		}
		line(b, "", fmt.Sprintf("%d returns %s (%s)", c.Step+1, typed(c.Output), c.Told))
	}
	switch downcast := slices.ContainsFunc(s.Steps, func(st drover.Step) bool { return st.Kind() == "downcast" }); {
	case !downcast || slices.ContainsFunc(s.Program.Calls, func(c step.Call) bool { return len(c.Narrow) > 0 }):
	case len(s.Program.Calls) > 0:
		line(b, "", "downcast: no function that follows receives smaller types: the columns' own are the smallest that hold the first chunks")
	default:
		line(b, "", "downcast: no function follows that would receive the smaller types, and the sink's stay; cast: changes those (drover profile writes the step)")
	}
	if len(s.Steps) > 0 && s.Program.RowWise {
		line(b, "", "each row by itself, so chunks may run together")
	}
	if !s.Program.RowWise {
		line(b, "", "each chunk by itself: "+s.Program.Why)
	}
	for i, row := range s.columns() {
		label := ""
		if i == 0 {
			label = "columns"
		}
		line(b, label, row)
	}
	if gone := s.dropped(); len(gone) > 0 {
		line(b, "not written", strings.Join(gone, ", "))
	}
	s.pushed(b)
	for i, n := range s.Notes {
		label := ""
		if i == 0 {
			label = "sink"
		}
		line(b, label, n)
	}
	sql := strings.NewReplacer(step.Input(), "input", step.Index(), "0").Replace(s.Program.SQL)
	for i, text := range strings.Split(sql, "\n") {
		label := ""
		if i == 0 {
			label = "sql"
		}
		line(b, label, text)
	}
}

// Path says in a few words which route a stage's rows take: "fast path: 15 of 18 columns untouched".
func (s Stage) Path() string {
	if !s.Program.RowWise {
		return "whole chunks: " + s.Program.Why
	}
	n := 0
	for _, c := range s.Output {
		if c.From != "" && !slices.Contains(s.Reads, c.From) {
			n++
		}
	}
	text := fmt.Sprintf("%d of %d columns untouched", n, len(s.Output))
	if s.Source.Connector == s.Sink.Connector && slices.Contains(splicing, s.Source.Connector) {
		text = "fast path: " + text
	}
	return text
}

func (t Totals) text(c drover.Chunking) string {
	if c.Spool && t.Chunks == 0 {
		return "chunks" + by(c) + ", counted once the run has spooled the source"
	}
	text := human.Plural(t.Chunks, "chunk") + by(c)
	if c.NewKeys {
		text += fmt.Sprintf(": new keys only, %s loaded already", human.Count(t.Loaded))
	}
	if t.Rows > 0 {
		text += ", " + human.Short(float64(t.Rows)) + " rows"
	}
	if t.Bytes > 0 {
		text += ", " + human.Data(t.Bytes)
	}
	return text
}

func by(c drover.Chunking) string {
	switch {
	case c.By != "" && c.Keys != "" && c.Others == "ignore":
		return " by " + c.By + ", of the listed keys only"
	case c.By != "" && c.Keys != "":
		return " by " + c.By + ", of the listed keys and one of all others"
	case c.By != "":
		return " by " + c.By
	case c.Rows > 0:
		return " of " + human.Count(c.Rows) + " rows"
	case c.Files > 0:
		return " of " + human.Plural(int64(c.Files), "file")
	}
	return " by size"
}

// describe is a step in one line.
func describe(st drover.Step) string {
	pairs := func(list []drover.Pair, format string) string {
		out := make([]string, len(list))
		for i, p := range list {
			out[i] = fmt.Sprintf(format, p.Key, p.Value)
		}
		return strings.Join(out, ", ")
	}
	text := ""
	switch st.Kind() {
	case "select":
		text = strings.Join(st.Select, ", ")
	case "drop":
		text = strings.Join(st.Drop, ", ")
	case "rename":
		text = pairs(st.Rename, "%s to %s")
	case "filter":
		text = st.Filter
	case "set":
		text = pairs(st.Set, "%s = %s")
	case "cast":
		text = pairs(st.Cast, "%s to %s")
	case "downcast":
		text = strings.Join(st.Downcast, ", ")
	case "sql":
		text = st.SQL
	case "python":
		text = st.Python
	case "go":
		text = st.Go
	}
	return strings.Join(strings.Fields(text), " ")
}

// typed lists columns with their types.
func typed(columns drover.Schema) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name + " " + c.Type
	}
	return strings.Join(out, ", ")
}

// columns are the output columns, aligned: name, type, where it comes from, the target's type.
func (s Stage) columns() []string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i, c := range s.Output {
		typ := c.Native
		if typ == "" {
			typ = c.Type
		}
		from := "computed"
		if c.From != "" {
			from = "from " + c.From
			if slices.Contains(s.Reads, c.From) {
				from += ", which steps read"
			}
		}
		if c.From == c.Name && !slices.Contains(s.Reads, c.From) {
			from = "untouched"
		}
		if c.NotNull {
			typ += " not null"
		}
		target := ""
		if i < len(s.Types) && s.Types[i] != "" {
			target = "-> " + s.Types[i]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Name, typ, from, target) //nolint:errcheck // a strings.Builder cannot fail
	}
	_ = t.Flush() // nor can this
	rows := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	for i := range rows {
		rows[i] = strings.TrimRight(rows[i], " ")
	}
	return rows
}

// dropped are the source columns that no output column repeats and no step reads.
func (s Stage) dropped() []string {
	var out []string
	for _, c := range s.Input {
		kept := slices.ContainsFunc(s.Output, func(o drover.Column) bool { return o.From == c.Name })
		if !kept && !slices.Contains(s.Reads, c.Name) {
			out = append(out, c.Name)
		}
	}
	return out
}

func line(b *strings.Builder, label, text string) { b.WriteString(human.Line(label, text) + "\n") }

// smaller lists the columns that a function receives in smaller types: "n SMALLINT for BIGINT".
func smaller(c step.Call) string {
	var list []string
	for _, n := range c.Narrow {
		list = append(list, fmt.Sprintf("%s %s for %s", n.Name, n.Type, c.Input[c.Input.Index(n.Name)].Type))
	}
	return strings.Join(list, ", ")
}
