package sqlstore

import (
	"context"
	"time"

	"github.com/droverdata/drover/internal/ledger"
)

// Beat implements ledger.Ledger. The run's row is locked, so that a beat that was long on its way cannot land just behind the run's end.
func (s *Store) Beat(ctx context.Context, uid, driver string, workers int) error {
	err := s.db.Write(ctx, false, func(tx Tx) error {
		n, err := tx.Exec(`INSERT INTO @table(machine) AS m (run_id, driver, workers, joined_at, seen_at)
			SELECT uid, CAST($2 AS text), CAST($3 AS integer), now(), now() FROM @table(run) WHERE uid = $1 AND state IN ('planned', 'open', 'publishing') @lock
			ON CONFLICT (run_id, driver) DO UPDATE SET workers = excluded.workers, seen_at = excluded.seen_at`, uid, clean(driver), workers)
		if err == nil && n == 0 {
			err = ledger.ErrFenced
		}
		return err
	})
	return wrap(err, "say that run %s is worked on", uid)
}

// Leave implements ledger.Ledger.
func (s *Store) Leave(ctx context.Context, uid, driver string) error {
	err := s.db.Write(ctx, false, func(tx Tx) error {
		_, err := tx.Exec(`DELETE FROM @table(machine) WHERE run_id = $1 AND driver = $2`, uid, clean(driver))
		return err
	})
	return wrap(err, "leave run %s", uid)
}

// Machines implements ledger.Ledger.
func (s *Store) Machines(ctx context.Context, uid string) ([]ledger.Machine, error) {
	var machines []ledger.Machine
	err := s.db.Read(ctx, func(tx Tx) error {
		machines = nil
		return tx.Query(func(r Row) error {
			var m ledger.Machine
			var joined, seen, at int64
			err := r.Scan(&m.Driver, &m.Workers, &joined, &seen, &at)
			m.JoinedAt, m.SeenAt = timeOf(&joined), timeOf(&seen)
			m.Silent = max(0, time.Duration(at-seen)*time.Microsecond)
			machines = append(machines, m)
			return err
		}, `SELECT driver, workers, @micros(joined_at), @micros(seen_at), @micros(looked_at)
			FROM (SELECT driver, workers, joined_at, seen_at, now() AS looked_at FROM @table(machine) WHERE run_id = $1) AS m ORDER BY joined_at, driver`, uid)
	})
	return machines, wrap(err, "list the machines of run %s", uid)
}
