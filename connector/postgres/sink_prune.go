package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

// prunable are receipts that nobody will read again: those of the runs $1, and of runs of job $2 that were closed $3 microseconds ago or
// earlier. What is open is spared whatever a ledger says. The gates stay: they keep late attempts out (exactness.md 9).
const prunable = ` FROM %s r USING %s g WHERE g.run_uid = r.run_uid AND g.state = 'closed'
	AND (g.run_uid = ANY($1) OR g.job = $2 AND g.closed_at <= now() - $3::int8 * interval '1 microsecond')`

// Prune implements connector.Pruner.
func (s *tableSink) Prune(ctx context.Context, old connector.Old) (connector.Pruned, error) {
	out := connector.Pruned{Known: map[string]bool{}}
	conn, err := s.acquire(ctx)
	if err != nil {
		return out, err
	}
	defer s.release(conn)
	o, err := s.lookUpOwn(ctx, conn)
	if err != nil || !o.gate || !o.receipt {
		return out, err // no run ever began here
	}
	var uids []string
	for _, run := range slices.Concat(old.Finished, old.Abandoned) {
		uids = append(uids, run.UID)
	}
	open, err := s.known(ctx, conn, uids, out.Known)
	if err != nil {
		return out, err
	}
	var ended []string
	for _, run := range old.Abandoned {
		staged, isOpen := open[run.UID]
		if !isOpen {
			continue
		}
		ended = append(ended, run.UID)
		if staged {
			out.Tables++
		}
		if old.DryRun {
			continue
		}
		if _, err := s.Abort(ctx, run); err != nil {
			return out, err
		}
	}
	out.Receipts, err = s.pruneReceipts(ctx, conn, old, uids, ended)
	return out, err
}

// pruneReceipts removes receipts, or counts them. ended are runs whose gates are about to be closed.
func (s *tableSink) pruneReceipts(ctx context.Context, conn *pgx.Conn, old connector.Old, uids, ended []string) (n int64, err error) {
	const doing = "remove the receipts of old runs"
	if old.DryRun {
		err := conn.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FROM %s r JOIN %s g USING (run_uid) WHERE g.run_uid = ANY($4) OR g.state = 'closed'
			AND (g.run_uid = ANY($1) OR g.job = $2 AND g.closed_at <= now() - $3::int8 * interval '1 microsecond')`, s.receiptTable(), s.gateTable()),
			uids, old.Job, old.Age.Microseconds(), ended).Scan(&n)
		return n, wrap(err, doing)
	}
	err = s.transaction(ctx, conn, doing, settings{lockTimeout: lockTimeout, idle: driverIdle}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, fmt.Sprintf("DELETE"+prunable, s.receiptTable(), s.gateTable()), uids, old.Job, old.Age.Microseconds())
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// known adds the runs that have a gate here to seen, and returns those whose gate is open, with whether they have a staging table.
func (s *tableSink) known(ctx context.Context, conn *pgx.Conn, uids []string, seen map[string]bool) (map[string]bool, error) {
	rows, err := conn.Query(ctx, `SELECT g.run_uid, g.state = 'open', coalesce(g.sink->>'method' <> $2, false) AND EXISTS (
			SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = g.sink->'into'->>'schema' AND c.relname = g.sink->'into'->>'name')
		FROM `+s.gateTable()+` g WHERE g.run_uid = ANY($1)`, uids, string(direct))
	if err != nil {
		return nil, wrap(err, "look for the gates of old runs")
	}
	open := map[string]bool{}
	var uid string
	var isOpen, staged bool
	_, err = pgx.ForEachRow(rows, []any{&uid, &isOpen, &staged}, func() error {
		seen[uid] = true
		if isOpen {
			open[uid] = staged
		}
		return nil
	})
	return open, wrap(err, "look for the gates of old runs")
}
