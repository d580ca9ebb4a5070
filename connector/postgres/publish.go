package postgres

import (
	"context"
	"errors"
	"iter"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/fault"
	"github.com/jackc/pgx/v5"
)

// Publish implements connector.Sink. Everything that readers can see happens in the transaction that closes the gate, which is the publish
// receipt: whoever publishes again, after a crash anywhere, finds it closed or does the same again.
func (s *tableSink) Publish(ctx context.Context, run connector.Run, _ drover.Schema, _ iter.Seq2[connector.Receipt, error]) (connector.Published, error) {
	var none connector.Published
	st, err := decodeSinkState(run)
	if err != nil {
		return none, err
	}
	return none, unpublished(s.publishRun(ctx, run, st), st)
}

// unpublished adds to an error of publish what it means for the target, and what to do. A job that got this far is not invalid, whatever
// the SQLSTATE.
func unpublished(err error, st sinkState) error {
	var e *drover.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Kind == drover.Invalid {
		e.Kind = drover.Refused
	}
	if e.Kind != drover.Data || !st.staged() {
		return err
	}
	_ = nameTarget(err, st)
	stand := "nothing was published"
	if st.OID != 0 {
		stand += ", and " + st.Target.String() + " has its old rows"
	}
	e.Message += "; " + stand
	if e.Hint == "" {
		e.Hint = "fix the steps or the rows of the source, then start afresh with --new"
	}
	return err
}

func (s *tableSink) publishRun(ctx context.Context, run connector.Run, st sinkState) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.release(conn)
	if st.staged() {
		if err := s.build(ctx, conn, run); err != nil {
			return err
		}
		fault.Point(ctx)
	}
	// Every chunk has its receipt, so an attempt that still runs is a late one.
	s.endAttempts(ctx, run)
	done := false
	err = s.retryLocks(ctx, "publish "+st.Target.String(), func() error {
		return s.transaction(ctx, conn, "publish "+st.Target.String(), settings{lockTimeout: publishTimeout, idle: driverIdle}, func(tx pgx.Tx) error {
			var err error
			done, err = s.publish(ctx, tx, run)
			return err
		})
	})
	if err != nil {
		return err
	}
	fault.Point(ctx)
	if done && st.Method == refill {
		s.analyze(ctx, conn, st)
	}
	return nil
}

// publish is the transaction of Publish. It reports whether there was something to do.
func (s *tableSink) publish(ctx context.Context, tx pgx.Tx, run connector.Run) (bool, error) {
	g, err := s.lockGate(ctx, tx, run.UID, "FOR UPDATE")
	switch {
	case err != nil:
		return false, err
	case g == nil:
		return false, refuse("%s has lost every trace of run %s: its gate is gone from schema %s", s.spec.URL, run.ID, s.schema)
	case !g.open && g.outcome == published:
		return false, nil
	case !g.open:
		return false, s.givenUp(run)
	}
	st := g.state
	switch st.Method {
	case swap:
		err = s.swapTables(ctx, tx, run, st)
	case refill:
		err = s.refillTable(ctx, tx, st)
	case rename:
		if err = s.unchanged(ctx, tx.Conn(), st); err == nil {
			err = execAll(ctx, tx, []string{"ALTER TABLE " + st.Into.sql() + " RENAME TO " + quote(st.Target.Name)})
		}
	default:
		err = s.unchanged(ctx, tx.Conn(), st)
	}
	if err != nil {
		return false, err
	}
	return true, s.closeGate(ctx, tx, run.UID, published)
}

// analyze tells the planner about the new rows, where this role may. The rows are published already.
func (s *tableSink) analyze(ctx context.Context, conn *pgx.Conn, st sinkState) {
	var owned bool
	err := conn.QueryRow(ctx, `SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = $1`, st.OID).Scan(&owned)
	if err == nil && owned {
		_, err = conn.Exec(ctx, "ANALYZE "+st.Target.sql())
	}
	if err != nil && ctx.Err() == nil {
		s.env.Warn("%s is published, but could not be analyzed: %v", st.Target, err)
	}
}
