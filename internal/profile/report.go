package profile

import (
	"fmt"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/downcast"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/plan"
	"github.com/droverdata/drover/internal/protocol"
)

// Report is what profile --json prints.
type Report struct {
	Job    string `json:"job"`
	Source string `json:"source"`
	Sink   string `json:"sink"`
	// TotalChunks is how many chunks a run has; Chunks are those that were measured.
	TotalChunks int64   `json:"total_chunks"`
	Chunks      []Chunk `json:"chunks"`
	// Columns are the output's, summed over the chunks.
	Columns []Column `json:"columns"`
	// Received are the columns of the first function's frame; DowncastType is what it receives where a step downcast is before it.
	Received []Column `json:"received,omitempty"`
	// Bytes and DowncastBytes are the columns' sums.
	Bytes         int64 `json:"bytes"`
	DowncastBytes int64 `json:"downcast_bytes"`
	// PeakMemoryBytes is the highest of a worker, MemoryBytes the budget of the whole run.
	PeakMemoryBytes    int64 `json:"peak_memory_bytes"`
	MemoryBytes        int64 `json:"memory_bytes"`
	RecommendedWorkers int   `json:"recommended_workers"`
	// LimitedBy says what the number of workers follows from: "memory", "cores", "chunks" or "source_connections".
	LimitedBy string `json:"limited_by"`
	// Bound is what takes the most time: "server", "network", "disk" or "cpu"; Why gives the figures.
	Bound string `json:"bound"`
	Why   string `json:"why"`
	// Cast is the step that narrows the columns, as a job file writes it; empty where there is nothing to narrow. It has no type to which DuckDB
	// rounds: the job will read other values than those that were measured.
	Cast []drover.Pair `json:"cast,omitempty"`
}

// Chunk is one measured chunk. Times are seconds.
type Chunk struct {
	Key     string `json:"key"`
	RowsIn  int64  `json:"rows_in"`
	RowsOut int64  `json:"rows_out"`
	// SourceBytes is the source's own estimate: in the database or on disk. BytesIn were received, BytesInMemory are the output's
	// columns in a worker, BytesOut were written.
	SourceBytes   int64 `json:"source_bytes"`
	BytesIn       int64 `json:"bytes_in"`
	BytesInMemory int64 `json:"bytes_in_memory"`
	BytesOut      int64 `json:"bytes_out"`
	// Read, Transform and Write are passes of their own, so they do not add up to Seconds, in which all three go side by side.
	Read            float64 `json:"read_seconds"`
	Transform       float64 `json:"transform_seconds"`
	Function        float64 `json:"function_seconds,omitempty"`
	Write           float64 `json:"write_seconds"`
	Seconds         float64 `json:"seconds"`
	CPU             float64 `json:"cpu_seconds"`
	Server          float64 `json:"server_seconds,omitempty"`
	PeakMemoryBytes int64   `json:"peak_memory_bytes"`
	Bound           string  `json:"bound"`
}

// Column is one output column. Sizes are bytes in memory.
type Column struct {
	Name          string `json:"name"`
	Type          string `json:"type"`
	Bytes         int64  `json:"bytes"`
	DowncastType  string `json:"downcast_type"`
	DowncastBytes int64  `json:"downcast_bytes"`
}

func report(o Options, p plan.Plan, total int64, picked []connector.Chunk, measured []protocol.Profile) Report {
	st := p.Stages[0]
	r := Report{
		Job: p.Job, Source: st.Source.Text, Sink: st.Sink.Text, TotalChunks: total, MemoryBytes: o.Memory,
		Chunks: []Chunk{}, Columns: []Column{},
	}
	ends := ends{source: st.Source.Connector, sink: st.Sink.Connector}
	var sum protocol.Profile
	for i, m := range measured {
		c := chunk(picked[i], m)
		c.Bound, _ = ends.bound(m)
		r.PeakMemoryBytes = max(r.PeakMemoryBytes, m.PeakMemory)
		for _, column := range st.Output {
			c.BytesInMemory += downcast.Choose(column.Type, m.Columns[column.Name]).Bytes
		}
		r.Chunks = append(r.Chunks, c)
		sum.Read += m.Read
		sum.Transform += m.Transform
		sum.Total += m.Total
		sum.CPU += m.CPU
		sum.Server += m.Server
		sum.Rehearsed = m.Rehearsed
	}
	if len(measured) > 0 {
		r.Bound, r.Why = ends.bound(sum)
	}
	r.columns(st.Output, measured)
	if len(st.Program.Calls) > 0 {
		r.received(st.Program.Calls[0].Input, measured)
	}
	r.workers(o)
	return r
}

func chunk(c connector.Chunk, m protocol.Profile) Chunk {
	return Chunk{
		Key: c.Key, RowsIn: m.RowsIn, RowsOut: m.RowsOut, SourceBytes: c.Bytes, BytesIn: m.BytesIn, BytesOut: m.BytesOut,
		Read: m.Read.Seconds(), Function: m.Function.Seconds(), Transform: max(0, m.Transform-m.Read-m.Function).Seconds(), Write: max(0, m.Total-m.Transform).Seconds(),
		Seconds: m.Total.Seconds(), CPU: m.CPU.Seconds(), Server: m.Server.Seconds(), PeakMemoryBytes: m.PeakMemory,
	}
}

// columns adds up the chunks' statistics. A column that was not read has no sizes.
func (r *Report) columns(columns drover.Schema, measured []protocol.Profile) {
	for _, c := range columns {
		s := merged(measured, func(m protocol.Profile) downcast.Stats { return m.Columns[c.Name] })
		typ := c.Type
		if typ == "" {
			typ = c.Native
		}
		choice := downcast.Choose(typ, s)
		r.Columns = append(r.Columns, Column{
			Name: c.Name, Type: typ, Bytes: choice.Bytes, DowncastType: choice.Type, DowncastBytes: choice.SmallerBytes,
		})
		r.Bytes, r.DowncastBytes = r.Bytes+choice.Bytes, r.DowncastBytes+choice.SmallerBytes
		if choice.SmallerBytes < choice.Bytes && choice.Certain {
			r.Cast = append(r.Cast, drover.Pair{Key: c.Name, Value: choice.Type})
		}
	}
}

// received adds up the statistics of what a function receives.
func (r *Report) received(columns drover.Schema, measured []protocol.Profile) {
	for _, c := range columns {
		choice := downcast.ForFunctions(c.Type, merged(measured, func(m protocol.Profile) downcast.Stats { return m.Received[c.Name] }))
		r.Received = append(r.Received, Column{
			Name: c.Name, Type: c.Type, Bytes: choice.Bytes, DowncastType: choice.Type, DowncastBytes: choice.SmallerBytes,
		})
	}
}

// merged adds up one column's statistics.
func merged(measured []protocol.Profile, of func(protocol.Profile) downcast.Stats) downcast.Stats {
	var s downcast.Stats
	for i, m := range measured {
		if i == 0 {
			s = of(m)
			continue
		}
		s = downcast.Merge(s, of(m))
	}
	return s
}

// workers is how many of the peak fit the budget, as far as there are a core, a chunk and a connection for each.
func (r *Report) workers(o Options) {
	share := max(r.PeakMemoryBytes, memory.Least)
	r.RecommendedWorkers, r.LimitedBy = o.Cores, "cores"
	for _, limit := range []struct {
		n  int64
		by string
	}{
		{(o.Memory - memory.Driver) / share, "memory"},
		{r.TotalChunks, "chunks"},
		{int64(o.Job.Limits.SourceConnections), "source_connections"},
	} {
		if limit.n < int64(r.RecommendedWorkers) && (limit.n > 0 || limit.by == "memory") {
			r.RecommendedWorkers, r.LimitedBy = int(max(1, limit.n)), limit.by
		}
	}
}

// ends are the connectors of a stage.
type ends struct{ source, sink string }

const (
	// busy is the share of the time that a worker computes from which on it is its core that bounds it.
	busy = 0.8
	// serving is the share of the reading time that its server needs by itself from which on it is no matter of the network.
	serving = 0.5
)

// bound names what the time goes to. Whoever is not computing waits for one of its two ends.
func (e ends) bound(m protocol.Profile) (name, why string) {
	share := func(d time.Duration) string {
		return fmt.Sprintf("%.0f %%", 100*d.Seconds()/max(m.Total.Seconds(), 1e-9))
	}
	if m.CPU.Seconds() >= busy*m.Total.Seconds() {
		return "cpu", "the worker computes for " + share(m.CPU) + " of the time"
	}
	waits := "the worker computes for only " + share(m.CPU) + " of the time and waits "
	reading, writing := m.Read, max(0, m.Total-m.Transform)
	switch {
	case writing > reading && e.sink == "files", reading >= writing && e.source == "files":
		return "disk", waits + "for files"
	case writing > reading:
		return "server", waits + "for the target's server"
	case m.Server.Seconds() >= serving*m.Read.Seconds():
		return "server", waits + "for the source's server, which makes the rows in " + share(m.Server) + " of it"
	}
	return "network", waits + "for rows that the source's server makes in " + share(m.Server) + " of it"
}
