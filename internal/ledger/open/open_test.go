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
	for _, target := range []string{url, path} {
		if l, err := Existing(t.Context(), target); l != nil || err != nil {
			t.Errorf("found a ledger where there is none: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Error("looking for a ledger made one")
	}
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
		again, err := Existing(t.Context(), target)
		if err != nil || again == nil {
			t.Fatal(again, err)
		}
		if err := again.Shutdown(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestALedgersNameShowsNoPartOfAPassword(t *testing.T) {
	for target, want := range map[string]string{
		"postgres://u:pw@host:5432/db":       "postgres host:5432/db",
		"postgres://u:12/34secret@host/db":   "postgres",
		"postgresql://u:a?secret@host/db":    "postgres",
		"postgres://u:a#secret@host/db":      "postgres",
		"postgres://host/db?password=secret": "postgres host/db",
		".drover/ledger.db":                  ".drover/ledger.db",
	} {
		if name, _, err := Name(target); err != nil || name != want {
			t.Errorf("%s: %q, %v", target, name, err)
		}
	}
}
