package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

func TestRule20PageChunksSayThatNobodyElseCanResumeAndWhatToDo(t *testing.T) {
	u, _ := database(t, "CREATE TABLE src (v bigint); INSERT INTO src SELECT generate_series(1, 5000)")
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
	_, err = openTestSource(t, Table(string(u), "src")).Begin(t.Context(), chunking, st)
	fails(t, err, drover.Refused, "snapshot", "delete the rows that the run has committed", "--new", "chunk: {by: COLUMN}")
}
