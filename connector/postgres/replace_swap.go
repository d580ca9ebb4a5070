package postgres

import (
	"context"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

// swapTables puts the staging table in the target's place, inside the caller's transaction.
func (s *tableSink) swapTables(ctx context.Context, tx pgx.Tx, run connector.Run, st sinkState) error {
	if _, err := tx.Exec(ctx, "LOCK TABLE "+st.Target.sql()+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		return err
	}
	if err := s.unchanged(ctx, tx.Conn(), st); err != nil {
		return err
	}
	all, err := parts(ctx, tx.Conn(), run, st)
	if err != nil {
		return err
	}
	before, after, err := inheritance(ctx, tx.Conn(), st)
	if err != nil {
		return err
	}
	if err := execAll(ctx, tx, before); err != nil {
		return err
	}
	// RESTRICT: what drover does not know to depend on the table stops the swap.
	if err := execAll(ctx, tx, []string{
		"DROP TABLE " + st.Target.sql() + " RESTRICT",
		"ALTER TABLE " + st.Into.sql() + " RENAME TO " + quote(st.Target.Name),
	}); err != nil {
		return err
	}
	for _, p := range all {
		if err := execAll(ctx, tx, p.rename); err != nil {
			return err
		}
	}
	return execAll(ctx, tx, after)
}

// inheritanceSQL returns, in order, what hands the old table's owner, grants, comments and sequences to the new one: first what must
// happen while both exist, then what can only happen once the old name is free. $1 is the old table's OID, $2 and $3 the quoted
// names of the new and of the old one.
const inheritanceSQL = `
WITH old AS (SELECT * FROM pg_class WHERE oid = $1),
new AS (SELECT * FROM pg_class WHERE oid = $2::text::regclass),
-- Sequences that a column owns: "a" for serial columns, "i" for identities, which have one each.
owned AS (
	SELECT d.deptype, d.objid AS seq, n.nspname, q.relname, q.relacl, a.attname,
		CASE WHEN d.deptype = 'i' THEN pg_get_serial_sequence($2::text, a.attname::text)::regclass END AS twin
	FROM old JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = old.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
	JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S' JOIN pg_namespace n ON n.oid = q.relnamespace
	JOIN pg_attribute a ON a.attrelid = old.oid AND a.attnum = d.refobjsubid
),
-- Grants as they are on the new objects (to be revoked) and on the old ones (to be granted).
have AS (
	SELECT 'TABLE ' || $2 AS object, '' AS part, x.* FROM new, aclexplode(new.relacl) x
	UNION ALL SELECT 'SEQUENCE ' || o.twin, '', x.* FROM owned o JOIN pg_class t ON t.oid = o.twin, aclexplode(t.relacl) x
	-- The owner holds everything where nothing is written; that is revoked where the old table says less.
	UNION ALL SELECT 'TABLE ' || $2, '', old.relowner, old.relowner, 'ALL', false FROM old WHERE relacl IS NOT NULL
	UNION ALL SELECT 'SEQUENCE ' || o.twin, '', old.relowner, old.relowner, 'ALL', false FROM old, owned o WHERE o.relacl IS NOT NULL AND o.twin IS NOT NULL
),
want AS (
	SELECT 'TABLE ' || $2 AS object, '' AS part, x.* FROM old, aclexplode(old.relacl) x
	UNION ALL SELECT 'SEQUENCE ' || o.twin, '', x.* FROM owned o, aclexplode(o.relacl) x WHERE o.twin IS NOT NULL
	UNION ALL SELECT 'TABLE ' || $2, format(' (%I)', a.attname), x.* FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = $1 AND NOT a.attisdropped
)
SELECT phase, sql FROM (
	SELECT 1 AS phase, 1 AS rank, format('ALTER TABLE %s OWNER TO %I', $2::text, pg_get_userbyid(old.relowner)) AS sql FROM old, new WHERE old.relowner <> new.relowner
	UNION ALL
	SELECT 1, 2, format('REVOKE ALL ON %s FROM %s', object, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
	FROM have JOIN old ON true WHERE NOT (old.relacl IS NULL AND grantee = old.relowner) GROUP BY object, grantee
	UNION ALL
	SELECT 1, 3, format('GRANT %s%s ON %s TO %s%s', privilege_type, part, object,
		CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, CASE WHEN is_grantable AND grantee <> old.relowner THEN ' WITH GRANT OPTION' ELSE '' END)
	FROM want JOIN old ON true
	UNION ALL
	SELECT 1, 4, format('ALTER SEQUENCE %I.%I OWNED BY %s.%I', nspname, relname, $2, attname) FROM owned WHERE deptype = 'a'
	UNION ALL
	SELECT 1, 5, format('SELECT setval(%L, last_value, is_called) FROM %I.%I', twin, nspname, relname) FROM owned WHERE deptype = 'i'
	UNION ALL
	SELECT 2, 1, format('ALTER SEQUENCE %s RENAME TO %I', twin, relname) FROM owned WHERE deptype = 'i'
	UNION ALL
	SELECT 2, 2, format('COMMENT ON SEQUENCE %I.%I IS %L', nspname, relname, obj_description(seq, 'pg_class')) FROM owned
	WHERE deptype = 'i' AND obj_description(seq, 'pg_class') IS NOT NULL
	UNION ALL
	SELECT 2, 3, format('COMMENT ON TABLE %s IS %L', $3::text, obj_description($1, 'pg_class')) WHERE obj_description($1, 'pg_class') IS NOT NULL
	UNION ALL
	SELECT 2, 4, format('COMMENT ON COLUMN %s.%I IS %s', $3, attname, coalesce(quote_literal(col_description($1, attnum)), 'NULL')) FROM pg_attribute
	WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
	UNION ALL
	SELECT 2, 5, format('COMMENT ON CONSTRAINT %I ON %s IS %L', conname, $3, obj_description(oid, 'pg_constraint')) FROM pg_constraint
	WHERE conrelid = $1 AND contype = 'c' AND obj_description(oid, 'pg_constraint') IS NOT NULL
) s ORDER BY phase, rank, sql`

func inheritance(ctx context.Context, conn *pgx.Conn, st sinkState) (before, after []string, err error) {
	type statement struct {
		phase int
		sql   string
	}
	err = withCatalogPath(ctx, conn, func() error {
		rows, err := conn.Query(ctx, inheritanceSQL, st.OID, st.Into.sql(), st.Target.sql())
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (x statement, err error) {
			err = row.Scan(&x.phase, &x.sql)
			return x, err
		})
		for _, x := range all {
			if x.phase == 1 {
				before = append(before, x.sql)
			} else {
				after = append(after, x.sql)
			}
		}
		return err
	})
	return before, after, wrap(err, "read the owner, grants and comments of "+st.Target.String())
}

// refillTable replaces the target's rows by the staging table's, inside the caller's transaction. Readers go on with the old rows;
// writers wait.
func (s *tableSink) refillTable(ctx context.Context, tx pgx.Tx, st sinkState) error {
	if _, err := tx.Exec(ctx, "LOCK TABLE "+st.Target.sql()+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return err
	}
	if err := s.unchanged(ctx, tx.Conn(), st); err != nil {
		return err
	}
	if err := execAll(ctx, tx, []string{"SET CONSTRAINTS ALL DEFERRED", "DELETE FROM " + st.Target.sql()}); err != nil {
		return err
	}
	var rows int64
	var left bool
	err := tx.QueryRow(ctx, fmt.Sprintf("SELECT (SELECT count(*) FROM %s), EXISTS (SELECT FROM %s)", st.Into.sql(), st.Target.sql())).Scan(&rows, &left)
	if err != nil {
		return err
	}
	if left {
		return drover.Errorf(drover.Data, "a trigger of %s kept old rows from being deleted", st.Target).
			WithHint("disable the trigger for the run, or use mode: upsert")
	}
	cols := quoteAll(names(st.Columns))
	tag, err := tx.Exec(ctx, "INSERT INTO "+st.Target.sql()+" ("+cols+") SELECT "+cols+" FROM "+st.Into.sql())
	if err != nil {
		return err
	}
	if n := tag.RowsAffected(); n != rows {
		return skipped("publish "+st.Target.String(), rows, n)
	}
	return execAll(ctx, tx, []string{"DROP TABLE " + st.Into.sql()})
}
