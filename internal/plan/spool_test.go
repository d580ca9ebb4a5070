package plan

import (
	"testing"

	"github.com/droverdata/drover"
)

func TestChunksOfASpooledSourceAreNotCountedByThePlan(t *testing.T) {
	got := Totals{}.text(drover.Chunking{By: "zip_code", Spool: true})
	if want := "chunks by zip_code, counted once the run has spooled the source"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
