package monitor

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/google/go-cmp/cmp"
)

func show(o Options, events ...Event) string {
	var b bytes.Buffer
	o.Out = &b
	p := Start(o)
	for _, e := range events {
		p.Event(e)
	}
	p.Close()
	return b.String()
}

var run = []Event{
	Planned{
		Job: "clean-companies", Source: "postgres raw_companies", Sink: "postgres clean_companies (replace)", By: "zip_code",
		Chunks: 3000, Rows: 2_400_000, Bytes: 658_000_000, Path: "fast path: 15 of 18 columns untouched",
	},
	Opened{Run: "r-k3f9", Ledger: ".drover/ledger.db", Workers: 2, Memory: 5 << 30, Chunks: 3000},
	Warning{Text: "2 files of 0 bytes are left out"},
	Progress{Total: 3000, Finished: 2204},
	ChunkFailed{By: "zip_code", Key: "10016", Attempts: 1, Final: true, Error: &drover.Error{
		Field: "steps[1].set", Code: "Conversion Error", Column: "revenue", Message: "could not convert\n'n/a' to DOUBLE",
	}},
}

func TestStory(t *testing.T) {
	for _, c := range []struct {
		name string
		end  Ended
		want []string
	}{
		{"published", Ended{
			Run: "r-k3f9", State: "finished", Sink: "postgres clean_companies (replace)", Total: 3000, Finished: 3000,
			RowsOut: 2_400_127, Seconds: 10.8, RowsHere: 2_400_127, PeakMemory: 231 << 20, Published: true,
		}, []string{"published         postgres clean_companies (replace): 2,400,127 rows in 11s (222k rows/s), peak 231 MiB, 0 errors"}},
		{"failed chunks", Ended{Run: "r-k3f9", State: "failed", Total: 3000, Finished: 2999, Failed: 1}, []string{
			"error             1 of 3,000 chunks failed; 2,999 are safe, nothing is published",
			"  zip_code=10016    steps[1].set: could not convert 'n/a' to DOUBLE (Conversion Error) · column revenue · 1 attempt",
			"see them          drover errors --ledger x r-k3f9",
			"retry only these  drover run retry",
			"or start afresh   drover run afresh",
		}},
		{"failed chunks beside committed ones", Ended{Run: "r-k3f9", State: "failed", Sink: "postgres clean (append)", Total: 3, Finished: 2, Failed: 1, Visible: true}, []string{
			"error             1 of 3 chunks failed; 2 are safe, their rows are in postgres clean (append)",
			"  zip_code=10016    steps[1].set: could not convert 'n/a' to DOUBLE (Conversion Error) · column revenue · 1 attempt",
			"see them          drover errors --ledger x r-k3f9",
			"retry only these  drover run retry",
			"or start afresh, although the rows of 2 chunks stay there and are loaded again",
			"                  drover run afresh --keep-committed",
		}},
		{"interrupted", Ended{Run: "r-k3f9", State: "open", Total: 3000, Finished: 2204, Pending: 796, Interrupted: true}, []string{
			"stopped           run r-k3f9: 2,204 of 3,000 chunks are finished and safe",
			"go on             drover run companies.yaml",
		}},
		{"left open", Ended{Run: "r-k3f9", State: "open", Total: 3000, Finished: 2, Pending: 2998, RowsOut: 10, Seconds: 1}, []string{
			"left open         run r-k3f9: 2 of 3,000 chunks are finished, 10 rows in 1s, peak 0 B",
			"go on             drover run rest",
		}},
		{"dry run", Ended{Run: "r-k3f9", Total: 1, Finished: 1, RowsIn: 12, RowsOut: 7, Seconds: 1, DryRun: true}, []string{
			"dry run           12 rows read, 7 would be written, in 1s, peak 0 B; nothing was written",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := strings.Join(append([]string{
				"clean-companies   postgres raw_companies -> postgres clean_companies (replace)",
				"plan              3,000 chunks by zip_code, 2.4M rows, 658 MB · fast path: 15 of 18 columns untouched",
				"run r-k3f9        ledger .drover/ledger.db · 2 workers, up to 5.0 GiB",
				"warning           2 files of 0 bytes are left out",
			}, append(c.want, "")...), "\n")
			got := show(Options{Next: Next{
				Again: "drover run companies.yaml", Rest: "drover run rest", Retry: "drover run retry", Wider: "drover run retry --memory ", Afresh: "drover run afresh", Errors: "drover errors --ledger x",
			}}, append(run[:len(run):len(run)], c.end)...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestQuietShowsWarningsAndFailuresOnly(t *testing.T) {
	got := show(Options{Quiet: true}, append(run[:len(run):len(run)], Ended{Total: 2, Finished: 1, Failed: 1})...)
	if !strings.HasPrefix(got, "warning ") || !strings.Contains(got, "1 of 2 chunks failed") || strings.Contains(got, "plan ") {
		t.Errorf("quiet shows %q", got)
	}
	if got := show(Options{Quiet: true}, Planned{}, Ended{Published: true}); got != "" {
		t.Errorf("quiet shows %q of a run without trouble", got)
	}
}

func TestAServerThatIsWaitedForIsShownEvenWhenQuiet(t *testing.T) {
	until := time.Date(2026, 11, 21, 22, 15, 7, 0, time.Local)
	got := show(Options{Quiet: true}, Waiting{For: "the ledger", Cause: "cannot reach postgres://h:5432/db: connection refused", Until: until},
		Waiting{For: "the ledger", Cause: "it has not answered for 5s"}, Back{For: "the ledger", Seconds: 12.3})
	if want := `waiting           for the ledger: cannot reach postgres://h:5432/db: connection refused; giving up at 22:15:07
waiting           for the ledger: it has not answered for 5s
going on          the ledger is back after 12s
`; got != want {
		t.Error(cmp.Diff(want, got))
	}
}

func TestJSONLogIsOneObjectALine(t *testing.T) {
	out := show(Options{JSON: true}, run...)
	var names []string
	for line := range strings.Lines(out) {
		var e struct {
			Time  time.Time
			Event string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time.IsZero() {
			t.Fatalf("%s: %v", line, err)
		}
		names = append(names, e.Event)
	}
	if diff := cmp.Diff([]string{"planned", "opened", "warning", "chunk_failed"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestAClosedPipeDoesNotStopAPrinter(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	p := Start(Options{Out: w})
	for range 10 {
		p.Event(Warning{Text: "x"})
	}
	p.Close()
	_ = w.Close()
}

func TestAFullPipeDoesNotStopARun(t *testing.T) {
	r, w := io.Pipe() // nobody reads
	defer r.Close()
	p := Start(Options{Out: w})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 10 * backlog {
			p.Event(Warning{Text: "x"})
		}
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Event blocks")
	}
	_ = r.CloseWithError(io.ErrClosedPipe)
	p.Close()
}

func TestMeter(t *testing.T) {
	var m Meter
	start := time.Unix(0, 0)
	m.Measure(Progress{}, 0, start)
	p := m.Measure(Progress{RowsIn: 1000, BytesIn: 4000}, 0.25, start.Add(2*time.Second))
	if p.RowsPerSecond != 500 || p.BytesPerSecond != 2000 || p.Left != 6*time.Second {
		t.Errorf("%+v", p)
	}
	// Rates look back a few seconds only.
	for i := range 20 {
		p = m.Measure(Progress{RowsIn: 1000}, 0.25, start.Add(time.Duration(3+i)*time.Second))
	}
	if p.RowsPerSecond != 0 || p.Left != 0 {
		t.Errorf("after a standstill: %+v", p)
	}
}

func TestWhatATerminalWouldObeyIsShownEscaped(t *testing.T) {
	hostile := "a\x1b[2J\r\nb" + strings.Repeat("c", 10_000)
	out := show(Options{}, ChunkFailed{By: "k\x07", Key: hostile, Attempts: 1, Final: true, Error: &drover.Error{Kind: drover.Overrun, Message: hostile, Hint: "\x1b]0;t\x07"}},
		Warning{Text: hostile[:9]}, Ended{Run: "r-k3f9", State: "failed", Total: 1, Failed: 1})
	if strings.ContainsAny(out, "\x1b\r\x07") || !strings.Contains(out, `a\x1b[2J\r\nb`) {
		t.Errorf("%q", out)
	}
	if len(out) > 2000 {
		t.Errorf("%d bytes for one chunk", len(out))
	}
}

func TestAChunkThatLostItsWorkersIsToldApartFromOneThatFailed(t *testing.T) {
	out := show(Options{}, ChunkFailed{Key: "10016", Losses: 3, Final: true, Error: &drover.Error{
		Kind: drover.Lost, Field: "steps[0].python", Message: "step 1 (python): clean.py:clean: the Python process died (exit status 7)",
	}}, Ended{Run: "r-k3f9", State: "failed", Total: 1, Failed: 1})
	if want := "  10016             step 1 (python): clean.py:clean: the Python process died (exit status 7) · 3 attempts that lost the worker\n"; !strings.Contains(out, want) {
		t.Errorf("%s\nlacks %s", out, want)
	}
}

func TestTheRetryOfAChunkThatNeedsMoreMemoryHasIt(t *testing.T) {
	failed := func(budget int64) ChunkFailed {
		return ChunkFailed{Key: "10016", Losses: 1, Final: true, Budget: budget, Error: &drover.Error{Kind: drover.Overrun, Message: "too much"}}
	}
	out := show(Options{Next: Next{Retry: "drover run retry", Wider: "drover run retry --memory "}}, failed(300<<20), failed(1065<<20), failed(500<<20), Ended{Run: "r-k3f9", State: "failed", Total: 3, Failed: 3})
	if want := "retry only these  drover run retry --memory 1065MiB\n"; !strings.Contains(out, want) {
		t.Errorf("%s\nlacks %s", out, want)
	}
}

func TestAJoinIsToldApartFromAResume(t *testing.T) {
	opened := Opened{Run: "r-k3f9", Ledger: "x", Workers: 1, Chunks: 50, FinishedBefore: 12, Resumed: true}
	for beside, want := range map[int]string{0: "resuming          run r-k3f9 of ", 1: ": 1 machine at work, 12 of 50 chunks finished\n", 2: "joining           run r-k3f9 of "} {
		opened.Beside = beside
		if out := show(Options{}, opened); !strings.Contains(out, want) {
			t.Errorf("%s\nlacks %s", out, want)
		}
	}
}
