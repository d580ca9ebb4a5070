package postgres

import (
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// Keys are written, and timestamps without a zone assigned, in the job's time zone, whatever the role's and the server's are.
func TestRule31TheJobsTimezoneIsTheSessions(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (k timestamptz); INSERT INTO src VALUES ('2026-01-01 00:00:00+00'); CREATE TABLE dst (at timestamptz)`)
	execSQL(t, conn, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''America/New_York''', current_database()); END $$")
	env := testEnv()
	env.Timezone = "Asia/Tokyo"

	opened, err := openSource(t.Context(), Table(string(u), "src"), env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	_, chunks := cutAll(t, opened.(*source), drover.Chunking{By: "k"})
	if len(chunks) != 1 || chunks[0].Key != "2026-01-01 09:00:00+09" {
		t.Errorf("chunks %+v", chunks)
	}

	j := newJob(t, Into(string(u), "dst").Append(), "SELECT TIMESTAMP '2026-01-01 00:00:00' AS at")
	j.sink.env = connector.Env{Timezone: env.Timezone, Application: env.Application, Warn: t.Logf}
	j.begin()
	j.write(0)
	j.publish()
	want(t, conn, "(SELECT at AT TIME ZONE 'UTC' AS at FROM dst)", `("2025-12-31 15:00:00")`)
}
