package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// stray returns a line for each staging table of a run that never ended, and may never end because its ledger is lost: of runs into the target,
// and of those of which not even the gate is left. A run of this ledger that is unfinished is not looked for.
func (s *tableSink) stray(ctx context.Context, conn *pgx.Conn, target tableName) ([]string, error) {
	const doing = "look for the staging tables of runs that never ended"
	o, err := s.lookUpOwn(ctx, conn)
	if err != nil {
		return nil, err
	}
	// The columns of a gate, or those of none.
	gates := "(SELECT NULL::text AS run_uid, NULL::text AS job, NULL::text AS run_id, NULL::text AS target, NULL::text AS state, NULL::timestamptz AS opened_at WHERE false)"
	if o.gate && o.mayUse {
		gates = s.gateTable()
	}
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname, pg_size_pretty(pg_table_size(c.oid)), coalesce(g.job, ''), coalesce(g.run_id, ''), coalesce(g.opened_at, now())
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN `+gates+` g ON g.run_uid = substr(c.relname, 8, 32)
		WHERE n.nspname IN ($1, $2) AND c.relkind = 'r' AND c.relname ~ '^drover_[0-9a-f]{32}_[0-9]+$' AND (g.run_uid IS NULL OR g.state = 'open' AND g.target = $3)
		ORDER BY c.relname LIMIT 20`, target.Schema, s.schema, target.sql())
	if err != nil {
		return nil, wrap(err, doing)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var table tableName
		var size, job, run string
		var at time.Time
		if err := row.Scan(&table.Schema, &table.Name, &size, &job, &run, &at); err != nil {
			return "", err
		}
		whose := "of a run that nothing is known of"
		if run != "" {
			whose = fmt.Sprintf("of run %s of job %s, which began at %s and has not ended", run, job, at.UTC().Format("2006-01-02 15:04"))
		}
		return fmt.Sprintf("%s (%s) is a staging table %s; if its ledger is lost: DROP TABLE %s", table, size, whose, table.sql()), nil
	})
	return lines, wrap(err, doing)
}
