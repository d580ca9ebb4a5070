package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// replicates refuses a table whose publications forbid a DELETE or an UPDATE of it: their row filters and column lists must be covered by the
// replica identity. Postgres itself is asked, by planning the statement. It needs an open transaction.
func replicates(ctx context.Context, conn *pgx.Conn, t *target, statement string) error {
	// Named first: the refusal ends the transaction. Columns of pg_publication_rel that a server lacks are NULL this way.
	var names *string
	err := conn.QueryRow(ctx, `
		SELECT string_agg(DISTINCT quote_ident(p.pubname), ', ') FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
		WHERE (p.pubdelete OR p.pubupdate) AND coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') IS NOT NULL
			AND (r.prrelid = $1 OR r.prrelid IN (SELECT relid FROM pg_partition_ancestors($1) UNION SELECT relid FROM pg_partition_tree($1)))`, t.OID).Scan(&names)
	if err != nil {
		return wrap(err, "look up publications")
	}
	if names == nil {
		return nil
	}
	rows, err := conn.Query(ctx, "EXPLAIN "+statement)
	if err == nil {
		_, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if hasState(err, "42P10", "55000") {
		return refuse("publication %s filters the rows or columns of %s by what its replica identity does not cover: Postgres refuses every DELETE and UPDATE there",
			*names, t.Name).WithField("mode").WithHint("ALTER TABLE %s REPLICA IDENTITY FULL, or drop the filter", t.Name.sql())
	}
	return wrap(err, fmt.Sprintf("plan a change of %s", t.Name))
}
