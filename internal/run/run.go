// Package run is the loop that holds drover together: a job is bound and planned, its chunks go into the ledger, tasks are claimed, executed and
// recorded until none is left, and the result is published.
package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/bind"
	"github.com/droverdata/drover/internal/engine"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/machine"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/plan"
)

// Options say what to run, and with what.
type Options struct {
	Registry connector.Registry
	// OpenLedger opens the ledger, and makes it where there is none. FreshLedger says that there is none yet: it is made only
	// once the job is bound, so that a job that is refused leaves nothing behind.
	OpenLedger  func(context.Context) (ledger.Ledger, error)
	FreshLedger bool
	// OpenPast opens the ledger of earlier runs for a dry run, which has a ledger of its own; it returns nil where there is none.
	OpenPast func(context.Context) (ledger.Ledger, error)
	// LedgerName is how the ledger is called towards the user. Shared says that other machines may use it.
	LedgerName string
	Shared     bool
	Engine     engine.Engine
	EngineName string
	// Version names this build of drover. A run is of one.
	Version string

	Job drover.Job
	// Name is --run: an idempotency key.
	Name string
	// New abandons the job's unfinished run; KeepCommitted lets it do so although rows of that run stay in the target. Not with Name: a
	// run that was abandoned keeps its name.
	New, KeepCommitted bool
	// RetryErrors opens the job's failed run again.
	RetryErrors bool
	// DryRun reads and transforms and writes nothing. Ledger must be one that is thrown away.
	DryRun bool
	// Once says that nobody will resume the run, because its ledger is thrown away: unless it finishes, what it staged is removed.
	Once bool
	// Only limits the run to chunks with these keys, LimitChunks to so many chunks. Both leave it open.
	Only        []string
	LimitChunks int
	// Set are the names of the variables whose values the command line gave. The run keeps them, for whoever retries it; their values may be secret.
	Set []string

	Lease   time.Duration
	Memory  int64
	TempDir string
	// Drain is closed when the user asks to stop: attempts in flight are finished, and no new ones begin.
	Drain <-chan struct{}
	// Events receives what happens. Never nil; Run calls it from one goroutine at a time.
	Events func(monitor.Event)
}

// Counts are a run's chunks by what became of them.
type Counts struct {
	Total    int64 `json:"total"`
	Finished int64 `json:"finished"`
	Error    int64 `json:"error"`
	Pending  int64 `json:"pending"`
}

// Summary is what a run came to, as run --json prints it.
type Summary struct {
	Run     string `json:"run"`
	Job     string `json:"job"`
	State   string `json:"state"`
	Engine  string `json:"engine"`
	Resumed bool   `json:"resumed"`
	DryRun  bool   `json:"dry_run,omitempty"`
	// Chunks are the source's, and Merge those of the second stage, where the run has one.
	Chunks  Counts  `json:"chunks"`
	Merge   *Counts `json:"merge,omitempty"`
	RowsIn  int64   `json:"rows_in"`
	RowsOut int64   `json:"rows_out"`
	// RowsScanned is how many rows were looked at before filters were pushed down; absent where it is not known of every chunk.
	RowsScanned *int64 `json:"rows_scanned,omitempty"`
	// RowsRejected is how many of RowsIn went to the job's rejects.
	RowsRejected int64   `json:"rows_rejected"`
	BytesIn      int64   `json:"bytes_in"`
	BytesOut     int64   `json:"bytes_out"`
	Files        int64   `json:"files"`
	Seconds      float64 `json:"seconds"`
	Workers      int     `json:"workers"`
	// PrunedAt says that drover prune has removed the finished run since: all counts are 0.
	PrunedAt *time.Time `json:"pruned_at,omitempty"`
	// Broken are the expectations for which the run failed.
	Broken []expect.Broken `json:"broken_expectations,omitempty"`
	// PeakMemoryBytes is the highest memory of driver and workers together (sum of Pss), as it was measured here.
	PeakMemoryBytes int64 `json:"peak_memory_bytes"`
}

// runner is one driver's work on one run.
type runner struct {
	o        Options
	ledger   ledger.Ledger
	driver   string // names this process in the ledger
	bound    *bind.Bound
	plan     plan.Plan
	run      ledger.Run
	doc      doc
	begun    time.Time
	events   *events
	exchange *exchange
	// resumed says that the run was there before this process, and foundOver that it was over.
	resumed, foundOver bool
	// unplanned and unpublished are the times for which planning and publishing wait, over all their tries.
	unplanned, unpublished waiting
	// replaced is the uid of the run whose planning this driver begins once more.
	replaced string
	// rehearsed is what the tasks of a dry run found that expectations do not hold for.
	rehearsed []expect.Broken
	// tooMany is the error of a task that had more rejects than the run may have.
	tooMany *drover.Error
}

// Run starts, joins or resumes the job's run and works on it until nothing is left to do. The Summary is valid also with an error of
// kind Interrupted, and when chunks failed (State "failed", no error).
func Run(ctx context.Context, o Options) (_ Summary, err error) {
	events := newEvents(o.Events)
	o.Events = events.send
	r := &runner{
		o: o, driver: machine.NewDriver().String(), begun: time.Now(), events: events,
		unplanned: waiting{what: theSource, answered: true}, unpublished: waiting{what: theTarget, answered: true},
	}
	defer func() { err = errors.Join(err, r.release()) }()
	var found ledger.Run
	if !o.FreshLedger {
		if found, err = r.find(ctx); err != nil {
			return Summary{}, err
		}
	}
	if o.Name != "" && found.State == ledger.Finished {
		r.run, r.resumed, r.foundOver = found, true, true
		return r.summary(ctx, false)
	}
	unfinished := found.UID != "" && found.State != ledger.Finished && found.State != ledger.Abandoned
	err = r.patiently(ctx, theEnds, fresh, func() (err error) {
		r.bound, err = bind.Bind(ctx, o.Registry, o.Job, r.env(unfinished))
		return err
	})
	if err != nil {
		return Summary{}, err
	}
	if r.plan, err = plan.Make(r.bound.Bound); err != nil {
		return Summary{}, err
	}
	if o.FreshLedger {
		if r.ledger, err = o.OpenLedger(ctx); err != nil {
			return Summary{}, err
		}
	}
	return r.all(ctx)
}

// release closes what the runner holds.
func (r *runner) release() error {
	var errs []error
	if r.bound != nil {
		errs = append(errs, r.bound.Close())
	}
	if r.ledger != nil {
		errs = append(errs, r.ledger.Shutdown())
	}
	return errors.Join(errs...)
}

// find opens the ledger and looks for the run that this process will join or resume; zero if there is none. What it finds may change until Begin; it only decides whether rows in the target
// may be the run's own, and whether a named run is over already.
func (r *runner) find(ctx context.Context) (_ ledger.Run, err error) {
	err = r.patiently(ctx, theLedger, fresh, func() (err error) {
		r.ledger, err = r.o.OpenLedger(ctx)
		return err
	})
	if err != nil {
		return ledger.Run{}, err
	}
	if w, ok := r.ledger.(ledger.Watcher); ok {
		w.Watch(r.tellAbsence)
	}
	run, err := r.ledger.Run(ctx, r.o.Job.Name, r.o.Name)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return ledger.Run{}, fmt.Errorf("look for the run in the ledger: %w", err)
	}
	return run, nil
}

func (r *runner) all(ctx context.Context) (Summary, error) {
	role, err := r.begin(ctx)
	if err != nil {
		return Summary{}, err
	}
	r.back(&r.unplanned) // another driver may have planned
	if role == ledger.Done {
		r.foundOver = true
		summary, err := r.summary(ctx, false)
		if err == nil && r.run.State == ledger.Failed && !summary.Failed() {
			err = rejectsRefused(r.run.Message)
		}
		return summary, err
	}
	err = r.work(ctx)
	if r.o.Once {
		err = errors.Join(err, r.throwAway(context.WithoutCancel(ctx)))
	}
	if ctx.Err() != nil && err != nil && drover.KindOf(err) != drover.Interrupted {
		err = drover.Errorf(drover.Interrupted, "stopped: %w", err).WithHint("the same command goes on where this one stopped")
	}
	// The summary is owed to the user also after an interruption.
	summary, sumErr := r.summary(context.WithoutCancel(ctx), drover.KindOf(err) == drover.Interrupted)
	if err != nil {
		return summary, err // which may be why there is no summary
	}
	return summary, sumErr
}

// throwAway removes what a run staged that did not finish and that nobody will resume.
func (r *runner) throwAway(ctx context.Context) error {
	run, err := r.ledger.Run(ctx, "", r.run.UID)
	if err != nil {
		return fmt.Errorf("read the run from the ledger: %w", err)
	}
	if run.State == ledger.Finished || r.o.DryRun {
		return nil
	}
	if _, err := r.bound.Sink.Abort(ctx, r.sinkRun(r.doc.SinkState)); err != nil {
		return fmt.Errorf("remove what the run staged: %w", err)
	}
	return r.abortRejects(ctx, r.doc)
}

// work processes chunks and publishes, as often as publishing finds that something is gone.
func (r *runner) work(ctx context.Context) error {
	if err := r.openExchange(); err != nil {
		return err
	}
	for {
		end, err := r.stages(ctx)
		if err != nil {
			return err
		}
		var again bool
		switch end {
		case complete:
			again, err = r.publish(ctx)
		case elsewhere:
			again, err = r.othersDid(ctx)
		default:
			err = r.stopShort(ctx, end)
		}
		if err != nil || !again {
			return err
		}
	}
}

// stopShort ends a run that cannot be published now.
func (r *runner) stopShort(ctx context.Context, end end) error {
	switch end {
	case partial:
		if r.o.DryRun {
			return r.judgeRehearsed(ctx, true)
		}
	case overRejected:
		return r.tooManyRejects(ctx)
	case failed:
		return r.chunksFailed(ctx)
	case drained:
		return drover.Errorf(drover.Interrupted, "interrupted; run %s can be resumed", r.run.ID).
			WithHint("the same command goes on where this one stopped")
	}
	return nil
}

// summary reads what the run came to, and tells it.
func (r *runner) summary(ctx context.Context, interrupted bool) (Summary, error) {
	run, err := r.ledger.Run(ctx, "", r.run.UID)
	if err != nil {
		return Summary{}, fmt.Errorf("read the run from the ledger: %w", err)
	}
	if !run.PrunedAt.IsZero() {
		return r.pruned(run), nil
	}
	t, err := r.ledger.Totals(ctx, r.run.UID, 0)
	if err != nil {
		return Summary{}, fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	slots, err := r.o.Engine.Slots(ctx)
	if err != nil {
		return Summary{}, err
	}
	var kept doc
	if len(run.Doc) > 0 {
		if err := json.Unmarshal(run.Doc, &kept); err != nil {
			return Summary{}, fmt.Errorf("decode the plan of run %s: %w", run.ID, err)
		}
	}
	s := Summary{
		Chunks: countsOf(t),
		Run:    run.ID, Job: run.Job, State: string(run.State), Engine: r.o.EngineName, Resumed: r.resumed, DryRun: r.o.DryRun,
		RowsIn: t.RowsIn, RowsOut: t.RowsOut, BytesIn: t.BytesIn, BytesOut: t.BytesOut, RowsScanned: t.RowsScanned, RowsRejected: t.RowsRejected, Files: kept.Files,
		Seconds: time.Since(r.begun).Seconds(), Workers: slots, PeakMemoryBytes: max(t.PeakMemory, r.events.peakMemory()),
	}
	if run.State == ledger.Failed || r.o.DryRun {
		s.Broken = kept.Broken
		r.tellBroken(kept.Broken)
		if len(s.Broken) > 0 {
			s.State = string(ledger.Failed) // in its own ledger a dry run finishes, or stays open, whatever its rows are
		}
	}
	merge := Counts{}
	if len(kept.Plan.Stages) > 1 {
		m, err := r.ledger.Totals(ctx, r.run.UID, 1)
		if err != nil {
			return Summary{}, fmt.Errorf("read the merge's totals from the ledger: %w", err)
		}
		merge = countsOf(m)
		s.Merge, s.RowsOut, s.BytesOut = &merge, m.RowsOut, m.BytesOut
		s.PeakMemoryBytes = max(s.PeakMemoryBytes, m.PeakMemory)
	}
	rejects := ""
	if r.o.Job.Rejects != nil {
		rejects = r.o.Job.Rejects.String()
	}
	stopped := 0
	if most := r.o.Job.Limits.MaxErrors; most > 0 && run.State == ledger.Failed && s.Chunks.Pending > 0 && s.Chunks.Error >= int64(most) {
		stopped = most
	}
	var finished time.Time
	if r.foundOver && run.State == ledger.Finished {
		finished = run.FinishedAt
	}
	early, ok := r.o.Job.Sink.(earlyCommitter)
	r.events.send(monitor.Ended{
		Visible: ok && early.CommitsEarly() && !r.o.DryRun,
		Run:     s.Run, State: s.State, Sink: r.o.Job.Sink.String(), Total: s.Chunks.Total + merge.Total, Finished: s.Chunks.Finished + merge.Finished,
		Failed: s.Chunks.Error + merge.Error, Pending: s.Chunks.Pending + merge.Pending, RowsIn: s.RowsIn, RowsOut: s.RowsOut, Files: s.Files, Seconds: s.Seconds,
		RowsRejected: s.RowsRejected, Rejects: rejects, MaxErrors: stopped, FinishedAt: finished,
		RowsHere: r.events.rowsHere(), PeakMemory: s.PeakMemoryBytes, Published: run.State == ledger.Finished && !r.o.DryRun,
		Interrupted: interrupted, DryRun: r.o.DryRun,
	})
	return s, nil
}

func countsOf(t ledger.Totals) Counts {
	return Counts{
		Total: t.Total(), Finished: t.Chunks[ledger.ChunkFinished], Error: t.Chunks[ledger.ChunkError],
		Pending: t.Unfinished(),
	}
}

// Failed reports whether the run ended with failed chunks or broken expectations.
func (s Summary) Failed() bool {
	return len(s.Broken) > 0 || s.Chunks.Error > 0 || s.Merge != nil && s.Merge.Error > 0
}

// env is what the driver's connectors may use. resume says that an unfinished run of the job exists.
func (r *runner) env(resume bool) connector.Env {
	o := r.o
	return connector.Env{
		Timezone: o.Job.Timezone, TempDir: o.TempDir, Application: "drover/driver",
		Warn:        func(format string, args ...any) { r.events.warnOnce(fmt.Sprintf(format, args...)) },
		Connections: o.Job.Limits.SourceConnections, Resume: resume,
		Memory: o.Memory, // while the driver plans, no worker runs
	}
}
