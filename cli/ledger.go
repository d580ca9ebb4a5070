package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/postgres"
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
	name, shared, err := nameLedger(target)
	if err != nil {
		return nil, err
	}
	if !shared && !exists(target) {
		return nil, drover.Errorf(drover.Refused, "there is no ledger at %s", name).
			WithHint("drover run makes one; name another with --ledger, or go to the directory that the job ran in")
	}
	return open.Open(ctx, target)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// nameLedger returns a ledger's name without secrets, and whether it is one that machines share.
func nameLedger(target string) (name string, shared bool, err error) {
	scheme, _, isURL := strings.Cut(target, "://")
	if !isURL {
		return target, false, nil
	}
	if scheme != "postgres" && scheme != "postgresql" {
		return "", false, drover.Errorf(drover.Invalid, "a ledger is a path or a postgres:// URL, not %s://", scheme).
			WithHint("--ledger postgres://host/database")
	}
	if server := postgres.URL(target).String(); server != "postgres" {
		return "postgres " + server, true, nil
	}
	return "postgres", true, nil
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
