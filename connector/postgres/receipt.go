package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

// The tables that a sink keeps in drover's schema of the target database.
//
// receipt has one row per committed chunk of a run, written in the transaction of the chunk's rows (exactness.md 6). token 0 marks a
// void receipt, which only takes the key (exactness.md 8).
//
// gate has one row per run. Every attempt locks it FOR SHARE just before its commit, so that closing it shuts out what still
// runs (exactness.md 9). outcome tells how the run ended; "published" is the publish receipt. sink is the run's sinkState.
const (
	createReceipt = `CREATE TABLE %s (
	run_uid text NOT NULL,
	stage integer NOT NULL,
	chunk_id bigint NOT NULL,
	token bigint NOT NULL,
	receipt jsonb NOT NULL,
	committed_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (run_uid, stage, chunk_id))`
	createGate = `CREATE TABLE %s (
	run_uid text PRIMARY KEY,
	job text NOT NULL,
	run_id text NOT NULL,
	target text NOT NULL,
	mode text NOT NULL,
	state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')),
	outcome text CHECK (outcome IN ('published', 'aborted')),
	sink jsonb,
	opened_at timestamptz NOT NULL DEFAULT now(),
	closed_at timestamptz)`
)

// The outcomes of a run, as its gate keeps them.
const (
	published = "published"
	aborted   = "aborted"
)

func (s *tableSink) receiptTable() string { return tableName{s.schema, "receipt"}.sql() }
func (s *tableSink) gateTable() string    { return tableName{s.schema, "gate"}.sql() }

// own is what of drover's own tables is there, and what this role may do.
type own struct {
	schema, receipt, gate            bool
	mayCreateSchema, mayCreateTables bool
	mayUse                           bool
}

func (s *tableSink) lookUpOwn(ctx context.Context, conn *pgx.Conn) (o own, err error) {
	err = conn.QueryRow(ctx, `
		SELECT n.oid IS NOT NULL, r.oid IS NOT NULL, g.oid IS NOT NULL,
			has_database_privilege(current_database(), 'CREATE'), coalesce(has_schema_privilege(n.oid, 'CREATE'), false),
			coalesce(has_schema_privilege(n.oid, 'USAGE')
				AND (r.oid IS NULL OR has_table_privilege(r.oid, 'SELECT') AND has_table_privilege(r.oid, 'INSERT') AND has_table_privilege(r.oid, 'DELETE'))
				AND (g.oid IS NULL OR has_table_privilege(g.oid, 'SELECT') AND has_table_privilege(g.oid, 'INSERT') AND has_table_privilege(g.oid, 'UPDATE')), true)
		FROM (SELECT $1::text AS name) p
		LEFT JOIN pg_namespace n ON n.nspname = p.name
		LEFT JOIN pg_class r ON r.relnamespace = n.oid AND r.relname = 'receipt'
		LEFT JOIN pg_class g ON g.relnamespace = n.oid AND g.relname = 'gate'`, s.schema).
		Scan(&o.schema, &o.receipt, &o.gate, &o.mayCreateSchema, &o.mayCreateTables, &o.mayUse)
	return o, wrap(err, "look for drover's tables in schema "+s.schema)
}

// usable refuses where drover's tables cannot be made or used.
func (o own) usable(schema string) error {
	const hint = "point drover to a schema that this role may use, by ?drover_schema=NAME in the URL, or grant it the rights"
	switch {
	case !o.schema && !o.mayCreateSchema:
		return refuse("schema %s, which holds drover's receipts, does not exist, and this role may not create it", schema).WithField("url").WithHint(hint)
	case o.schema && (!o.receipt || !o.gate) && !o.mayCreateTables:
		return refuse("this role may not create drover's receipt tables in schema %s", schema).WithField("url").WithHint(hint)
	case !o.mayUse:
		return refuse("this role may not read and write the tables receipt and gate in schema %s", schema).WithField("url").WithHint(hint)
	}
	return nil
}

// ensureOwn creates what is missing of drover's tables. It runs in a transaction that other drivers wait for.
func (s *tableSink) ensureOwn(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('drover schema ' || $1, 0))`, s.schema); err != nil {
		return err
	}
	o, err := s.lookUpOwn(ctx, tx.Conn())
	if err != nil {
		return err
	}
	if err := o.usable(s.schema); err != nil {
		return err
	}
	// Not IF NOT EXISTS: that wants the right to create even where nothing is created.
	for _, object := range []struct {
		there bool
		make  []string
	}{
		{o.schema, []string{"CREATE SCHEMA " + quote(s.schema)}},
		{o.receipt, append([]string{fmt.Sprintf(createReceipt, s.receiptTable())}, aboutReceipt(s.receiptTable())...)},
		{o.gate, append([]string{fmt.Sprintf(createGate, s.gateTable())}, aboutGate(s.gateTable())...)},
	} {
		if object.there {
			continue
		}
		if err := execAll(ctx, tx, object.make); err != nil {
			return err
		}
	}
	return nil
}

// gate is a run's row of the gate table.
type gate struct {
	open    bool
	outcome string
	state   sinkState
}

// lockGate reads the gate of a run and locks it: "FOR SHARE" for attempts, "FOR UPDATE" to change it. A run without one gives nil.
func (s *tableSink) lockGate(ctx context.Context, tx pgx.Tx, uid, lock string) (*gate, error) {
	var g gate
	var outcome *string
	var doc []byte
	err := tx.QueryRow(ctx, "SELECT state = 'open', outcome, sink FROM "+s.gateTable()+" WHERE run_uid = $1 "+lock, uid).Scan(&g.open, &outcome, &doc)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if outcome != nil {
		g.outcome = *outcome
	}
	if doc == nil {
		return &g, nil
	}
	if err := json.Unmarshal(doc, &g.state); err != nil {
		return nil, fmt.Errorf("decode the run's state in the target: %w", err)
	}
	return &g, nil
}

// closeGate shuts a run out of the target.
func (s *tableSink) closeGate(ctx context.Context, tx pgx.Tx, uid, outcome string) error {
	_, err := tx.Exec(ctx, "UPDATE "+s.gateTable()+" SET state = 'closed', outcome = $2, closed_at = clock_timestamp() WHERE run_uid = $1", uid, outcome)
	return err
}

// setGateState stores a run's state in its gate.
func (s *tableSink) setGateState(ctx context.Context, tx pgx.Tx, uid string, st sinkState) error {
	doc, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encode the run's state: %w", err)
	}
	_, err = tx.Exec(ctx, "UPDATE "+s.gateTable()+" SET sink = $2::jsonb WHERE run_uid = $1", uid, string(doc))
	return err
}

// readReceipts returns the receipts of chunks that are committed. A void one means that the chunk was split: the attempt is late.
func (s *tableSink) readReceipts(ctx context.Context, conn *pgx.Conn, run connector.Run, ids []int64) ([]connector.Receipt, error) {
	doing := "read the receipts of run " + run.ID
	rows, err := conn.Query(ctx, "SELECT token, receipt FROM "+s.receiptTable()+
		" WHERE run_uid = $1 AND stage = $2 AND chunk_id = ANY($3::int8[]) ORDER BY chunk_id", run.UID, run.Stage, ids)
	if err != nil {
		return nil, wrap(err, doing)
	}
	receipts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r connector.Receipt, err error) {
		var doc []byte
		var token int64
		if err := row.Scan(&token, &doc); err != nil {
			return r, err
		}
		if token == 0 {
			return r, &drover.Error{Kind: drover.Fenced, Code: connector.Voided, Message: "a chunk of the attempt was split meanwhile"}
		}
		return r, json.Unmarshal(doc, &r)
	})
	return receipts, wrap(err, doing)
}

// insertReceipts writes receipts in the transaction of their rows. A key that is taken is an error of kind Transient: the next
// attempt finds the receipt, or learns that the chunk was split.
func (s *tableSink) insertReceipts(ctx context.Context, tx pgx.Tx, run connector.Run, receipts []connector.Receipt) error {
	doc, err := json.Marshal(receipts)
	if err != nil {
		return fmt.Errorf("encode receipts: %w", err)
	}
	_, err = tx.Exec(ctx, "INSERT INTO "+s.receiptTable()+` (run_uid, stage, chunk_id, token, receipt)
		SELECT $1, $2, (r->>'chunk_id')::int8, (r->>'token')::int8, r FROM jsonb_array_elements($3::jsonb) r ORDER BY 3`, run.UID, run.Stage, string(doc))
	if hasState(err, "23505") {
		return &drover.Error{Kind: drover.Transient, Code: "23505", Message: "another attempt has committed a chunk of this task", Cause: err}
	}
	return err
}

// without returns the chunks that have no receipt.
func without(chunks []connector.Chunk, receipts []connector.Receipt) []connector.Chunk {
	have := map[int64]bool{}
	for _, r := range receipts {
		have[r.ChunkID] = true
	}
	return slices.DeleteFunc(slices.Clone(chunks), func(c connector.Chunk) bool { return have[c.ID] })
}
