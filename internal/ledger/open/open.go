// Package open opens the ledger that a job or a command line names.
package open

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/droverdata/drover"
	connector "github.com/droverdata/drover/connector/postgres"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/postgres"
	"github.com/droverdata/drover/internal/ledger/sqlite"
	"github.com/droverdata/drover/internal/pgurl"
)

// Name returns how the ledger at target is called towards people, without secrets, and whether machines share it: a postgres:// or
// postgresql:// URL or libpq keywords, else the path of a SQLite file. Another URL, and a mistyped one, is an error of kind Invalid.
func Name(target string) (name string, shared bool, err error) {
	switch pgurl.Of(target) {
	case pgurl.Mistyped:
		return "", false, drover.Errorf(drover.Invalid, "the ledger is neither a path nor a postgres:// URL, but resembles one").WithHint(pgurl.Spelling)
	case pgurl.Path:
		if scheme, _, isURL := strings.Cut(target, "://"); isURL {
			return "", false, drover.Errorf(drover.Invalid, "a ledger is a path or a postgres:// URL, not %s://", scheme).
				WithHint("--ledger postgres://host/database")
		}
		return target, false, nil
	}
	if server := connector.URL(target).String(); server != "postgres" {
		return "postgres " + server, true, nil
	}
	return "postgres", true, nil
}

// Open opens the ledger at target, and makes it where there is none.
func Open(ctx context.Context, target string) (ledger.Ledger, error) {
	_, shared, err := Name(target)
	if err != nil {
		return nil, err
	}
	if shared {
		return postgres.Open(ctx, target)
	}
	return sqlite.Open(ctx, target)
}

// Existing opens the ledger at target; nil without an error where there is none.
func Existing(ctx context.Context, target string) (ledger.Ledger, error) {
	_, shared, err := Name(target)
	if err != nil {
		return nil, err
	}
	if shared {
		return postgres.OpenExisting(ctx, target)
	}
	if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // there is none
	}
	return sqlite.Open(ctx, target)
}
