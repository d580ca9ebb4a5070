package postgres

import "testing"

// The names of tablespaces go into a setting that holds one name, as it is, and not as an identifier.
func TestRule13SwapKeepsTablespacesOfAnyName(t *testing.T) {
	u, conn := database(t, "SET allow_in_place_tablespaces = on")
	execSQL(t, conn, `CREATE TABLESPACE "a ""space""" LOCATION ''`) // a statement of its own: it refuses a transaction
	t.Cleanup(func() {
		execSQL(t, conn, "DROP TABLE t")
		execSQL(t, conn, `DROP TABLESPACE "a ""space"""`)
	})
	execSQL(t, conn, `CREATE EXTENSION btree_gist;
		CREATE TABLE t (id bigint PRIMARY KEY USING INDEX TABLESPACE "a ""space""", EXCLUDE USING gist (id WITH =) USING INDEX TABLESPACE "a ""space""")
		TABLESPACE "a ""space"""`)
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Replace}, "SELECT 7::BIGINT AS id").begin()
	j.write(0)
	if j.state().Method != swap {
		t.Errorf("method %s", j.state().Method)
	}
	j.publish()
	want(t, conn, `(SELECT relname, spcname FROM pg_class c JOIN pg_tablespace s ON s.oid = reltablespace WHERE relname LIKE 't%')`,
		`(t,"a ""space""")`, `(t_id_excl,"a ""space""")`, `(t_pkey,"a ""space""")`)
}
