package ledgertest

import (
	"slices"
	"testing"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

func chunks(n int) []connector.Chunk {
	var list []connector.Chunk
	for c := range numbered(n) { //nolint:errcheck // it never fails
		list = append(list, c)
	}
	return list
}

func testStages(t *testing.T, fixture Fixture) {
	// merged returns a bench whose first stage of 2 chunks is finished and whose second has n.
	merged := func(t *testing.T, n int) *bench {
		b := started(t, fixture, 2)
		b.finish(b.claim(0, 0, 1))
		b.must(b.AddStage(t.Context(), b.uid, 1, chunks(n)))
		return b
	}
	second := ledger.Want{Stage: 1}
	t.Run("a later stage is added once the earlier ones are finished", func(t *testing.T) {
		b := started(t, fixture, 2)
		b.want(b.AddStage(t.Context(), b.uid, 1, chunks(3)), ledger.ErrFenced)
		b.finish(b.claim(1, 0))
		b.want(b.AddStage(t.Context(), b.uid, 1, chunks(3)), ledger.ErrFenced)
		b.finish(b.claim(1, 1))
		b.must(b.AddStage(t.Context(), b.uid, 1, chunks(3)))
		b.states("ffppp")
	})
	t.Run("the first driver's cut holds", func(t *testing.T) {
		b := merged(t, 3)
		b.must(b.AddStage(t.Context(), b.uid, 1, chunks(5)))
		b.states("ffppp")
	})
	t.Run("a stage without chunks", func(t *testing.T) {
		b := merged(t, 0)
		b.must(b.AcquirePublish(t.Context(), b.uid, "driver", lease))
		b.want(b.AddStage(t.Context(), b.uid, 1, chunks(1)), ledger.ErrFenced)
	})
	t.Run("a claim is of the wanted stage", func(t *testing.T) {
		b := merged(t, 3)
		b.claim(0)
		if task := b.claimWith(second, 0, 1, 2); task.Stage != 1 || !slices.Equal(idsOf(task), []int64{0, 1, 2}) {
			t.Errorf("%+v", task)
		}
	})
	t.Run("totals and receipts are those of one stage", func(t *testing.T) {
		b := merged(t, 3)
		b.finish(b.claimWith(ledger.Want{Stage: 1, MaxChunks: 1}, 0))
		first, err := b.Totals(t.Context(), b.uid, 0)
		if err != nil || first.Total() != 2 || first.RowsIn != 10 || first.Chunks[ledger.ChunkFinished] != 2 {
			t.Errorf("%+v %v", first, err)
		}
		later, err := b.Totals(t.Context(), b.uid, 1)
		if err != nil || later.Total() != 3 || later.RowsIn != 5 || later.Chunks[ledger.Pending] != 2 || later.PendingBytes != 20 {
			t.Errorf("%+v %v", later, err)
		}
		n := 0
		for _, err := range b.Receipts(t.Context(), b.uid, 1) {
			b.must(err)
			n++
		}
		if n != 1 {
			t.Errorf("%d receipts", n)
		}
	})
	t.Run("a publish waits for every stage", func(t *testing.T) {
		b := merged(t, 1)
		b.want(b.AcquirePublish(t.Context(), b.uid, "driver", lease), ledger.ErrFenced)
		b.finish(b.claimWith(second, 0))
		b.must(b.AcquirePublish(t.Context(), b.uid, "driver", lease))
	})
	t.Run("an earlier stage is reopened while the run is open, and not while it publishes", func(t *testing.T) {
		b := merged(t, 1)
		b.must(b.Reopen(t.Context(), b.uid, 0, []int64{1}, "lost"))
		b.states("fpp")
		b.finish(b.claim(0, 1))
		b.finish(b.claimWith(second, 0))
		b.must(b.AcquirePublish(t.Context(), b.uid, "driver", lease))
		b.want(b.Reopen(t.Context(), b.uid, 0, []int64{1}, "lost"), ledger.ErrFenced)
		b.states("fff")
		b.must(b.Reopen(t.Context(), b.uid, 1, []int64{0}, "lost"))
		b.states("ffp")
		b.runState(ledger.Open)
	})
}
