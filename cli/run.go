package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/internal/engine"
	"github.com/droverdata/drover/internal/engine/local"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/open"
	"github.com/droverdata/drover/internal/machine"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
	"github.com/droverdata/drover/internal/run"
	"github.com/droverdata/drover/internal/worker"
	"github.com/spf13/cobra"
)

// runFlags are the flags of run.
type runFlags struct {
	flags
	set                    []string
	name                   string
	dryRun                 bool
	limitChunks            int
	only                   []string
	retryErrors            bool
	fresh, keepCommitted   bool
	json, quiet, inProcess bool
	logFormat              string
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:                   "run JOB.yaml [FLAGS]",
		DisableFlagsInUseLine: true,
		Short:                 "start, join or resume a job",
		Long: `Run a job. The same command on the same job file does whichever applies: it starts a run, joins one that is going
on (on a shared ledger), resumes one that was interrupted, or lists again what failed.

Results go to standard output, progress and errors to standard error. Ctrl-C once finishes what is in flight and
stops; twice stops now. Either way the same command goes on.

Exit codes: 0 every chunk finished and published; 1 the run ended with failed chunks, too many rejects, or rows that
broke an expectation; 2 the job file or the command line is wrong; 3 a source, sink, ledger or engine cannot be reached
or refused; 130 interrupted, resumable.`,
		Example: `  drover run taxi.yaml
  drover run taxi.yaml --dry-run                      everything but writing
  drover run taxi.yaml --memory 2GiB --workers 4
  drover run companies.yaml --set state=NY            give a value to ${state}
  drover run companies.yaml --only 10016 --only 99501 these chunks alone; the run stays open
  drover run companies.yaml --retry-errors            again, but only what failed
  drover run nightly.yaml --run 2026-11-21 --ledger postgres://host/db
                                                      on many machines, once in all`,
		Args:              oneJobFile,
		ValidArgsFunction: completeJobFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return a.run(cmd.Context(), args, f)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.engine, "engine", "", "where tasks execute: local (default; or DROVER_ENGINE)")
	ledgerFlag(cmd, &f.ledger)
	fs.IntVar(&f.workers, "workers", 0, "how many worker processes (default: one a core, as far as memory goes)")
	fs.Var(&f.memory, "memory", "the memory of all processes together, such as 4GiB (default 70 % of the machine; or DROVER_MEMORY)")
	fs.StringVar(&f.name, "run", "", "an idempotency key: whoever names the same run works on it, and a finished one exits 0 at once")
	fs.BoolVar(&f.dryRun, "dry-run", false, "do everything but write: real reads, real steps, real row counts")
	fs.IntVar(&f.limitChunks, "limit-chunks", 0, "stop after so many chunks, and leave the run open")
	fs.StringArrayVar(&f.only, "only", nil, "only the chunks with this `key` (repeatable); the run stays open")
	fs.BoolVar(&f.retryErrors, "retry-errors", false, "try the failed chunks of the last run again; steps may be mended")
	fs.BoolVar(&f.fresh, "new", false, "abandon an unfinished run and start afresh")
	fs.BoolVar(&f.keepCommitted, "keep-committed", false, "with --new: accept that rows of the abandoned run stay in the target")
	fs.StringArrayVar(&f.set, "set", nil, "give a value to ${NAME} in the job file: `NAME=VALUE` (repeatable)")
	fs.DurationVar(&f.lease, "lease", 0, "how long a silent machine keeps its chunks (default 30s; or DROVER_LEASE)")
	fs.BoolVar(&f.json, "json", false, "print one JSON object on standard output at the end")
	fs.BoolVar(&f.quiet, "quiet", false, "show warnings and errors only")
	fs.BoolVar(&f.inProcess, "in-process", false, "run tasks inside this process, one after the other (for debugging)")
	fs.StringVar(&f.logFormat, "log-format", "text", "progress as text or json")
	completeFlag(cmd, "engine", "local")
	completeFlag(cmd, "log-format", "text", "json")
	return cmd
}

func (f runFlags) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	switch {
	case f.logFormat != "text" && f.logFormat != "json":
		return usage(cmd, "--log-format: %q is neither text nor json", f.logFormat)
	case changed("limit-chunks") && f.limitChunks < 1:
		return usage(cmd, "--limit-chunks %d: it must be at least 1", f.limitChunks)
	case changed("workers") && f.workers < 1:
		return usage(cmd, "--workers %d: it must be at least 1", f.workers)
	case changed("lease") && f.lease < leastLease:
		return shortLease("--lease", f.lease)
	case changed("run") && f.name == "":
		return usage(cmd, "--run: the name is empty")
	case f.fresh && f.retryErrors:
		return usage(cmd, "--new and --retry-errors exclude each other").
			WithHint("--retry-errors goes on with the failed run; --new abandons it")
	case f.fresh && f.name != "":
		return usage(cmd, "--new and --run exclude each other").
			WithHint("--run NAME works on the run of that name; --new abandons an unfinished run and makes up a name")
	case f.keepCommitted && !f.fresh:
		return usage(cmd, "--keep-committed needs --new")
	case f.dryRun && (f.retryErrors || f.fresh || f.name != ""):
		return usage(cmd, "--dry-run uses a ledger of its own, so --run, --new and --retry-errors mean nothing with it")
	}
	return nil
}

func (a *app) run(ctx context.Context, args []string, f runFlags) (err error) {
	file, err := a.load(args, f.set)
	if err != nil {
		return err
	}
	job := file.Job
	a.logJSON = f.logFormat == "json"
	s, err := a.resolve(f.flags, job)
	if err != nil {
		return file.Locate(err)
	}
	ctx, stop := listen(ctx)
	defer stop.close()
	if ctx, err = fault.WithEnv(ctx, "driver"); err != nil {
		return err
	}
	version, err := build()
	if err != nil {
		return err
	}
	dir, err := scratch()
	if err != nil {
		return err
	}
	next := a.next(s.ledger)
	if f.name != "" { // other jobs may have a run of this name
		next.Errors += " --job " + quote(job.Name)
	}
	printer := monitor.Start(monitor.Options{
		Out: a.err, Terminal: a.isTerminal(a.err), JSON: f.logFormat == "json", Quiet: f.quiet, Next: next,
	})
	o := run.Options{
		Registry: all.All(), EngineName: "local", Version: version, Job: job, Name: f.name, New: f.fresh, KeepCommitted: f.keepCommitted,
		RetryErrors: f.retryErrors, DryRun: f.dryRun, Only: f.only, LimitChunks: f.limitChunks,
		Set: assigned(f.set), Lease: s.lease, Memory: s.memory, TempDir: dir, Drain: stop.drain,
		Events: func(e monitor.Event) {
			switch e.(type) {
			case monitor.Opened:
				a.begun = true
				stop.begin()
			case monitor.Ended:
				a.shown = !f.quiet
			}
			printer.Event(e)
		},
	}
	summary, err := a.runWith(ctx, o, s, f)
	printer.Close()
	if f.json && summary.Run != "" {
		if err := a.printJSON(summary); err != nil {
			return err
		}
	}
	if err == nil && summary.Failed() {
		return errChunksFailed
	}
	return file.Locate(err)
}

// runWith opens ledger and engine around a run.
func (a *app) runWith(ctx context.Context, o run.Options, s settings, f runFlags) (_ run.Summary, err error) {
	shared := o.TempDir
	o.TempDir = filepath.Join(shared, machine.Scratch("driver", 0))
	if err := os.MkdirAll(o.TempDir, 0o700); err != nil {
		return run.Summary{}, drover.Errorf(drover.Refused, "create the driver's scratch directory: %w", err)
	}
	defer func() {
		_ = os.RemoveAll(o.TempDir) // the next run sweeps it
		for _, dir := range []string{shared, stateDir} {
			_ = os.Remove(dir) // only if it is empty: a job that was refused leaves nothing behind
		}
	}()
	past := s.ledger
	o.OpenPast = func(ctx context.Context) (ledger.Ledger, error) { return open.Existing(ctx, past) }
	if f.dryRun {
		s.ledger = filepath.Join(o.TempDir, "dry-run.db")
	}
	if o.LedgerName, o.Shared, err = open.Name(s.ledger); err != nil {
		return run.Summary{}, err
	}
	o.FreshLedger = !o.Shared && !exists(s.ledger)
	o.OpenLedger = func(ctx context.Context) (ledger.Ledger, error) { return open.Open(ctx, s.ledger) }
	if o.Engine, err = a.engine(ctx, o.Registry, s, shared, f.inProcess, o.Events); err != nil {
		return run.Summary{}, err
	}
	defer func() { err = errors.Join(err, o.Engine.Close()) }()
	return run.Run(ctx, o)
}

func (a *app) engine(ctx context.Context, registry connector.Registry, s settings, dir string, inProcess bool, events func(monitor.Event)) (engine.Engine, error) {
	warn := func(text string) { events(monitor.Warning{Text: text}) }
	aside := protocol.Aside{Warn: warn, Printed: func(p protocol.Printed) { events(monitor.Printed(p)) }}
	budget := s.memory - memory.Driver
	if inProcess {
		w := worker.New(registry, dir, a.functions(), aside)
		memory.LimitGo(memory.Divide(budget).Go)
		return local.NewInProcess(budget, w.Execute, w.Close), nil
	}
	memory.LimitGo(memory.Driver / 2) // the other half is the program's, and DuckDB's
	self, err := os.Executable()
	if err != nil {
		return nil, drover.Errorf(drover.Refused, "find drover's own program: %w", err)
	}
	e, err := local.New(local.Options{
		Command: []string{self, "worker"}, Workers: s.workers, Memory: budget, TempDir: dir, Own: memory.Driving, Silence: max(s.lease, leastSilence), Aside: aside,
	})
	if err != nil {
		return nil, err
	}
	slots, err := e.Slots(ctx)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if s.asked && slots < s.workers {
		warn(fmt.Sprintf("%d MiB of memory are enough for %d of %d workers to begin with; more start once their tasks show that they take less", s.memory>>20, slots, s.workers))
	}
	return e, nil
}

// leastSilence is how long a worker may at least say nothing: a busy machine may need seconds to start one.
const leastSilence = 10 * time.Second

// workerCommand executes tasks for an engine. Its argument is the directory for its scratch files.
func (a *app) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "worker DIR",
		DisableFlagsInUseLine: true,
		Short:                 "execute tasks for an engine (started by drover itself)",
		Hidden:                true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, "%s takes one folder, but was given %d arguments", cmd.CommandPath(), len(args)).
					WithHint("drover starts it by itself: drover run JOB.yaml")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ignoreInterrupts()
			ctx, err := fault.WithEnv(cmd.Context(), "worker")
			if err != nil {
				return err
			}
			w := worker.New(all.All(), args[0], a.functions(), protocol.Aside{})
			return w.Serve(ctx, a.in, a.out, os.Exit)
		},
	}
}
