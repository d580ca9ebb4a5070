package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
)

func TestALedgerOfAnEarlierVersionIsBroughtUpToDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	for range 2 {
		l, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		run, _, err := l.Begin(t.Context(), ledger.Request{Job: "j", Driver: "d", Lease: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range l.Chunks(t.Context(), run.UID) {
			t.Error(err)
		}
		if err := l.Shutdown(); err != nil {
			t.Fatal(err)
		}
		alter(t, path, `ALTER TABLE chunk DROP COLUMN rows_scanned; ALTER TABLE chunk DROP COLUMN rows_rejected; DROP TABLE machine; ALTER TABLE run DROP COLUMN named; ALTER TABLE run DROP COLUMN version; DROP TABLE pruned; UPDATE ledger SET version = 1`)
	}
}

func TestWrongFilesAreRefusedAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign.db")
	alter(t, foreign, `CREATE TABLE mine (x)`)
	newer := filepath.Join(dir, "newer.db")
	l, err := Open(t.Context(), newer)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Shutdown(); err != nil {
		t.Fatal(err)
	}
	alter(t, newer, `UPDATE ledger SET version = 99`)
	for path, want := range map[string]string{
		text: "not a database", foreign: "other tables", newer: "version 99", dir: "open", filepath.Join(text, "below", "ledger.db"): "directory",
	} {
		l, err := Open(t.Context(), path)
		if err == nil {
			t.Errorf("%s was opened: %v", path, l.Shutdown())
			continue
		}
		var e *drover.Error
		if !errors.As(err, &e) || e.Kind != drover.Refused || e.Hint == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if b, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(b), "no database") {
		t.Error("the text file was changed", err)
	}
}

func alter(t *testing.T, path, statement string) {
	t.Helper()
	d := newDatabase(newConnector(path, nil))
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := d.reads.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestDriversThatOpenAtOnceCreateOneLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "ledger.db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			l, err := Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := l.Shutdown(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCancelledCallsSaySo(t *testing.T) {
	l, err := Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Shutdown() //nolint:errcheck // the test is over
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Claim(ctx, "x", ledger.Want{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Nothing is left locked.
	if _, err := l.Claim(t.Context(), "x", ledger.Want{}); !errors.Is(err, ledger.ErrNotFound) {
		t.Error(err)
	}
}
