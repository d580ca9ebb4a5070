package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/redact"
	"github.com/spf13/cobra"
)

// rateWindow is how far back from the newest finished chunk the rate of a run looks.
const rateWindow = time.Minute

func (a *app) statusCommand() *cobra.Command {
	var name, job string
	var asJSON, watch bool
	var limit int
	cmd := &cobra.Command{
		Use:                   "status [RUN] [FLAGS]",
		DisableFlagsInUseLine: true,
		Short:                 "show the runs of a ledger, or one run",
		Long: `Show the newest runs of a ledger, or one of them: its chunks by state, rows and bytes, their rates, memory, the time left, and
the machines at work on it. --watch shows it again and again until it ends; the newest run without a name.

A ledger is a SQLite file or a Postgres schema with tables run, chunk and attempt, and any SQL client may read it as well.`,
		Example: `  drover status
  drover status r-k3f9
  drover status --watch
  drover status r-k3f9 --json --ledger postgres://host/db`,
		Args:              atMostOne("run"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return usage(cmd, "--limit %d: it must be at least 1", limit)
			}
			if watch && asJSON {
				return usage(cmd, "--watch and --json exclude each other")
			}
			if job != "" && len(args) == 0 && !watch {
				return usage(cmd, "--job needs a run, or --watch").WithHint("drover status lists the runs of all jobs")
			}
			l, err := readLedger(cmd.Context(), a.ledgerName(name, ""))
			if err != nil {
				return err
			}
			defer l.Shutdown() //nolint:errcheck // nothing was written
			if watch {
				return a.watchRun(cmd.Context(), l, job, strings.Join(args, ""), name)
			}
			if len(args) == 0 {
				return a.listRuns(cmd.Context(), l, limit, asJSON)
			}
			return a.showRun(cmd.Context(), l, job, args[0], name, asJSON)
		},
	}
	ledgerFlag(cmd, &name)
	jobFlag(cmd, &job)
	cmd.Flags().IntVar(&limit, "limit", 20, "how many runs to list")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&watch, "watch", false, "show one run until it ends: in place on a terminal, else a line every few seconds")
	return cmd
}

// runStatus is one run as status --json prints it.
type runStatus struct {
	Run        string          `json:"run"`
	UID        string          `json:"uid"`
	Job        string          `json:"job"`
	State      ledger.RunState `json:"state"`
	Engine     string          `json:"engine"`
	StartedAt  time.Time       `json:"started_at"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"`
	// Version is the drover that began it.
	Version string `json:"version"`
	// PrunedAt is when drover prune removed all but its name and how it ended.
	PrunedAt *time.Time `json:"pruned_at,omitempty"`
	Message  string     `json:"message,omitempty"`
	// Chunks are the source's, and Merge those of the second stage, where the run has one.
	Chunks  map[string]int64 `json:"chunks"`
	Merge   map[string]int64 `json:"merge,omitempty"`
	RowsIn  int64            `json:"rows_in"`
	RowsOut int64            `json:"rows_out"`
	// RowsScanned is absent where it is not known of every finished chunk.
	RowsScanned  *int64 `json:"rows_scanned,omitempty"`
	RowsRejected int64  `json:"rows_rejected"`
	BytesIn      int64  `json:"bytes_in"`
	BytesOut     int64  `json:"bytes_out"`
	// Seconds is from the start to the end, or to now.
	Seconds     float64 `json:"seconds"`
	PeakMemory  int64   `json:"peak_memory_bytes"`
	RowsPerSec  float64 `json:"rows_per_second"`
	BytesPerSec float64 `json:"bytes_per_second"`
	LeftSeconds float64 `json:"left_seconds,omitempty"`
	// Machines are at work on it, or died at it. Of one run that is not over only.
	Machines []machineStatus `json:"machines,omitempty"`
	ofJob    string          // see ofJob
}

// machineStatus is a driver at work on a run.
type machineStatus struct {
	// Driver is the whole name, as the ledger's chunks have it in worker.
	Driver  string `json:"driver"`
	Host    string `json:"host"`
	PID     int    `json:"pid,omitempty"`
	Workers int    `json:"workers"`
	// RowsPerSec is over the same time as the run's.
	RowsPerSec float64   `json:"rows_per_second"`
	SeenAt     time.Time `json:"seen_at"`
	// SilentSeconds is how long ago the last heartbeat was.
	SilentSeconds float64 `json:"silent_seconds"`
	name          string  // for people: HOST/PID, as long as no other machine of the run has it too
}

func statusOf(ctx context.Context, l ledger.Ledger, r ledger.Run) (runStatus, error) {
	t, err := l.Totals(ctx, r.UID, 0)
	if err != nil {
		return runStatus{}, fmt.Errorf("read the totals of run %s: %w", r.ID, err)
	}
	s := runStatus{
		Run: r.ID, UID: r.UID, Job: r.Job, State: r.State, Engine: r.Engine, Version: r.Version, StartedAt: r.StartedAt.UTC(), Message: r.Message,
		Chunks: byState(t), RowsIn: t.RowsIn, RowsOut: t.RowsOut, BytesIn: t.BytesIn, BytesOut: t.BytesOut,
		ofJob: ofJob(r), RowsScanned: t.RowsScanned, RowsRejected: t.RowsRejected, PeakMemory: t.PeakMemory, Seconds: time.Since(r.StartedAt).Seconds(),
	}
	merge, err := l.Totals(ctx, r.UID, 1)
	if err != nil {
		return runStatus{}, fmt.Errorf("read the merge's totals of run %s: %w", r.ID, err)
	}
	if merge.Total() > 0 {
		s.Merge, s.RowsOut, s.BytesOut, s.PeakMemory = byState(merge), merge.RowsOut, merge.BytesOut, max(t.PeakMemory, merge.PeakMemory)
	}
	if !r.PrunedAt.IsZero() {
		at := r.PrunedAt.UTC()
		s.PrunedAt = &at
	}
	if !r.FinishedAt.IsZero() {
		at := r.FinishedAt.UTC()
		s.FinishedAt, s.Seconds = &at, r.FinishedAt.Sub(r.StartedAt).Seconds()
	}
	s.Seconds = max(s.Seconds, 0)
	if s.Seconds > 0 {
		s.RowsPerSec, s.BytesPerSec = float64(t.RowsIn)/s.Seconds, float64(t.BytesIn)/s.Seconds
	}
	return s, nil
}

// byState counts the chunks of a stage.
func byState(t ledger.Totals) map[string]int64 {
	counts := map[string]int64{"total": t.Total()}
	for _, state := range []ledger.ChunkState{ledger.Pending, ledger.Running, ledger.ChunkFinished, ledger.ChunkError, ledger.Split} {
		counts[string(state)] = t.Chunks[state]
	}
	return counts
}

// measure sets the rates of an open run to those of the last minute of its stage in which chunks were finished: the run may have
// been interrupted for a night.
func (s *runStatus) measure(ctx context.Context, l ledger.Ledger) error {
	var newest time.Time
	stage, counts := 0, s.Chunks
	if s.Merge != nil {
		stage, counts = 1, s.Merge
	}
	chunks := func(yield func(ledger.ChunkRow) bool) error {
		for c, err := range l.Chunks(ctx, s.UID, ledger.ChunkFinished) {
			if err != nil {
				return fmt.Errorf("read the chunks of run %s: %w", s.Run, err)
			}
			if c.Stage == stage && !yield(c) {
				break
			}
		}
		return nil
	}
	if err := chunks(func(c ledger.ChunkRow) bool {
		if c.FinishedAt.After(newest) {
			newest = c.FinishedAt
		}
		return true
	}); err != nil || newest.IsZero() {
		return err
	}
	first, rows, bytes, done := newest, int64(0), int64(0), int64(0)
	by := map[string]int64{}
	if err := chunks(func(c ledger.ChunkRow) bool {
		if newest.Sub(c.FinishedAt) <= rateWindow {
			by[c.Worker] += c.RowsIn
			rows, bytes, done = rows+c.RowsIn, bytes+c.BytesIn, done+1
			if c.StartedAt.Before(first) {
				first = c.StartedAt
			}
		}
		return true
	}); err != nil {
		return err
	}
	seconds := newest.Sub(first).Seconds()
	if seconds <= 0 {
		return nil
	}
	s.RowsPerSec, s.BytesPerSec = float64(rows)/seconds, float64(bytes)/seconds
	for i, m := range s.Machines {
		s.Machines[i].RowsPerSec = float64(by[m.Driver]) / seconds
	}
	if left := counts["pending"] + counts["running"]; counts["running"] > 0 {
		s.LeftSeconds = float64(left) * seconds / float64(done)
	}
	return nil
}

func (a *app) listRuns(ctx context.Context, l ledger.Ledger, limit int, asJSON bool) error {
	runs, err := l.Runs(ctx, limit)
	if err != nil {
		return fmt.Errorf("read the runs of the ledger: %w", err)
	}
	all := make([]runStatus, 0, len(runs))
	for _, r := range runs {
		s, err := statusOf(ctx, l, r)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	if asJSON {
		return a.printJSON(map[string]any{"runs": all})
	}
	if len(all) == 0 {
		a.printf("no runs yet\n")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "RUN\tJOB\tSTATE\tCHUNKS\tERRORS\tROWS OUT\tSTARTED\tTOOK")
	for _, s := range all {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s/%s\t%s\t%s\t%s\t%s\n", s.Run, s.Job, s.State, human.Count(s.Chunks["finished"]),
			human.Count(s.Chunks["total"]), human.Count(s.Chunks["error"]+s.Merge["error"]), human.Count(s.RowsOut),
			s.StartedAt.Local().Format("Jan 2 15:04"), s.took())
	}
	_ = w.Flush()
	return nil
}

func (s runStatus) took() string {
	if s.FinishedAt == nil {
		return "-"
	}
	return human.Span(time.Duration(s.Seconds * float64(time.Second)))
}

func (a *app) showRun(ctx context.Context, l ledger.Ledger, job, id, ledgerFlag string, asJSON bool) error {
	s, err := statusNow(ctx, l, job, id)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(s)
	}
	a.printf("%s", s.text(a.showErrorsWith(a.ledgerName(ledgerFlag, ""))))
	return nil
}

// statusNow is all that is known of one run; of the newest one without a name.
func statusNow(ctx context.Context, l ledger.Ledger, job, id string) (runStatus, error) {
	r, err := findRun(ctx, l, job, id)
	if err != nil {
		return runStatus{}, err
	}
	s, err := statusOf(ctx, l, r)
	if err != nil || !r.FinishedAt.IsZero() {
		return s, err
	}
	if s.Machines, err = machinesOf(ctx, l, r); err != nil {
		return s, err
	}
	return s, s.measure(ctx, l)
}

// text is the status of one run; showErrors is the command that shows its errors.
func (s runStatus) text(showErrors string) string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		b.WriteString(human.Line(label, fmt.Sprintf(format, args...)) + "\n")
	}
	line("run "+s.Run, "%s, %s engine, drover %s", s.Job, s.Engine, s.version())
	state := string(s.State)
	if s.Message != "" {
		state += ": " + s.Message
	}
	line("state", "%s", redact.Passwords(state))
	times := "started " + s.StartedAt.Local().Format("2006-01-02 15:04:05")
	if s.FinishedAt != nil {
		times += ", finished " + s.FinishedAt.Local().Format("2006-01-02 15:04:05") + ", took " + s.took()
	}
	line("time", "%s", times)
	if s.PrunedAt != nil {
		line("pruned", "%s: all else about it was removed", s.PrunedAt.Local().Format("2006-01-02 15:04:05"))
		return b.String()
	}
	line("chunks", "%s", chunksText(s.Chunks))
	if s.Merge != nil {
		line("merge", "%s", chunksText(s.Merge))
	}
	line("rows", "%s in, %s out, %s rows/s", human.Count(s.RowsIn), human.Count(s.RowsOut), human.Short(s.RowsPerSec))
	if s.RowsRejected > 0 {
		line("rejected", "%s", human.Plural(s.RowsRejected, "row"))
	}
	line("bytes", "%s in, %s out, %s/s", human.Data(s.BytesIn), human.Data(s.BytesOut), human.Data(int64(s.BytesPerSec)))
	line("peak memory", "%s a task", human.Memory(s.PeakMemory))
	for _, m := range s.Machines {
		line("machine", "%s", m.text())
	}
	if s.LeftSeconds > 0 {
		line("time left", "about %s", human.Span(time.Duration(s.LeftSeconds*float64(time.Second))))
	}
	if s.Chunks["error"]+s.Merge["error"] > 0 {
		line("see the errors", "%s %s", showErrors, quote(s.Run)+s.ofJob)
	}
	return b.String()
}

// version is the drover that began the run, in words.
func (s runStatus) version() string {
	if s.Version == "" {
		return "of an earlier version"
	}
	return s.Version
}

// chunksText is chunks by state in words.
func chunksText(counts map[string]int64) string {
	var states []string
	for _, state := range []string{"finished", "running", "pending", "error", "split"} {
		if n := counts[state]; n > 0 {
			states = append(states, human.Count(n)+" "+state)
		}
	}
	text := human.Plural(counts["total"], "chunk")
	if len(states) > 0 {
		text += ": " + strings.Join(states, ", ")
	}
	return text
}
