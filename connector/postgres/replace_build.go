package postgres

import (
	"context"
	"fmt"

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
		if err := analyzeNew(ctx, tx, st.Into); err != nil {
			return err
		}
		st.Built = true
		return s.setGateState(ctx, tx, run.UID, st)
	})
}

// analyzeSQL returns how a new table is analyzed. ANALYZE of a list of columns leaves the count of changed rows as it is (since PostgreSQL 9.6), so
// that autovacuum follows.
const analyzeSQL = `
SELECT CASE WHEN current_setting('autovacuum')::bool AND current_setting('track_counts')::bool AND c.relkind = 'r'
		AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions) WHERE option_name = 'autovacuum_enabled' AND NOT option_value::bool)
		AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indexprs IS NOT NULL)
	THEN (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
	END
FROM pg_class c WHERE c.oid = to_regclass($1)`

// quickTarget is the statistics target of a first sample, a tenth of PostgreSQL's own.
const quickTarget = 10

// analyzeNew tells the planner about the rows of a table that it knows nothing of yet. Nobody else can use the cores meanwhile: the rows wait to be
// published. So where autovacuum is going to take the whole sample, as it does after every load, a small one is enough until then.
func analyzeNew(ctx context.Context, tx pgx.Tx, table tableName) error {
	var columns *string
	if err := tx.QueryRow(ctx, analyzeSQL, table.sql()).Scan(&columns); err != nil {
		return fmt.Errorf("look at the columns of %s: %w", table, err)
	}
	if columns == nil {
		_, err := tx.Exec(ctx, "ANALYZE "+table.sql())
		return err
	}
	_, err := tx.Exec(ctx, `SELECT set_config('default_statistics_target', least($1, current_setting('default_statistics_target')::int)::text, true)`, quickTarget)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "ANALYZE "+table.sql()+" ("+*columns+")")
	return err
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
