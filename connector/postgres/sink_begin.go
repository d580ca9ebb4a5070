package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/fault"
	"github.com/jackc/pgx/v5"
)

// Begin implements connector.Sink: drover's tables, the run's gate, and the table that attempts write, in one transaction. Drivers
// that begin at the same time wait for each other.
func (s *tableSink) Begin(ctx context.Context, run connector.Run, output drover.Schema) (json.RawMessage, error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(conn)
	held, err := s.heldByLedger(ctx, conn, run)
	if err != nil {
		return nil, err
	}
	var st sinkState
	for try := 1; ; try++ {
		st, err = s.begin(ctx, conn, run, output, held)
		// A ledger in the same database creates the schema too, and does not know this lock.
		if try == 3 || !hasState(err, "42P06", "42P07", "23505") {
			break
		}
	}
	if e := (*drover.Error)(nil); errors.As(err, &e) && hasState(err, "55P03") {
		e.Hint = "end the session that holds the lock, perhaps another drover that begins the same run (pg_stat_activity, pg_locks), then run the same command again"
	}
	if err != nil {
		return nil, err
	}
	fault.Point(ctx)
	return json.Marshal(st)
}

// begin is the transaction of Begin.
func (s *tableSink) begin(ctx context.Context, conn *pgx.Conn, run connector.Run, output drover.Schema, held string) (st sinkState, err error) {
	err = s.transaction(ctx, conn, "begin run "+run.ID+" in "+s.spec.Table, settings{lockTimeout: lockTimeout, idle: driverIdle}, func(tx pgx.Tx) error {
		if err := s.ensureOwn(ctx, tx); err != nil {
			return err
		}
		g, err := s.lockGate(ctx, tx, run.UID, "FOR UPDATE")
		if err != nil {
			return err
		}
		if g != nil {
			st = g.state
			return s.resume(ctx, tx, run, g)
		}
		if run.State != nil {
			return refuse("%s has lost every trace of run %s: its gate is gone from schema %s", s.spec.URL, run.ID, s.schema).
				WithHint("check what the table holds, then start afresh with --new")
		}
		st, err = s.start(ctx, tx, run, output, held)
		return err
	})
	return st, err
}

// start opens the gate of a new run.
func (s *tableSink) start(ctx context.Context, tx pgx.Tx, run connector.Run, output drover.Schema, held string) (sinkState, error) {
	d, err := s.design(ctx, tx.Conn(), run, output)
	if err != nil {
		return sinkState{}, err
	}
	st := d.state
	st.Held = held
	if err := s.refuseRows(ctx, tx.Conn(), st); err != nil {
		return st, err
	}
	if err := prepare(ctx, tx, st); err != nil {
		return st, err
	}
	if st.Created {
		if st.OID, err = tableOID(ctx, tx.Conn(), st.Target); err != nil {
			return st, err
		}
	}
	_, err = tx.Exec(ctx, "INSERT INTO "+s.gateTable()+" (run_uid, job, run_id, target, mode) VALUES ($1, $2, $3, $4, $5)",
		run.UID, run.Job, run.ID, st.Target.sql(), string(st.Mode))
	if err != nil {
		return st, err
	}
	return st, s.setGateState(ctx, tx, run.UID, st)
}

// prepare creates the table that attempts write.
func prepare(ctx context.Context, tx pgx.Tx, st sinkState) error {
	if len(st.Prepare) == 0 {
		return nil
	}
	// A role's or a database's defaults must not decide where the table lives.
	if _, err := tx.Exec(ctx, `SELECT set_config('default_tablespace', '', true)`); err != nil {
		return err
	}
	for _, sql := range st.Prepare {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return wrap(err, "create "+st.Into.String())
		}
	}
	return nil
}

// resume checks that a run that began earlier finds the target that it left.
func (s *tableSink) resume(ctx context.Context, tx pgx.Tx, run connector.Run, g *gate) error {
	switch {
	case !g.open && g.outcome == published:
		return nil
	case !g.open:
		return s.givenUp(run)
	}
	if err := s.unchanged(ctx, tx.Conn(), g.state); err != nil {
		return err
	}
	return s.restage(ctx, tx, run, g)
}

// givenUp says that a run's gate is closed. A run that was given up before it began has left no state, so the target is the job's.
func (s *tableSink) givenUp(run connector.Run) error {
	return drover.Errorf(drover.Fenced, "run %s was given up, and %s is closed to it", run.ID, s.spec.Table).
		WithHint("run the same command again: it joins the run that took its place, or starts one")
}

// unchanged refuses a target that is not the table that the run began with, or not as it was.
func (s *tableSink) unchanged(ctx context.Context, conn *pgx.Conn, st sinkState) error {
	oid, err := tableOID(ctx, conn, st.Target)
	if err != nil {
		return err
	}
	const hint = "start afresh with --new"
	switch {
	case oid == st.OID:
	case st.OID == 0:
		return refuse("%s did not exist when the run began, and does now", st.Target).WithHint("remove it and run the same command again, or " + hint)
	case oid == 0:
		return refuse("%s has been dropped since the run began", st.Target).WithHint(hint)
	default:
		return refuse("%s has been dropped and made again since the run began", st.Target).WithHint(hint)
	}
	if st.Definition == nil {
		return nil
	}
	now, err := definition(ctx, conn, st.OID)
	if err != nil {
		return err
	}
	if what := firstDifference(st.Definition, now); what != "" {
		return refuse("the definition of %s has changed since the run began: %s", st.Target, what).WithHint("undo the change and run the same command again, or " + hint)
	}
	return nil
}

// firstDifference names a line that only one of two definitions has.
func firstDifference(before, now []string) string {
	for _, line := range now {
		if !slices.Contains(before, line) {
			return fmt.Sprintf("new: %s", line)
		}
	}
	for _, line := range before {
		if !slices.Contains(now, line) {
			return fmt.Sprintf("gone: %s", line)
		}
	}
	return ""
}

// tableOID returns 0 for a table that does not exist.
func tableOID(ctx context.Context, conn *pgx.Conn, name tableName) (uint32, error) {
	var oid int64
	err := conn.QueryRow(ctx, `SELECT coalesce(max(c.oid::int8), 0) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, name.Schema, name.Name).Scan(&oid)
	return uint32(oid), wrap(err, "look up "+name.String())
}
