package ledgertest

import (
	"testing"
	"time"

	"github.com/droverdata/drover/internal/ledger"
)

func testRead(t *testing.T, fixture Fixture) {
	t.Run("runs are found by name, uid and job, the newest first", func(t *testing.T) {
		b := empty(t, fixture)
		other := request()
		other.Job, other.Name = "other", "same"
		second, _, err := b.Begin(t.Context(), other)
		b.must(err)
		other.Job = "third"
		third, _, err := b.Begin(t.Context(), other)
		b.must(err)
		for _, c := range []struct{ job, id, want string }{
			{"", b.uid, b.uid},
			{"", "same", third.UID},
			{"other", "same", second.UID},
			{"", "", third.UID},
			{"job", "", b.uid},
		} {
			run, err := b.Run(t.Context(), c.job, c.id)
			if err != nil || run.UID != c.want {
				t.Errorf("Run(%q, %q) = %s, %v", c.job, c.id, run.UID, err)
			}
		}
		_, err = b.Run(t.Context(), "job", "same")
		b.want(err, ledger.ErrNotFound)
		runs, err := b.Runs(t.Context(), 2)
		if err != nil || len(runs) != 2 || runs[0].UID != third.UID || runs[1].UID != second.UID {
			t.Errorf("%+v %v", runs, err)
		}
	})
	t.Run("chunks are filtered by state", func(t *testing.T) {
		b := started(t, fixture, 3)
		b.finish(b.claim(1, 0))
		b.claim(1, 1)
		if rows := b.rows(ledger.ChunkFinished, ledger.Pending); len(rows) != 2 || rows[0].ID != 0 || rows[1].ID != 2 {
			t.Errorf("%+v", rows)
		}
		if rows := b.rows(ledger.ChunkError); len(rows) != 0 {
			t.Errorf("%+v", rows)
		}
	})
}

func testScale(t *testing.T, fixture Fixture) {
	t.Run("40,000 chunks", func(t *testing.T) {
		const n = 40000
		b := empty(t, fixture)
		begin := time.Now()
		b.add(0, numbered(n))
		t.Logf("added %d chunks in %v", n, time.Since(begin))
		b.start()
		begin = time.Now()
		tasks := 0
		for {
			task, err := b.Claim(t.Context(), b.uid, ledger.Want{Worker: "w", Lease: lease, MaxChunks: 500})
			b.must(err)
			if len(task.Chunks) == 0 {
				break
			}
			b.finish(task)
			tasks++
		}
		t.Logf("claimed and finished %d tasks of 500 chunks in %v", tasks, time.Since(begin))
		if tasks != n/500 {
			t.Errorf("%d tasks", tasks)
		}
		begin = time.Now()
		totals, err := b.Totals(t.Context(), b.uid, 0)
		if err != nil || totals.Chunks[ledger.ChunkFinished] != n || totals.RowsIn != 5*n {
			t.Errorf("%+v %v", totals, err)
		}
		t.Logf("totals in %v", time.Since(begin))
		next := int64(0)
		for r, err := range b.Receipts(t.Context(), b.uid, 0) {
			b.must(err)
			if r.ChunkID != next {
				t.Fatalf("receipt of chunk %d, want %d", r.ChunkID, next)
			}
			next++
		}
		if next != n || len(b.rows()) != n {
			t.Errorf("%d receipts, %d chunks", next, len(b.rows()))
		}
	})
}
