package postgres

import (
	"context"

	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

// build gives the staging table all that is built better once the rows are in: indexes, constraints, statistics. One transaction: it
// happens wholly or not at all, and before the target is locked.
func (s *tableSink) build(ctx context.Context, conn *pgx.Conn, run connector.Run) error {
	return s.transaction(ctx, conn, "build the indexes and constraints of "+s.spec.Table, settings{lockTimeout: lockTimeout, idle: driverIdle}, func(tx pgx.Tx) error {
		g, err := s.lockGate(ctx, tx, run.UID, "FOR UPDATE")
		if err != nil || g == nil || !g.open || g.state.Built {
			return err
		}
		st := g.state
		if err := s.unchanged(ctx, conn, st); err != nil {
			return err
		}
		if st.Method == swap {
			if err := buildParts(ctx, tx, run, st); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, "ANALYZE "+st.Into.sql()); err != nil {
			return err
		}
		st.Built = true
		return s.setGateState(ctx, tx, run.UID, st)
	})
}

func buildParts(ctx context.Context, tx pgx.Tx, run connector.Run, st sinkState) error {
	all, err := parts(ctx, tx.Conn(), run, st)
	if err != nil {
		return err
	}
	more, err := tableSettings(ctx, tx.Conn(), st)
	if err != nil {
		return err
	}
	return withCatalogPath(ctx, tx.Conn(), func() error {
		for _, p := range all {
			for _, sql := range p.build {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return wrap(err, "build "+p.name+" of the new "+st.Target.String())
				}
			}
		}
		return execAll(ctx, tx, more)
	})
}

func execAll(ctx context.Context, tx pgx.Tx, statements []string) error {
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// tableSettings returns the statements for what CREATE TABLE .. LIKE leaves out: statistics targets, options of columns, replica identity.
func tableSettings(ctx context.Context, conn *pgx.Conn, st sinkState) ([]string, error) {
	return qualified(ctx, conn, `
		SELECT format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', $2::text, attname, attstattarget) FROM pg_attribute
		WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attstattarget >= 0
		UNION ALL
		SELECT format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', $2, attname, array_to_string(attoptions, ', ')) FROM pg_attribute
		WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attoptions IS NOT NULL
		UNION ALL
		SELECT format('ALTER TABLE %s REPLICA IDENTITY %s', $2, CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END) FROM pg_class
		WHERE oid = $1 AND relreplident IN ('f', 'n')`, st.OID, st.Into.sql())
}
