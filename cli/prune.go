package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/jobfile"
	"github.com/droverdata/drover/internal/redact"
	"github.com/droverdata/drover/internal/run"
	"github.com/spf13/cobra"
)

// defaultAge is how long ago a run must have ended for prune to take it, where neither the flag nor the job file says.
const defaultAge = 90 * 24 * time.Hour

type pruneFlags struct {
	ledger, job  string
	age          ageValue
	set          []string
	failed, keep bool
	dryRun, json bool
}

// ageValue is a flag such as 90d.
type ageValue struct {
	text string
	age  time.Duration
}

func (v *ageValue) String() string { return v.text }
func (*ageValue) Type() string     { return "age" }

func (v *ageValue) Set(text string) (err error) {
	v.text = text
	v.age, err = jobfile.ParseAge(text)
	return err
}

func (a *app) pruneCommand() *cobra.Command {
	var f pruneFlags
	cmd := &cobra.Command{
		Use:                   "prune [JOB.yaml] [FLAGS]",
		DisableFlagsInUseLine: true,
		Short:                 "remove old runs and what they left behind",
		Long: `Remove runs that ended long ago from the ledger. With a job file it is that job's runs, and with them go the receipts,
staging tables and staged files that they left in the job's target. Published and committed rows and files stay, and
so does every run that is open, or that failed and could be retried (--failed takes those too, but of those whose
committed rows the next run would load again only with --keep-committed).

Kept for later runs: the newest finished run of each meaning of a job, by which a second append is refused, and the
finished runs of a job with new_keys, whose keys it skips.`,
		Example: `  drover prune --dry-run
  drover prune companies.yaml --older-than 30d
  drover prune --job companies --ledger postgres://host/db`,
		Args:              atMostOne("job file"),
		ValidArgsFunction: completeJobFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.keep && !f.failed {
				return usage(cmd, "--keep-committed needs --failed")
			}
			if len(args) == 0 && a.job == nil {
				if len(f.set) > 0 {
					return usage(cmd, "--set needs a job file")
				}
				return a.prune(cmd.Context(), nil, f)
			}
			if f.job != "" {
				return usage(cmd, "--job and a job file exclude each other").WithHint("the job file names the job")
			}
			file, err := a.load(args, f.set)
			if err != nil {
				return err
			}
			return file.Locate(a.prune(cmd.Context(), file, f))
		},
	}
	ledgerFlag(cmd, &f.ledger)
	fs := cmd.Flags()
	fs.Var(&f.age, "older-than", "how long ago a run must have ended, such as 90d, 12w or 36h (default: the job's keep, or 90d)")
	fs.StringVar(&f.job, "job", "", "only the runs of the job of this `name`")
	fs.StringArrayVar(&f.set, "set", nil, "give a value to ${NAME} in the job file: `NAME=VALUE` (repeatable)")
	fs.BoolVar(&f.failed, "failed", false, "take runs with failed chunks too; they can then no longer be retried")
	fs.BoolVar(&f.keep, "keep-committed", false, "with --failed: accept that rows of failed runs stay in the target, where the next run adds them again")
	fs.BoolVar(&f.dryRun, "dry-run", false, "say what would be removed, and remove nothing")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	completeFlag(cmd, "older-than", "30d", "90d", "365d")
	return cmd
}

func (a *app) prune(ctx context.Context, file *jobfile.File, f pruneFlags) (err error) {
	o := run.PruneOptions{Registry: all.All(), Job: f.job, Age: f.age.age, Failed: f.failed, KeepCommitted: f.keep, DryRun: f.dryRun}
	if f.age.text == "" {
		o.Age = defaultAge
	}
	var inFile string
	if file != nil {
		inFile, o.Job = file.Job.Ledger, file.Job.Name
		if f.age.text == "" && file.Job.Keep > 0 {
			o.Age = file.Job.Keep
		}
	}
	ctx, stop := listen(ctx)
	defer stop.close()
	l, err := readLedger(ctx, a.ledgerName(f.ledger, inFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Shutdown()) }()
	if file != nil {
		closeEnds, err := a.openEnds(ctx, file.Job, &o)
		if err != nil {
			return err
		}
		defer closeEnds()
	}
	result, err := run.Prune(ctx, l, o)
	if err != nil {
		return err
	}
	if f.json {
		return a.printJSON(result)
	}
	a.printf("%s", redact.Passwords(pruneText(result)))
	return nil
}

// openEnds opens the job's sink, and its source if that is still there.
func (a *app) openEnds(ctx context.Context, job drover.Job, o *run.PruneOptions) (closeEnds func(), err error) {
	env := connector.Env{Timezone: job.Timezone, Application: "drover/prune", Warn: a.warn, Resume: true}
	if o.Sink, err = o.Registry.OpenSink(ctx, job.Sink, env); err != nil {
		return nil, err
	}
	// Without the source only hidden marks in its folder would stay.
	source, sourceErr := o.Registry.OpenSource(ctx, job.Frame.Source, env)
	if sourceErr == nil {
		o.Source = source
	}
	if job.Rejects != nil {
		into, err := job.Rejects.Into()
		if err == nil {
			o.Rejects, err = o.Registry.OpenSink(ctx, into, env)
		}
		if err != nil {
			return nil, err
		}
	}
	return func() {
		if o.Rejects != nil {
			_ = o.Rejects.Close()
		}
		_ = o.Sink.Close() // what was removed is removed
		if source != nil {
			_ = source.Close()
		}
	}, nil
}

func pruneText(r run.PruneResult) string {
	var b strings.Builder
	removed := "removed"
	if r.DryRun {
		removed = "would remove"
	}
	fmt.Fprintf(&b, "%s %s", removed, human.Plural(int64(len(r.Removed)), "run"))
	for _, left := range []struct {
		n    int64
		noun string
	}{{r.Receipts, "receipt"}, {r.Tables, "staging table"}, {r.Files, "staged file"}} {
		if left.n > 0 {
			b.WriteString(", " + human.Plural(left.n, left.noun))
		}
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
	for _, run := range r.Removed {
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", run.Run, run.Job, run.State, run.EndedAt.Local().Format("2006-01-02"))
	}
	_ = w.Flush()
	for _, run := range r.Kept {
		fmt.Fprintf(&b, "kept %s of %s: %s\n", run.Run, run.Job, run.Kept)
	}
	if len(r.Unreached) > 0 {
		verb := "stay"
		if r.DryRun {
			verb = "would stay"
		}
		fmt.Fprintf(&b, "their receipts %s in %s; drover prune JOB.yaml removes those\n", verb, strings.Join(r.Unreached, ", "))
	}
	return b.String()
}
