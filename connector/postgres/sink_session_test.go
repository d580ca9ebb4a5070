package postgres

import "testing"

// TestTheSinkLeavesNoSessionState: what a pooling proxy gives to another client next must not carry anything of ours.
func TestTheSinkLeavesNoSessionState(t *testing.T) {
	for _, mode := range []Mode{Append, Replace, Upsert} {
		t.Run(string(mode), func(t *testing.T) {
			u, _ := database(t, "CREATE TABLE t (id bigint PRIMARY KEY)")
			spec := &Sink{URL: u, Table: "t", Mode: mode}
			if mode == Upsert {
				spec.Key = []string{"id"}
			}
			j := newJob(t, spec, numbers(0, 2), numbers(2, 4)).complete()
			conn, err := j.sink.acquire(t.Context())
			j.must(err)
			defer j.sink.release(conn)
			var left string
			j.must(conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(what, ', '), '') FROM (
				SELECT 'statement ' || name AS what FROM pg_prepared_statements
				UNION ALL SELECT 'lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
				UNION ALL SELECT 'setting ' || name FROM pg_settings WHERE source = 'session'
				UNION ALL SELECT 'channel ' || c FROM pg_listening_channels() c
				UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()) held`).Scan(&left))
			if left != "" {
				t.Errorf("the session keeps %s", left)
			}
		})
	}
}
