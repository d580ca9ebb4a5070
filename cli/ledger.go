package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/open"
	"github.com/spf13/cobra"
)

// ledgerFlag adds --ledger to a command.
func ledgerFlag(cmd *cobra.Command, target *string) {
	cmd.Flags().StringVar(target, "ledger", "", "the ledger: a `path` or a postgres:// URL (default .drover/ledger.db; or DROVER_LEDGER)")
}

// readLedger opens a ledger that must be there.
func readLedger(ctx context.Context, target string) (ledger.Ledger, error) {
	l, err := open.Existing(ctx, target)
	if err != nil || l != nil {
		return l, err
	}
	name, _, err := open.Name(target)
	if err != nil {
		return nil, err
	}
	return nil, drover.Errorf(drover.Refused, "there is no ledger at %s", name).
		WithHint("drover run makes one; name another with --ledger, or go to the directory that the job ran in")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// jobFlag adds --job to a command that shows one run.
func jobFlag(cmd *cobra.Command, target *string) {
	cmd.Flags().StringVar(target, "job", "", "the run of the job of this `name`, where several jobs have one of that name")
}

// ofJob are the words by which jobFlag tells a run from those that have its name in other jobs; empty for a name that was made up.
func ofJob(r ledger.Run) string {
	if !r.Named {
		return ""
	}
	return " --job " + quote(r.Job)
}

// findRun finds a run by its name or uid; the newest without one. The name must be one job's, unless job says which.
func findRun(ctx context.Context, l ledger.Ledger, job, id string) (ledger.Run, error) {
	r, err := l.Run(ctx, job, id)
	if err == nil && job == "" && id != "" && r.UID != id {
		jobs, err := l.Jobs(ctx, id)
		if err != nil {
			return r, err
		}
		if len(jobs) > 1 {
			return r, drover.Errorf(drover.Invalid, "%d jobs have a run %q: %s", len(jobs), id, strings.Join(jobs, ", ")).
				WithHint("say which with --job, such as %s --job %s", quote(id), quote(jobs[0]))
		}
	}
	if errors.Is(err, ledger.ErrNotFound) {
		if job != "" && id == "" {
			return r, drover.Errorf(drover.Invalid, "the ledger has no runs of a job %q", job).WithHint("drover status lists the runs")
		}
		if job != "" {
			return r, drover.Errorf(drover.Invalid, "the ledger has no run %q of a job %q", id, job).WithHint("drover status lists the runs")
		}
		if id == "" {
			return r, drover.Errorf(drover.Refused, "the ledger has no runs yet").WithHint("drover run JOB.yaml")
		}
		return r, drover.Errorf(drover.Invalid, "the ledger has no run %q", id).WithHint("drover status lists the runs")
	}
	return r, err
}
