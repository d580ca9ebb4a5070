package profile

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/human"
)

// WriteText renders the report for a person.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(label, text string) { b.WriteString(human.Line(label, text) + "\n") }
	line(r.Job, r.Source+" -> "+r.Sink)
	var rows int64
	for _, c := range r.Chunks {
		rows += c.RowsIn
	}
	line("profiled", fmt.Sprintf("%s of %s, %s; nothing was kept", human.Count(int64(len(r.Chunks))), human.Plural(r.TotalChunks, "chunk"), human.Plural(rows, "row")))
	line("peak memory", human.Memory(r.PeakMemoryBytes)+" a worker")
	line("workers", fmt.Sprintf("%s of %s: as many as the %s", human.Plural(int64(r.RecommendedWorkers), "worker"), human.Memory(r.MemoryBytes),
		map[string]string{
			"cores": "machine has cores", "memory": "budget has room for", "chunks": "job has chunks", "source_connections": "source may have connections",
		}[r.LimitedBy]))
	if r.Bound != "" {
		line("bound", r.Bound+": "+r.Why)
	}
	b.WriteString("\n")
	r.chunkTable(&b)
	b.WriteString("\n")
	if len(r.Received) > 0 {
		b.WriteString("What the function receives, and would after downcast: all:\n")
		columnTable(&b, r.Received)
		b.WriteString("\n")
	}
	columnTable(&b, r.Columns)
	if len(r.Cast) > 0 {
		b.WriteString("\nAs the last of the job's steps this narrows them for good (drover profile --write adds it). A value of another chunk that does not fit is an error, never changed:\n")
		b.WriteString(CastStep(r.Cast, "  ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) chunkTable(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) {
		fmt.Fprintln(t, strings.Join(cells, "\t")+"\t") //nolint:errcheck // a strings.Builder cannot fail
	}
	row("chunk", "rows", "at the source", "received", "in memory", "written", "read", "function", "transform", "write", "together", "peak", "bound")
	for _, c := range r.Chunks {
		row(shorten(c.Key), human.Count(c.RowsIn), human.Data(c.SourceBytes), human.Data(c.BytesIn), human.Memory(c.BytesInMemory), human.Data(c.BytesOut),
			seconds(c.Read), function(c), seconds(c.Transform), seconds(c.Write), seconds(c.Seconds), human.Memory(c.PeakMemoryBytes), c.Bound)
	}
	_ = t.Flush() // a strings.Builder cannot fail
}

func columnTable(b *strings.Builder, columns []Column) {
	bytes, smallest := int64(0), int64(0)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "column\ttype\tin memory\tsmallest\tin memory then") //nolint:errcheck // a strings.Builder cannot fail
	for _, c := range columns {
		bytes, smallest = bytes+c.Bytes, smallest+c.DowncastBytes
		smaller := ""
		if c.DowncastType != c.Type {
			smaller = c.DowncastType
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Name, c.Type, human.Memory(c.Bytes), smaller, human.Memory(c.DowncastBytes)) //nolint:errcheck // see above
	}
	fmt.Fprintf(t, "all\t\t%s\t\t%s\n", human.Memory(bytes), human.Memory(smallest)) //nolint:errcheck // see above
	_ = t.Flush()                                                                    // see above
}

// function is the time of a chunk's functions; nothing where there are none.
func function(c Chunk) string {
	if c.Function == 0 {
		return ""
	}
	return seconds(c.Function)
}

func seconds(s float64) string { return human.Span(time.Duration(s * float64(time.Second))) }

// shorten keeps a table readable where keys are paths.
func shorten(key string) string {
	const most = 32
	r := []rune(human.Printable(key))
	if len(r) > most {
		return "…" + string(r[len(r)-most+1:])
	}
	return string(r)
}

// CastStep writes a cast step as a job file has it, indented by indent.
func CastStep(cast []drover.Pair, indent string) string {
	pairs := make([]string, len(cast))
	for i, p := range cast {
		pairs[i] = scalar(p.Key) + ": " + scalar(p.Value)
	}
	return indent + "- cast: {" + strings.Join(pairs, ", ") + "}"
}

// scalar is a YAML scalar in a flow map: quoted unless it is made of what never needs quotes.
func scalar(s string) string {
	plain := s != ""
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			plain = false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
