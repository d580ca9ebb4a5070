package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/droverdata/drover/internal/ledger"
)

// AcquirePublish implements ledger.Ledger.
func (s *Store) AcquirePublish(ctx context.Context, uid, driver string, lease time.Duration) error {
	driver = clean(driver)
	err := s.db.Write(ctx, true, func(tx Tx) error {
		var state ledger.RunState
		var holder *string
		var over bool
		ok, err := first(tx, []any{&state, &holder, &over}, `SELECT state, holder, coalesce(lease_until <= now(), true)
			FROM @table(run) WHERE uid = $1 @lock`, uid)
		switch {
		case err != nil:
			return err
		case !ok:
			return ledger.ErrNotFound
		case state != ledger.Open && state != ledger.Publishing:
			return ledger.ErrFenced
		case holder != nil && *holder != driver && !over:
			return ledger.ErrBusy
		}
		var one int64
		left, err := first(tx, []any{&one}, `SELECT 1 FROM @table(chunk)
			WHERE run_id = $1 AND state NOT IN ('finished', 'split') LIMIT 1`, uid)
		if err != nil {
			return err
		}
		if left {
			return ledger.ErrFenced
		}
		_, err = tx.Exec(`UPDATE @table(run) SET state = 'publishing', holder = $2, lease_until = @after($3),
			lease_us = CAST($3 AS bigint) WHERE uid = $1`, uid, driver, lease.Microseconds())
		return err
	})
	return wrap(err, "acquire the publish lease of run %s", uid)
}

// Close implements ledger.Ledger.
func (s *Store) Close(ctx context.Context, uid string, state ledger.RunState, message string) error {
	if !state.Over() {
		return fmt.Errorf("close run %s as %q: not a final state", uid, state)
	}
	err := s.db.Write(ctx, true, func(tx Tx) error {
		now, err := stateOf(tx, uid, " @lock")
		if err != nil {
			return err
		}
		if now == ledger.Finished || now == ledger.Abandoned || now == ledger.Failed && state != ledger.Abandoned {
			return nil
		}
		if _, err := tx.Exec(`UPDATE @table(run) SET state = $2, message = $3, finished_at = now(), holder = NULL, lease_until = NULL
			WHERE uid = $1`, uid, string(state), clean(message)); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE @table(chunk) SET state = 'pending', lease_until = NULL
			WHERE run_id = $1 AND state = 'running'`, uid); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM @table(machine) WHERE run_id = $1`, uid); err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE @table(attempt) SET ended_at = now(), outcome = 'released'
			WHERE run_id = $1 AND ended_at IS NULL`, uid)
		return err
	})
	return wrap(err, "close run %s", uid)
}

// Evict implements ledger.Ledger.
func (s *Store) Evict(ctx context.Context, uid string, dead func(holder string) bool) (int64, error) {
	var evicted int64
	err := s.db.Write(ctx, false, func(tx Tx) error {
		evicted = 0
		// Both conditions on the state: the index serves the first, and holds more than the second asks for.
		var holders []string
		err := tx.Query(func(r Row) error {
			var h string
			err := r.Scan(&h)
			holders = append(holders, h)
			return err
		}, `SELECT worker FROM @table(chunk) @indexed(chunk_claimable)
				WHERE run_id = $1 AND state IN ('pending', 'running') AND state = 'running' AND lease_until > now()
			UNION SELECT holder FROM @table(run) WHERE uid = $1 AND holder IS NOT NULL AND lease_until > now()`, uid)
		if err != nil {
			return err
		}
		for _, h := range holders {
			if !dead(h) {
				continue
			}
			for _, statement := range []string{
				`UPDATE @table(chunk) SET lease_until = now() WHERE run_id = $1 AND state = 'running' AND worker = $2 AND lease_until > now()`,
				`UPDATE @table(run) SET lease_until = now() WHERE uid = $1 AND holder = $2 AND lease_until > now()`,
			} {
				n, err := tx.Exec(statement, uid, h)
				if err != nil {
					return err
				}
				evicted += n
			}
		}
		return nil
	})
	return evicted, wrap(err, "evict dead drivers from run %s", uid)
}

// Reopen implements ledger.Ledger.
func (s *Store) Reopen(ctx context.Context, uid string, stage int, chunkIDs []int64, reason string) error {
	failure, err := errorColumns(lostRows(reason))
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, true, func(tx Tx) error {
		state, err := stateOf(tx, uid, " @lock")
		if err != nil {
			return err
		}
		if state != ledger.Open && state != ledger.Publishing {
			return ledger.ErrFenced
		}
		if state == ledger.Publishing {
			var one int64
			later, err := first(tx, []any{&one}, `SELECT 1 FROM @table(chunk) WHERE run_id = $1 AND stage > $2 LIMIT 1`, uid, stage)
			if err != nil {
				return err
			}
			if later {
				return ledger.ErrFenced
			}
		}
		n, err := tx.Exec(`UPDATE @table(chunk) SET state = 'pending', receipt = NULL, rows_in = 0, rows_out = 0, bytes_in = 0,
				bytes_out = 0, rows_scanned = NULL, rows_rejected = 0, peak_memory_bytes = 0, finished_at = NULL, error = $4, error_detail = $5
			WHERE run_id = $1 AND stage = $2 AND id @any($3) AND state = 'finished'`,
			uid, stage, chunkIDs, failure.text, failure.detail)
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.Exec(`UPDATE @table(run) SET state = 'open', holder = NULL, lease_until = NULL WHERE uid = $1`, uid)
		return err
	})
	return wrap(err, "reopen %d chunks of run %s", len(chunkIDs), uid)
}

// RetryErrors implements ledger.Ledger.
func (s *Store) RetryErrors(ctx context.Context, uid string, keys []string) (int64, error) {
	const update = `UPDATE @table(chunk) SET state = 'pending', attempts = 0, losses = 0, pack_limit = NULL, not_before = NULL,
			finished_at = NULL WHERE run_id = $1 AND state = 'error'`
	var n int64
	err := s.db.Write(ctx, true, func(tx Tx) error {
		state, err := stateOf(tx, uid, " @lock")
		if err != nil {
			return err
		}
		if state != ledger.Open && state != ledger.Failed {
			return ledger.ErrFenced
		}
		if len(keys) == 0 {
			n, err = tx.Exec(update, uid)
		} else {
			n, err = tx.Exec(update+` AND key @any($2)`, uid, cleanAll(keys))
		}
		// Keys that fit nothing leave a failed run as it is.
		if err != nil || state == ledger.Open || n == 0 && len(keys) > 0 {
			return err
		}
		_, err = tx.Exec(`UPDATE @table(run) SET state = 'open', finished_at = NULL WHERE uid = $1`, uid)
		return err
	})
	return n, wrap(err, "retry the failed chunks of run %s", uid)
}
