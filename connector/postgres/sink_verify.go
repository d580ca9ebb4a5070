package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"iter"

	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

// Verify implements connector.Sink: it walks the ledger's receipts and the target's side by side, in the order of chunks.
func (s *tableSink) Verify(ctx context.Context, run connector.Run, receipts iter.Seq2[connector.Receipt, error]) ([]int64, error) {
	st, err := decodeSinkState(run)
	if err != nil {
		return nil, err
	}
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(conn)
	done := false
	err = s.transaction(ctx, conn, "look for what run "+run.ID+" wrote", settings{lockTimeout: lockTimeout, idle: driverIdle}, func(tx pgx.Tx) error {
		lock := "FOR SHARE"
		if st.staged() {
			lock = "FOR UPDATE"
		}
		g, err := s.lockGate(ctx, tx, run.UID, lock)
		if err != nil || g == nil {
			return err
		}
		done = !g.open && g.outcome == published
		if !g.open {
			return nil
		}
		return s.restage(ctx, tx, run, g)
	})
	// A published run was compared before, and its receipts may have been pruned since.
	if err != nil || done {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT chunk_id, token FROM "+s.receiptTable()+
		" WHERE run_uid = $1 AND stage = $2 AND token <> 0 ORDER BY chunk_id", run.UID, run.Stage)
	if err != nil {
		return nil, wrap(err, "read the receipts of run "+run.ID)
	}
	defer rows.Close()
	there := func() (id, token int64, ok bool, err error) {
		if !rows.Next() {
			return 0, 0, false, wrap(rows.Err(), "read the receipts of run "+run.ID)
		}
		err = rows.Scan(&id, &token)
		return id, token, err == nil, wrap(err, "read the receipts of run "+run.ID)
	}
	var gone []int64
	id, token, ok, err := there()
	if err != nil {
		return nil, err
	}
	for r, err := range receipts {
		if err != nil {
			return nil, err
		}
		for ok && id < r.ChunkID {
			if id, token, ok, err = there(); err != nil {
				return nil, err
			}
		}
		// Another token means another attempt's rows: the next attempt returns its receipt.
		if !ok || id != r.ChunkID || token != r.Token {
			gone = append(gone, r.ChunkID)
		}
	}
	return gone, nil
}

// restage creates the staging table of an open run again where it is gone, without the receipts of the rows that went with it.
func (s *tableSink) restage(ctx context.Context, tx pgx.Tx, run connector.Run, g *gate) error {
	if !g.state.staged() {
		return nil
	}
	oid, err := tableOID(ctx, tx.Conn(), g.state.Into)
	if err != nil || oid != 0 {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM "+s.receiptTable()+" WHERE run_uid = $1 AND stage = $2 AND token <> 0", run.UID, run.Stage); err != nil {
		return err
	}
	g.state.Built = false
	if err := s.setGateState(ctx, tx, run.UID, g.state); err != nil {
		return err
	}
	return prepare(ctx, tx, g.state)
}

// voidMark is the application_name of a transaction that takes a key.
const voidMark = "void"

// Void implements connector.Sink.
func (s *tableSink) Void(ctx context.Context, run connector.Run, chunkID int64) (*connector.Receipt, error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(conn)
	var found *connector.Receipt
	mark := runMark(run) + voidMark
	err = s.transaction(ctx, conn, "void a chunk of run "+run.ID, settings{lockTimeout: lockTimeout, application: mark, idle: driverIdle}, func(tx pgx.Tx) error {
		// Whoever holds the key in a transaction is an attempt that has failed already.
		const everyToken = 1<<63 - 1
		err := s.unblocked(ctx, run, mark, everyToken, func() error {
			_, err := tx.Exec(ctx, "INSERT INTO "+s.receiptTable()+` (run_uid, stage, chunk_id, token, receipt)
				VALUES ($1, $2, $3, 0, '{"void": true}') ON CONFLICT DO NOTHING`, run.UID, run.Stage, chunkID)
			return err
		})
		if err != nil {
			return err
		}
		var token int64
		var doc []byte
		if err := tx.QueryRow(ctx, "SELECT token, receipt FROM "+s.receiptTable()+" WHERE run_uid = $1 AND stage = $2 AND chunk_id = $3",
			run.UID, run.Stage, chunkID).Scan(&token, &doc); err != nil {
			return err
		}
		if token == 0 {
			return nil
		}
		found = &connector.Receipt{}
		return json.Unmarshal(doc, found)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Abort implements connector.Sink. A table that the run created goes too, as long as no chunk is committed and it is empty.
func (s *tableSink) Abort(ctx context.Context, run connector.Run) (committed int64, err error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer s.release(conn)
	o, err := s.lookUpOwn(ctx, conn)
	if err != nil || !o.gate || !o.receipt {
		return 0, err // no run ever began here
	}
	s.endAttempts(ctx, run)
	err = s.retryLocks(ctx, "give up run "+run.ID, func() error {
		return s.transaction(ctx, conn, "give up run "+run.ID, settings{lockTimeout: publishTimeout, idle: driverIdle}, func(tx pgx.Tx) error {
			committed, err = s.abort(ctx, tx, run)
			return err
		})
	})
	s.endAttempts(ctx, run)
	return committed, err
}

func (s *tableSink) abort(ctx context.Context, tx pgx.Tx, run connector.Run) (committed int64, err error) {
	// A driver that is still in Begin must find the run closed.
	if _, err := tx.Exec(ctx, "INSERT INTO "+s.gateTable()+` (run_uid, job, run_id, target, mode, state, outcome, closed_at)
		VALUES ($1, $2, $3, $4, $5, 'closed', 'aborted', now()) ON CONFLICT DO NOTHING`, run.UID, run.Job, run.ID, s.spec.Table, string(s.mode)); err != nil {
		return 0, err
	}
	g, err := s.lockGate(ctx, tx, run.UID, "FOR UPDATE")
	if err != nil {
		return 0, err
	}
	if g == nil {
		return 0, errors.New("the gate vanished")
	}
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+s.receiptTable()+" WHERE run_uid = $1 AND token <> 0", run.UID).Scan(&committed); err != nil {
		return 0, err
	}
	if g.outcome == published {
		return committed, nil
	}
	if g.open {
		if err := s.closeGate(ctx, tx, run.UID, aborted); err != nil {
			return 0, err
		}
	}
	if g.state.staged() {
		committed = 0
	}
	return committed, dropLeftovers(ctx, tx, g.state, committed)
}

// dropLeftovers removes what Begin created and nobody needs.
func dropLeftovers(ctx context.Context, tx pgx.Tx, st sinkState, committed int64) error {
	switch {
	case st.Method == "": // Begin never ran
		return nil
	case st.staged():
		_, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+st.Into.sql())
		return err
	case !st.Created || committed > 0:
		return nil
	}
	oid, err := tableOID(ctx, tx.Conn(), st.Target)
	if err != nil || oid != st.OID {
		return err // it is gone, or another one
	}
	var used bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+st.Target.sql()+") OR EXISTS (SELECT FROM pg_depend WHERE refobjid = $1 AND deptype = 'n')", st.OID).
		Scan(&used); err != nil || used {
		return err
	}
	_, err = tx.Exec(ctx, "DROP TABLE "+st.Target.sql())
	return err
}
