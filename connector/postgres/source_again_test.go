package postgres

import (
	"os"
	"testing"
	"time"

	"github.com/droverdata/drover"
)

// TestASourceThatIsPlannedAgainLetsGoOfItsFirstBeginning: of its snapshot, whose connection others may wait for, and of its spool file.
func TestASourceThatIsPlannedAgainLetsGoOfItsFirstBeginning(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint); INSERT INTO t SELECT generate_series(1, 10000); ANALYZE t")
	t.Setenv("TMPDIR", t.TempDir())
	s := bounded(t, u, 2, nil)
	pages := drover.Chunking{Rows: 1000}
	first, err := s.Begin(t.Context(), pages, nil)
	if err != nil {
		t.Fatal(err)
	}
	execSQL(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'")
	var lost error
	for deadline := time.Now().Add(20 * time.Second); lost == nil && time.Now().Before(deadline); {
		for _, err := range s.Chunks(t.Context(), pages, first) {
			lost = err
		}
	}
	if drover.KindOf(lost) != drover.Transient {
		t.Errorf("cut in a snapshot that has ended: %v", lost)
	}
	st, chunks := cutAll(t, s, pages) // begins again
	if n := len(readChunks(t, bounded(t, u, 2, nil), newSession(t), st, chunks)); n != len(chunks) || n < 2 {
		t.Errorf("%d of %d chunks", n, len(chunks))
	}

	spool := drover.Chunking{By: "id", Keys: "VALUES (1), (2)", Spool: true}
	s.env.TempDir = t.TempDir()
	for range 2 {
		cutAll(t, s, spool)
	}
	left, err := os.ReadDir(s.env.TempDir)
	if err != nil || len(left) != 2 {
		t.Errorf("%d files of one spool: %v %v", len(left), left, err)
	}
}

// TestAPlannerThatJoinsItsOwnRunKeepsItsSnapshot: the answer that the run is open may be lost. A snapshot ends with the transaction that has exported it.
func TestAPlannerThatJoinsItsOwnRunKeepsItsSnapshot(t *testing.T) {
	u, _ := database(t, "CREATE TABLE t (id bigint); INSERT INTO t SELECT generate_series(1, 10000); ANALYZE t")
	pages := drover.Chunking{Rows: 1000}
	s := openTestSource(t, Table(string(u), "t"))
	st, chunks := cutAll(t, s, pages)
	for range 2 {
		if _, err := s.Begin(t.Context(), pages, st); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(readChunks(t, openTestSource(t, Table(string(u), "t")), newSession(t), st, chunks)); n != len(chunks) || n < 2 {
		t.Errorf("%d of %d chunks", n, len(chunks))
	}
}
