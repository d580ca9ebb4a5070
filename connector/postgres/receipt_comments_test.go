package postgres

import "testing"

func TestDroversTablesInATargetSayWhatTheyMean(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	newJob(t, &Sink{URL: u + "&drover_schema=my+own", Table: "t", Mode: Append}, numbers(0, 2)).complete()
	var tables int
	var missing string
	err := conn.QueryRow(t.Context(), `SELECT count(DISTINCT c.oid), coalesce(string_agg(c.relname || '.' || a.attname, ', ') FILTER (
			WHERE col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL), '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = '"my own"'::regnamespace AND c.relkind = 'r'`).Scan(&tables, &missing)
	if err != nil || tables < 2 || missing != "" {
		t.Errorf("%d tables; without a comment: %s (%v)", tables, missing, err)
	}
}
