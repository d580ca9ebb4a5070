package monitor

import (
	"fmt"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/human"
)

// mostFailures is how many failed chunks the closing lines show; `drover errors` shows them all.
const mostFailures = 5

// story turns events into lines of text. It remembers what the closing lines need.
type story struct {
	next     Next
	failures []string
	unshown  int
	budget   int64 // the largest that a failed chunk needs; 0 where none failed for its memory
	broken   []ExpectationFailed
}

// lines returns the text of an event; none for a Progress.
func (s *story) lines(e Event) []string {
	switch e := e.(type) {
	case Planned:
		return s.planned(e)
	case Opened:
		return s.opened(e)
	case Merging:
		text := "into the final files: " + human.Plural(e.Chunks, "task")
		if e.FinishedBefore > 0 {
			text += ", " + human.Count(e.FinishedBefore) + " finished before"
		}
		return []string{human.Line("merging", text)}
	case ChunkFailed:
		s.failed(e)
	case Warning:
		return []string{human.Line("warning", e.Text)}
	case Waiting:
		text := "for " + e.For + ": " + e.Cause
		if !e.Until.IsZero() {
			text += "; giving up at " + e.Until.Local().Format("15:04:05")
		}
		return []string{human.Line("waiting", text)}
	case Back:
		return []string{human.Line("going on", fmt.Sprintf("%s is back after %s", e.For, human.Span(time.Duration(e.Seconds*float64(time.Second)))))}
	case Printed:
		return []string{human.Line("  "+e.Chunk, e.Line)}
	case Draining:
		return []string{human.Line("stopping", fmt.Sprintf("%s in flight will be finished; once more stops at once", human.Plural(int64(e.Running), "task")))}
	case Checking:
		return []string{human.Line("checking", human.Plural(int64(e.Expectations), "expectation")+" on what is staged")}
	case ExpectationFailed:
		s.broken = append(s.broken, e)
	case Publishing:
		return []string{human.Line("publishing", e.Sink)}
	case Ended:
		return append(s.ended(e), rejected(e)...)
	}
	return nil
}

func (s *story) planned(e Planned) []string {
	plan := human.Plural(e.Chunks, "chunk")
	if e.By != "" {
		plan += " by " + e.By
	}
	if e.Loaded > 0 {
		plan += " (" + human.Plural(e.Loaded, "key") + " loaded already)"
	}
	if e.Rows > 0 {
		plan += ", " + human.Short(float64(e.Rows)) + " rows"
	}
	if e.Bytes > 0 {
		plan += ", " + human.Data(e.Bytes)
	}
	if e.Path != "" {
		plan += " · " + e.Path
	}
	lines := []string{human.Line(e.Job, e.Source+" -> "+e.Sink), human.Line("plan", plan)}
	for _, n := range e.Notes {
		lines = append(lines, human.Line("", cut(n, longestNote)))
	}
	return lines
}

const (
	// longestNote is how much of a note a run shows, in characters; the plan shows it whole.
	longestNote = 110
	// longestError is how much of an error is shown, in characters; the ledger has all of it.
	longestError = 1000
)

func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func (s *story) opened(e Opened) []string {
	var lines []string
	if e.Resumed {
		label, others := "resuming", ""
		if e.Beside > 0 {
			label, others = "joining", human.Plural(int64(e.Beside), "machine")+" at work, "
		}
		lines = append(lines, human.Line(label, fmt.Sprintf("run %s of %s: %s%s of %s finished",
			e.Run, e.StartedAt.Local().Format("Jan 2 15:04"), others, human.Count(e.FinishedBefore), human.Plural(e.Chunks, "chunk"))))
	}
	text := "ledger " + e.Ledger + " · " + human.Plural(int64(e.Workers), "worker") + ", up to " + human.Memory(e.Memory)
	if e.DryRun {
		text = "dry run: nothing is written · " + human.Plural(int64(e.Workers), "worker") + ", up to " + human.Memory(e.Memory)
	}
	return append(lines, human.Line("run "+e.Run, text))
}

func (s *story) failed(e ChunkFailed) {
	if !e.Final {
		return
	}
	s.budget = max(s.budget, e.Budget)
	if len(s.failures) == mostFailures {
		s.unshown++
		return
	}
	text := "  " + failure(e)
	if e.Error != nil && e.Error.Kind == drover.Overrun && e.Error.Hint != "" {
		text += fmt.Sprintf("\n  %-16s  %s", "", human.Printable(e.Error.Hint))
	}
	s.failures = append(s.failures, text)
}

// failure describes a failed chunk on one line: "zip_code=10016  step 2 (set): could not convert 'n/a' · 1 attempt".
func failure(e ChunkFailed) string {
	where := human.Key(e.Key)
	if e.By != "" {
		where = human.Printable(e.By) + "=" + where
	}
	what := "unknown error"
	if e.Error != nil {
		what = OneLine(e.Error)
	}
	return fmt.Sprintf("%-16s  %s · %s", where, what, Tries(e.Attempts, e.Losses, e.Error))
}

// Tries says how often a chunk was tried alone, and how it went: "3 attempts that lost the worker".
func Tries(attempts, losses int, err *drover.Error) string {
	var parts []string
	if attempts > 0 || losses == 0 {
		parts = append(parts, human.Plural(int64(attempts), "attempt"))
	}
	if losses > 0 {
		what := " that lost the worker"
		if err != nil && err.Kind == drover.Overrun {
			what = " that overran the memory"
		}
		parts = append(parts, human.Plural(int64(losses), "attempt")+what)
	}
	return strings.Join(parts, ", ")
}

// OneLine is an error's place, message and sample on one line. DuckDB's own messages have several.
func OneLine(err *drover.Error) string {
	text := err.Error()
	// A failure of the data names its step in its own words, and so do some others.
	if err.Field != "" && err.Kind != drover.Data && !strings.HasPrefix(text, err.Field) && !strings.HasPrefix(text, "step ") {
		text = err.Field + ": " + text
	}
	if err.Sample != "" && !strings.Contains(text, err.Sample) {
		text += " · value " + err.Sample
	}
	return human.Printable(cut(strings.Join(strings.Fields(text), " "), longestError))
}

// rejected says what became of rows that were not written.
func rejected(e Ended) []string {
	if e.RowsRejected == 0 {
		return nil
	}
	text := human.Plural(e.RowsRejected, "row")
	switch {
	case e.Published:
		text += ", in " + e.Rejects
	case e.DryRun:
		text += " would be, to " + e.Rejects
	default:
		text += ", staged; " + e.Rejects + " has them once the run is published"
	}
	return []string{human.Line("rejected", text)}
}

func (s *story) ended(e Ended) []string {
	rate := ""
	if e.Seconds > 0 && e.RowsHere > 0 {
		rate = fmt.Sprintf(" (%s rows/s)", human.Short(float64(e.RowsHere)/e.Seconds))
	}
	span := human.Span(time.Duration(e.Seconds * float64(time.Second)))
	total := fmt.Sprintf("%s rows in %s%s, peak %s", human.Count(e.RowsOut), span, rate, human.Memory(e.PeakMemory))
	const layout = "Jan 2, 2006 15:04"
	switch {
	case !e.PrunedAt.IsZero():
		return []string{human.Line("finished", fmt.Sprintf("run %s finished on %s, and was pruned on %s: nothing is left to do. Name another run to load again",
			e.Run, e.FinishedAt.Local().Format(layout), e.PrunedAt.Local().Format(layout)))}
	case !e.FinishedAt.IsZero():
		return []string{human.Line("finished", fmt.Sprintf("run %s finished on %s: %s, %s rows. Nothing is left to do; name another run to load again",
			e.Run, e.FinishedAt.Local().Format(layout), e.Sink, human.Count(e.RowsOut)))}
	case len(s.broken) > 0 && e.Failed == 0 && !e.Interrupted:
		return s.endedBroken(e)
	case e.DryRun && e.Failed == 0 && !e.Interrupted:
		return []string{human.Line("dry run", fmt.Sprintf("%s read, %s would be written, in %s, peak %s; nothing was written",
			human.Plural(e.RowsIn, "row"), human.Count(e.RowsOut), span, human.Memory(e.PeakMemory)))}
	case e.Published && e.Failed == 0:
		if e.Files > 0 {
			total = human.Plural(e.Files, "file") + ", " + total
		}
		return []string{human.Line("published", e.Sink+": "+total+", 0 errors")}
	case e.Failed > 0 && !e.Interrupted:
		return s.endedWithErrors(e)
	case e.Interrupted:
		return []string{
			human.Line("stopped", fmt.Sprintf("run %s: %s of %s are finished and safe", e.Run, human.Count(e.Finished), human.Plural(e.Total, "chunk"))),
			human.Line("go on", s.next.Again),
		}
	case e.Pending > 0:
		return []string{
			human.Line("left open", fmt.Sprintf("run %s: %s of %s are finished, %s", e.Run, human.Count(e.Finished), human.Plural(e.Total, "chunk"), total)),
			human.Line("go on", s.next.Rest),
		}
	}
	return []string{human.Line(e.State, e.Sink+": "+total)}
}

func (s *story) endedWithErrors(e Ended) []string {
	what := "nothing is published"
	if e.Published || e.Visible && e.Finished > 0 {
		what = "their rows are in " + e.Sink
	}
	if e.DryRun {
		what = "nothing was written"
	}
	failed, retry := human.Count(e.Failed)+" of "+human.Plural(e.Total, "chunk")+" failed", "retry only these"
	if e.MaxErrors > 0 {
		failed += fmt.Sprintf(", and with them the run stopped early (limits.max_errors: %d); %s were not tried", e.MaxErrors, human.Count(e.Pending))
		retry = "go on with all"
	}
	lines := []string{human.Line("error", fmt.Sprintf("%s; %s are safe, %s", failed, human.Count(e.Finished), what))}
	lines = append(lines, s.failures...)
	if s.unshown > 0 {
		lines = append(lines, fmt.Sprintf("  and %s more", human.Count(int64(s.unshown))))
	}
	if e.DryRun {
		return lines
	}
	again := s.next.Retry
	if s.budget > 0 { // with the one that it had it would end the same way
		again = s.next.Wider + fmt.Sprintf("%dMiB", s.budget>>20)
	}
	lines = append(lines, human.Line("see them", s.next.Errors+" "+e.Run), human.Line(retry, again))
	if !e.Visible || e.Finished == 0 {
		return append(lines, human.Line("or start afresh", s.next.Afresh))
	}
	return append(lines, fmt.Sprintf("or start afresh, although the rows of %s stay there and are loaded again", human.Plural(e.Finished, "chunk")),
		human.Line("", s.next.Afresh+" --keep-committed"))
}

// endedBroken tells of expectations that failed.
func (s *story) endedBroken(e Ended) []string {
	what := human.Plural(e.Finished, "chunk") + " staged, nothing is published"
	if e.DryRun {
		what = "nothing was written"
	}
	lines := []string{human.Line("error", fmt.Sprintf("%s failed; %s", human.Plural(int64(len(s.broken)), "expectation"), what))}
	for _, b := range s.broken {
		lines = append(lines, BrokenExpectation(b)...)
	}
	if e.DryRun {
		return lines
	}
	return append(lines,
		human.Line("see them", s.next.Errors+" "+e.Run),
		human.Line("once expect: is right", s.next.Retry+"   checks and publishes what is staged"),
		human.Line("or start afresh", s.next.Afresh))
}

// BrokenExpectation describes an expectation that failed, with samples below it.
func BrokenExpectation(b ExpectationFailed) []string {
	lines := []string{"  " + fmt.Sprintf("%-16s  %s", human.Printable(cut(b.Expectation, longestNote)), human.Printable(cut(b.Message, longestError)))}
	for _, sample := range b.Samples {
		lines = append(lines, "    "+human.Printable(sample))
	}
	return lines
}

// figures are a Progress in words, without its chunks: "1.8M rows   228k rows/s   61 MB/s   214 MiB   3s left".
func (p Progress) figures() string {
	parts := []string{human.Short(float64(p.RowsIn)) + " rows"}
	if p.RowsPerSecond >= 1 {
		parts = append(parts, human.Short(p.RowsPerSecond)+" rows/s")
	}
	if p.BytesPerSecond >= 1 {
		parts = append(parts, human.Data(int64(p.BytesPerSecond))+"/s")
	}
	if p.Memory > 0 {
		parts = append(parts, human.Memory(p.Memory))
	}
	if p.Failed > 0 {
		parts = append(parts, human.Count(p.Failed)+" failed")
	}
	if p.Left > 0 {
		parts = append(parts, human.Span(p.Left.Round(time.Second))+" left")
	}
	return strings.Join(parts, "   ")
}

func (p Progress) chunks() string { return human.Count(p.Finished) + "/" + human.Count(p.Total) }
