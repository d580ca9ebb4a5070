package sqlite

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/ledgertest"
)

func fixture(tb testing.TB) ledgertest.Harness {
	path := filepath.Join(tb.TempDir(), "made for it?", "50% #1.db")
	var offset atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	return ledgertest.Harness{
		Open:    func() (ledger.Ledger, error) { return Open(tb.Context(), path, WithClock(clock)) },
		Advance: func(d time.Duration) { offset.Add(int64(d)) },
	}
}

func TestLedger(t *testing.T) { ledgertest.Run(t, fixture) }

func BenchmarkClaimFinish(b *testing.B) { ledgertest.Rate(b, fixture) }
