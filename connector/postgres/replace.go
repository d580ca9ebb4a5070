package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

// designReplace decides how an existing table is replaced (exactness.md 13): by a swap where nothing hangs on the table, else by DELETE and
// INSERT .. SELECT, else not at all. Rows that others write to the table during the run are lost with the old ones.
func (s *tableSink) designReplace(ctx context.Context, conn *pgx.Conn, d *design, t *target, run connector.Run) error {
	st := &d.state
	var err error
	if st.Definition, err = definition(ctx, conn, t.OID); err != nil {
		return err
	}
	broad, err := broadPublications(ctx, conn, t.Name.Schema)
	if err != nil {
		return err
	}
	if len(broad) > 0 {
		return refuse("publication %s covers every table of schema %s, so it would send the staging table too", strings.Join(broad, ", "), t.Name.Schema).
			WithField("mode").WithHint("publish the tables by name, or use mode: upsert")
	}
	reasons, err := dependants(ctx, conn, t.OID)
	if err != nil {
		return err
	}
	if t.Kind == "p" {
		reasons = append(reasons, "partitions")
	}
	switch {
	case !t.Owned:
		reasons = append(reasons, "role "+t.Role+" not being the owner")
	case !t.CanCreate || !t.OwnerCanCreate:
		reasons = append(reasons, "no right to create tables in schema "+t.Name.Schema)
	}
	if len(reasons) == 0 {
		st.Method, st.Into = swap, tableName{t.Name.Schema, stagingName(run)}
		d.note("publish: the new table takes the old one's place in one transaction; rows that others write to the old table meanwhile are lost")
		create, err := likeTable(ctx, conn, t, st.Into)
		st.Prepare = []string{create}
		return err
	}
	if err := refillable(ctx, conn, t); err != nil {
		return err
	}
	if err := replicates(ctx, conn, t, "DELETE FROM "+t.Name.sql()); err != nil {
		return err
	}
	st.Method, st.Into = refill, tableName{s.schema, stagingName(run)}
	st.Prepare = []string{createTable(st.Into.sql(), st.Columns, nil)}
	d.note("publish: DELETE and INSERT in one transaction, because of %s", strings.Join(reasons, ", "))
	return nil
}

// likeTable returns the statement that creates a table with all of the target's definition but its indexes and statistics,
// which are built once the rows are in. CHECK constraints come along: a row that breaks one fails with its chunk.
func likeTable(ctx context.Context, conn *pgx.Conn, t *target, name tableName) (string, error) {
	var method, space, options string
	err := conn.QueryRow(ctx, `
		SELECT quote_ident(am.amname), coalesce(quote_ident(s.spcname), ''), array_to_string(ARRAY(
			SELECT format('%s = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)) FROM unnest(c.reloptions) o
			UNION ALL
			SELECT format('toast.%s = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)) FROM unnest(x.reloptions) o), ', ')
		FROM pg_class c JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace LEFT JOIN pg_class x ON x.oid = c.reltoastrelid
		WHERE c.oid = $1`, t.OID).Scan(&method, &space, &options)
	if err != nil {
		return "", wrap(err, "read the options of "+t.Name.String())
	}
	sql := fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS) USING %s", name.sql(), t.Name.sql(), method)
	if options != "" {
		sql += " WITH (" + options + ")"
	}
	if space != "" {
		sql += " TABLESPACE " + space
	}
	return sql, nil
}

// refillable refuses a table whose rows cannot be deleted and inserted again without harm to what hangs on it.
func refillable(ctx context.Context, conn *pgx.Conn, t *target) error {
	if !t.CanDelete || !t.CanSelect {
		return refuse("role %s may not replace %s: it is neither its owner nor has it SELECT, INSERT and DELETE there", t.Role, t.Name).WithField("mode").
			WithHint("GRANT SELECT, INSERT, DELETE ON %s TO %s", t.Name.sql(), quote(t.Role))
	}
	var child, reference, publication *string
	err := conn.QueryRow(ctx, `
		SELECT (SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = c.oid AND c.relkind = 'r' LIMIT 1),
			(SELECT format('%s of %s', f.conname, f.conrelid::regclass) FROM pg_constraint f
				WHERE f.confrelid = c.oid AND f.contype = 'f' AND f.conrelid <> c.oid AND NOT (f.condeferrable AND f.confdeltype = 'a') ORDER BY 1 LIMIT 1),
			(SELECT p.pubname::text FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
				WHERE r.prrelid = c.oid AND p.pubdelete AND (c.relreplident = 'n'
					OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)) LIMIT 1)
		FROM pg_class c WHERE c.oid = $1`, t.OID).Scan(&child, &reference, &publication)
	switch {
	case err != nil:
		return wrap(err, "look up what depends on "+t.Name.String())
	case child != nil:
		return refuse("table %s inherits from %s, and replace would keep its rows in sight", *child, t.Name).WithField("mode").WithHint("use mode: upsert")
	case reference != nil:
		return refuse("foreign key %s refers to %s, whose rows can therefore not be deleted, not even for a moment", *reference, t.Name).WithField("mode").
			WithHint("make the key ON DELETE NO ACTION DEFERRABLE, or use mode: upsert")
	case publication != nil:
		return refuse("publication %s sends deletes from %s, which has no replica identity", *publication, t.Name).WithField("mode").
			WithHint("ALTER TABLE %s REPLICA IDENTITY FULL", t.Name.sql())
	}
	return nil
}

// broadPublications returns the publications of all tables, or of all in a schema.
func broadPublications(ctx context.Context, conn *pgx.Conn, schema string) ([]string, error) {
	var byschema bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL`).Scan(&byschema); err != nil {
		return nil, wrap(err, "look up publications")
	}
	sql := `SELECT pubname::text FROM pg_publication WHERE puballtables AND pubinsert`
	if byschema {
		sql += ` UNION SELECT p.pubname FROM pg_publication p JOIN pg_publication_namespace s ON s.pnpubid = p.oid JOIN pg_namespace n ON n.oid = s.pnnspid
			WHERE p.pubinsert AND n.nspname = $1`
	} else {
		sql += ` AND $1 <> ''`
	}
	rows, err := conn.Query(ctx, sql, schema)
	if err != nil {
		return nil, wrap(err, "look up publications")
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, wrap(err, "look up publications")
}
