package ledgertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/droverdata/drover/internal/ledger"
)

func testMachines(t *testing.T, fixture Fixture) {
	b := started(t, fixture, 1)
	ctx := t.Context()
	shown := func(want string) {
		t.Helper()
		machines, err := b.Machines(ctx, b.uid)
		b.must(err)
		got := ""
		for _, m := range machines {
			got += fmt.Sprintf("%s %d %s, ", m.Driver, m.Workers, m.Silent.Truncate(slack))
			if m.SeenAt.Before(m.JoinedAt) {
				t.Errorf("seen before it joined: %+v", m)
			}
		}
		if got != want {
			t.Errorf("machines %q, want %q", got, want)
		}
	}
	shown("")
	b.must(b.Beat(ctx, b.uid, "a/1", 2))
	b.Advance(time.Hour)
	b.must(b.Beat(ctx, b.uid, "b/1", 4))
	shown("a/1 2 1h0m0s, b/1 4 0s, ")
	b.must(b.Beat(ctx, b.uid, "a/1", 3))
	shown("a/1 3 0s, b/1 4 0s, ")
	b.must(b.Leave(ctx, b.uid, "a/1"))
	b.must(b.Leave(ctx, b.uid, "a/1"))
	shown("b/1 4 0s, ")
	b.must(b.Close(ctx, b.uid, ledger.Abandoned, ""))
	shown("")
	b.want(b.Beat(ctx, b.uid, "late/1", 1), ledger.ErrFenced) // a beat that was long on its way, or a zombie's
	shown("")
	b.must(b.Forget(ctx, b.uid))
	if b.Beat(ctx, b.uid, "late/1", 1) == nil {
		t.Error("a beat for a run that is not there")
	}
}
