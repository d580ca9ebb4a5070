package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"

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

// findRun finds a run by its name or uid; the newest without one.
func findRun(ctx context.Context, l ledger.Ledger, id string) (ledger.Run, error) {
	r, err := l.Run(ctx, "", id)
	if errors.Is(err, ledger.ErrNotFound) {
		if id == "" {
			return r, drover.Errorf(drover.Refused, "the ledger has no runs yet").WithHint("drover run JOB.yaml")
		}
		return r, drover.Errorf(drover.Invalid, "the ledger has no run %q", id).WithHint("drover status lists the runs")
	}
	return r, err
}
