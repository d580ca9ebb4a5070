// Package open opens the ledger that a job or a command line names.
package open

import (
	"context"
	"strings"

	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/postgres"
	"github.com/droverdata/drover/internal/ledger/sqlite"
)

// Open opens the ledger at target: a postgres:// or postgresql:// URL, else the path of a SQLite file.
func Open(ctx context.Context, target string) (ledger.Ledger, error) {
	if strings.HasPrefix(target, "postgres://") || strings.HasPrefix(target, "postgresql://") {
		return postgres.Open(ctx, target)
	}
	return sqlite.Open(ctx, target)
}
