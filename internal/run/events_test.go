package run

import (
	"testing"

	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
)

// Before the first worker starts, the pages of the program are all the driver's own: a short run must not be told to have taken them twice.
func TestRule34ThePeakCountsTheProgramsPagesOnce(t *testing.T) {
	e := newEvents(func(monitor.Event) {})
	e.start(ledger.Totals{}, 0)
	alone := int64(1) << 40
	e.own = alone
	e.progress(1, protocol.Progress{Memory: 1})
	e.ended(1, protocol.Progress{Memory: 5}, 1)
	if peak := e.peakMemory(); peak >= alone {
		t.Errorf("the peak is %d MiB", peak>>20)
	}
}
