package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
)

// TestWhatMendsItselfIsTriedAgain: a serialization failure, a deadlock, a lock, a lost connection, and a server that starts, stops or has no
// connection left; nothing else.
func TestWhatMendsItselfIsTriedAgain(t *testing.T) {
	d := &database{config: &pgx.ConnConfig{}, patience: time.Hour}
	tries := func(failure error) (n int, err error) {
		err = d.again(t.Context(), func() error {
			if n++; n == 1 {
				return fmt.Errorf("ledger statement: %w", failure)
			}
			return nil
		})
		return n, err
	}
	for state := range strings.FieldsSeq("40001 40P01 40003 55P03 08000 08003 08006 57P01 57P02 57P03 57P05 53300 53100") {
		if n, err := tries(&pgconn.PgError{Code: state}); n != 2 || err != nil {
			t.Errorf("%s: %d tries, %v", state, n, err)
		}
	}
	for state := range strings.FieldsSeq("28P01 28000 3D000 42501 25006 42P01 23505 22003 XX000") {
		if n, err := tries(&pgconn.PgError{Code: state}); n != 1 || err == nil {
			t.Errorf("%s: %d tries, %v", state, n, err)
		}
	}
	for _, own := range []error{ledger.ErrFenced, ledger.ErrBusy, context.Canceled} {
		if n, err := tries(own); n != 1 || !errors.Is(err, own) {
			t.Errorf("%v: %d tries, %v", own, n, err)
		}
	}
	d.patience = 0
	if n, err := tries(&pgconn.PgError{Code: "57P03"}); n != 1 || drover.KindOf(err) != drover.Unreachable && drover.KindOf(err) != drover.Transient {
		t.Errorf("before the ledger is open: %d tries, %v", n, err)
	}
}
