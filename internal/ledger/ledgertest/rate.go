package ledgertest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/droverdata/drover/internal/ledger"
)

// Rate measures claim and finish, for tasks of several sizes and numbers of drivers, each with a ledger of its own. An operation is one task.
func Rate(b *testing.B, fixture Fixture) {
	for _, c := range []struct{ drivers, chunks int }{{1, 1}, {8, 1}, {1, 50}, {8, 50}, {1, 500}, {8, 500}} {
		b.Run(fmt.Sprintf("drivers=%d/chunks=%d", c.drivers, c.chunks), func(b *testing.B) {
			h := fixture(b)
			l := open(b, h)
			run, _, err := l.Begin(b.Context(), request())
			if err != nil {
				b.Fatal(err)
			}
			if err := l.AddChunks(b.Context(), run.UID, "driver", 0, numbered(b.N*c.chunks)); err != nil {
				b.Fatal(err)
			}
			if err := l.Start(b.Context(), run.UID, "driver", nil); err != nil {
				b.Fatal(err)
			}
			own := make([]ledger.Ledger, c.drivers)
			for i := range own {
				own[i] = open(b, h)
			}
			b.ResetTimer()
			var wg sync.WaitGroup
			var left atomic.Int64
			left.Store(int64(b.N))
			for _, l := range own {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						task, err := l.Claim(b.Context(), run.UID, ledger.Want{Worker: "w", Lease: lease, MaxChunks: c.chunks})
						if err == nil {
							err = l.Finish(b.Context(), run.UID, task.Token, receipts(task))
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
			b.ReportMetric(float64(b.N*c.chunks)/b.Elapsed().Seconds(), "chunks/s")
		})
	}
}
