package open

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
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

func TestAMistypedLedgerIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, target := range []string{"postgres:/sec:S3CR@h/five", "postgres//sec:S3CR@h/five", "postgresql:h", "sec:S3CR@h/five", "postgres:///sec:S3CR@h/five"} {
		for _, open := range []func(context.Context, string) (ledger.Ledger, error){Open, Existing} {
			_, err := open(t.Context(), target)
			e, ok := errors.AsType[*drover.Error](err)
			if !ok || e.Kind != drover.Invalid || !strings.Contains(e.Hint, "postgres://") {
				t.Errorf("%s: %v", target, err)
				continue
			}
			if strings.Contains(err.Error()+e.Hint, "S3CR") {
				t.Errorf("%s: a password appears: %v", target, err)
			}
		}
	}
	if made, err := os.ReadDir("."); len(made) > 0 || err != nil {
		t.Error(made, err)
	}
}

func TestALedgersNameShowsNoPartOfAPassword(t *testing.T) {
	for target, want := range map[string]string{
		"postgres://u:pw@host:5432/db":                          "postgres host:5432/db",
		"postgres://u:12/34secret@host/db":                      "postgres",
		"postgresql://u:a?secret@host/db":                       "postgres",
		"postgres://u:a#secret@host/db":                         "postgres",
		"postgres://host/db?password=secret":                    "postgres host/db",
		"host=db1 port=5599 user=u password=secret dbname=five": "postgres db1:5599/five",
		"dbname=five host='db1'":                                "postgres db1/five",
		"host=db1":                                              "postgres db1",
		"service=mine":                                          "postgres service mine",
		".drover/ledger.db":                                     ".drover/ledger.db",
	} {
		if name, _, err := Name(target); err != nil || name != want {
			t.Errorf("%s: %q, %v", target, name, err)
		}
	}
}
