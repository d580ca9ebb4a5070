package monitor

import (
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/droverdata/drover/internal/human"
)

const (
	// every is the time between two progress lines where there is no bar.
	every = 5 * time.Second
	// backlog is how many events may wait for a slow terminal. Beyond it they are dropped: a stopped terminal must not stop a run.
	backlog = 1024
	// patience is how long Close waits for a terminal that takes no more.
	patience = 2 * time.Second
)

// Next are the commands that the closing lines of a run offer.
type Next struct {
	// Again goes on after an interruption.
	Again string
	// Rest goes on with the chunks that --only or --limit-chunks left out.
	Rest string
	// Retry tries the failed chunks again, and Afresh gives the run up for a new one.
	Retry, Afresh string
	// Wider is Retry without a budget; it ends where that is to be added.
	Wider string
	// Errors shows a run's errors; its name is added.
	Errors string
}

// Options say how events are shown.
type Options struct {
	// Out receives the text. A bar is drawn if Terminal is set and Out is an *os.File.
	Out io.Writer
	// Terminal says that Out is one that can redraw a line.
	Terminal bool
	// JSON writes each event as one JSON object a line.
	JSON bool
	// Quiet leaves out all but warnings and failures.
	Quiet bool
	Next  Next
}

// Printer shows the events of one run. Errors of Out are ignored: whoever closes the pipe does not want to know.
type Printer struct {
	events chan Event
	done   chan struct{}
}

// view is where a printer's text goes.
type view interface {
	line(text string)
	progress(p Progress)
	// close leaves the last progress as it is, and the cursor below it.
	close()
}

// Start begins to show events. Close must be called.
func Start(o Options) *Printer {
	p := &Printer{events: make(chan Event, backlog), done: make(chan struct{})}
	go p.serve(o)
	return p
}

// Event shows e. It never blocks, and may be called concurrently until Close.
func (p *Printer) Event(e Event) {
	select {
	case p.events <- e:
	default:
	}
}

// Close shows what is left and returns.
func (p *Printer) Close() {
	close(p.events)
	select {
	case <-p.done:
	case <-time.After(patience):
	}
}

func (p *Printer) serve(o Options) {
	defer close(p.done)
	if o.JSON {
		writeJSON(o, p.events)
		return
	}
	var v view = &plain{out: o.Out}
	if file, ok := o.Out.(*os.File); ok && o.Terminal && !o.Quiet {
		v = newBar(file)
	}
	s := &story{next: o.Next}
	for e := range p.events {
		if progress, ok := e.(Progress); ok {
			if !o.Quiet {
				v.progress(progress)
			}
			continue
		}
		if _, ok := e.(Ended); ok {
			// The bar's last state stays above the closing lines.
			v.close()
		}
		lines := s.lines(e)
		if o.Quiet && !loud(e) {
			continue
		}
		for _, l := range lines {
			v.line(l)
		}
	}
	v.close()
}

// loud says whether an event is shown even when all should be quiet.
func loud(e Event) bool {
	switch e := e.(type) {
	case Warning, Waiting, Back:
		return true
	case Ended:
		return e.Failed > 0
	}
	return false
}

// plain writes lines, and progress as a line every few seconds.
type plain struct {
	out  io.Writer
	last time.Time
}

func (v *plain) line(text string) { _, _ = io.WriteString(v.out, text+"\n") }

func (v *plain) progress(p Progress) {
	now := time.Now()
	if v.last.IsZero() {
		v.last = now
	}
	if now.Sub(v.last) < every {
		return
	}
	v.last = now
	v.line(human.Line("  finished", p.chunks()+"   "+p.figures()))
}

func (*plain) close() {}

// writeJSON writes events as JSON lines: their own fields, with "time" and "event" before them.
func writeJSON(o Options, events <-chan Event) {
	var last time.Time
	for e := range events {
		now := time.Now()
		if _, ok := e.(Progress); ok {
			if last.IsZero() {
				last = now
			}
			if o.Quiet || now.Sub(last) < every {
				continue
			}
			last = now
		} else if o.Quiet && !loud(e) {
			continue
		}
		if line, err := encode(e, now); err == nil {
			_, _ = o.Out.Write(line)
		}
	}
}

func encode(e Event, now time.Time) ([]byte, error) {
	fields, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(struct {
		Time  time.Time `json:"time"`
		Event string    `json:"event"`
	}{now.UTC(), e.event()})
	if err != nil {
		return nil, err
	}
	if len(fields) > len("{}") {
		head = append(head[:len(head)-1], ',')
		head = append(head, fields[1:]...)
	}
	return append(head, '\n'), nil
}
