package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5"
)

func TestRule20PageChunksSayThatNobodyElseCanResumeAndWhatToDo(t *testing.T) {
	u, conn := database(t, "CREATE TABLE src (v bigint); INSERT INTO src SELECT generate_series(1, 5000)")
	var warnings []string
	env := testEnv()
	env.Warn = func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	opened, err := openSource(t.Context(), Table(string(u), "src"), env)
	if err != nil {
		t.Fatal(err)
	}
	chunking := drover.Chunking{Rows: 1000}
	st, err := opened.Begin(t.Context(), chunking, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "resume") || !strings.Contains(warnings[0], "chunk: {by: COLUMN}") {
		t.Errorf("warnings %q", warnings)
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	alone(t, conn)
	_, err = openTestSource(t, Table(string(u), "src")).Begin(t.Context(), chunking, st)
	fails(t, err, drover.Refused, "snapshot", "delete the rows that the run has committed", "--new", "chunk: {by: COLUMN}")
}

// alone waits until the server has noticed that all other connections to the database were closed: their snapshots live until then.
func alone(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for {
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}
