package postgres

import (
	"context"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/pgident"
	"github.com/jackc/pgx/v5"
)

// heldByLedger returns the statement by which attempts check their token in the ledger, where the ledger is in the target's database and this
// role may use its tables; else "".
func (s *tableSink) heldByLedger(ctx context.Context, conn *pgx.Conn, run connector.Run) (string, error) {
	f := run.Fence
	if f == nil {
		return "", nil
	}
	database, err := pgident.Database(ctx, conn)
	if err != nil {
		return "", wrap(err, "look whether the ledger is in the target's database")
	}
	if database != f.Database {
		return "", nil
	}
	const doing = "look for the run in the ledger's tables"
	// The uid is random: a copy of the ledger's database that shares its identifiers does not have it.
	var known, held int64
	err = conn.QueryRow(ctx, f.Known, run.UID).Scan(&known)
	if err == nil && known > 0 {
		err = conn.QueryRow(ctx, f.Held, run.UID, run.Stage, []int64{}, int64(0)).Scan(&held)
	}
	if hasState(err, "42501") {
		s.env.Warn("the ledger is in the target's database, but %s's role may not lock its rows: late attempts are kept out by receipts alone", s.spec.URL)
		return "", nil
	}
	if err != nil || known == 0 {
		return "", wrap(err, doing)
	}
	return f.Held, nil
}

// passLedger ends an attempt whose chunks are another's by now, and keeps them from being claimed until the transaction ends. Receipts and gate
// keep late attempts out too; this holds even where someone has deleted those.
func passLedger(ctx context.Context, tx pgx.Tx, attempt connector.Attempt, st sinkState, chunks []connector.Chunk) error {
	if st.Held == "" {
		return nil
	}
	ids := make([]int64, len(chunks))
	for i, c := range chunks {
		ids[i] = c.ID
	}
	var held int
	if err := tx.QueryRow(ctx, st.Held, attempt.Run.UID, attempt.Run.Stage, ids, attempt.Token).Scan(&held); err != nil {
		return err
	}
	if held != len(chunks) {
		return drover.Errorf(drover.Fenced, "the ledger has given the chunks of attempt %d of run %s to another one; nothing was written to %s",
			attempt.Token, attempt.Run.ID, st.Target)
	}
	return nil
}
