package sqlstore

import (
	"context"
	"errors"

	"github.com/droverdata/drover/internal/ledger"
)

// Retire implements ledger.Ledger.
func (s *Store) Retire(ctx context.Context, uid, message string) error {
	err := s.db.Write(ctx, true, func(tx Tx) error {
		state, err := stateOf(tx, uid, " @lock")
		switch {
		case err != nil || state == ledger.Abandoned:
			return err
		case state != ledger.Failed:
			return ledger.ErrFenced
		}
		_, err = tx.Exec(`UPDATE @table(run) SET state = 'abandoned', message = $2 WHERE uid = $1`, uid, clean(message))
		return err
	})
	return wrap(err, "give up run %s", uid)
}

// Forget implements ledger.Ledger.
func (s *Store) Forget(ctx context.Context, uid string) error {
	err := s.db.Write(ctx, true, func(tx Tx) error {
		state, err := stateOf(tx, uid, " @lock")
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			return nil
		case err != nil:
			return err
		case state != ledger.Finished && state != ledger.Abandoned:
			return ledger.ErrFenced
		}
		for _, statement := range []string{
			`DELETE FROM @table(attempt) WHERE run_id = $1`, `DELETE FROM @table(chunk) WHERE run_id = $1`, `DELETE FROM @table(run) WHERE uid = $1`,
		} {
			if _, err := tx.Exec(statement, uid); err != nil {
				return err
			}
		}
		return nil
	})
	return wrap(err, "remove run %s", uid)
}
