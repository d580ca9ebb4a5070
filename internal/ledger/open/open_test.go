package open

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestTargetChoosesTheLedger(t *testing.T) {
	url := pgtest.Database(t)
	path := filepath.Join(t.TempDir(), ".drover", "ledger.db")
	for _, target := range []string{url, strings.Replace(url, "postgres://", "postgresql://", 1), path} {
		l, err := Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if runs, err := l.Runs(t.Context(), 1); err != nil || len(runs) != 0 {
			t.Error(runs, err)
		}
		if err := l.Shutdown(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
