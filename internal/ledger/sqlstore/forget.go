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
			`DELETE FROM @table(attempt) WHERE run_id = $1`, `DELETE FROM @table(chunk) WHERE run_id = $1`, `DELETE FROM @table(machine) WHERE run_id = $1`,
			`INSERT INTO @table(pruned) (uid, id, job, fingerprint, state, engine, version, message, started_at, finished_at, pruned_at)
				SELECT uid, id, job, fingerprint, state, engine, version, message, started_at, finished_at, now() FROM @table(run)
				WHERE uid = $1 AND named AND doc IS NOT NULL`,
			`DELETE FROM @table(run) WHERE uid = $1`,
		} {
			if _, err := tx.Exec(statement, uid); err != nil {
				return err
			}
		}
		return nil
	})
	return wrap(err, "remove run %s", uid)
}

// findPruned finds what Forget left of a run, by its job and name, or by either its name or its uid when job is empty; the one that was pruned last of those that fit.
func findPruned(tx Tx, job, id string) (run ledger.Run, found bool, err error) {
	var started, finished, pruned *int64
	found, err = first(tx, []any{
		&run.UID, &run.ID, &run.Job, &run.Fingerprint, &run.State, &run.Engine, &run.Version, &run.Message, &started, &finished, &pruned,
	}, `SELECT uid, id, job, fingerprint, state, engine, version, coalesce(message, ''), @micros(started_at), @micros(finished_at), @micros(pruned_at)
		FROM @table(pruned) WHERE ($1 = '' OR job = $1) AND (id = $2 OR $1 = '' AND uid = $2) ORDER BY pruned_at DESC LIMIT 1`, job, id)
	run.Named, run.StartedAt, run.FinishedAt, run.PrunedAt = found, timeOf(started), timeOf(finished), timeOf(pruned)
	return run, found, err
}
