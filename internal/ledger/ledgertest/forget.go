package ledgertest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droverdata/drover/internal/ledger"
)

func testForget(t *testing.T, fixture Fixture) {
	t.Run("only a run that is over, and all of it", func(t *testing.T) {
		b := started(t, fixture, 3)
		ctx := t.Context()
		other := b.ended("other", "o", "f", ledger.Finished)
		if _, err := b.Claim(ctx, b.uid, ledger.Want{Worker: "w", Lease: lease}); err != nil {
			t.Fatal(err)
		}
		b.want(b.Forget(ctx, b.uid), ledger.ErrFenced)
		b.want(b.Retire(ctx, b.uid, "old"), ledger.ErrFenced)
		b.must(b.Close(ctx, b.uid, ledger.Failed, "chunks failed"))
		b.want(b.Forget(ctx, b.uid), ledger.ErrFenced)
		b.must(b.Retire(ctx, b.uid, "old"))
		b.must(b.Retire(ctx, b.uid, "again"))
		if run, err := b.Run(ctx, "", b.uid); err != nil || run.State != ledger.Abandoned || run.Message != "old" {
			t.Errorf("retired: %+v %v", run, err)
		}
		if _, err := b.RetryErrors(ctx, b.uid, nil); !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("retry of a retired run: %v", err)
		}
		b.must(b.Forget(ctx, b.uid))
		b.must(b.Forget(ctx, b.uid))
		if run, err := b.Run(ctx, "", b.uid); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("found %+v, %v", run, err)
		}
		for c, err := range b.Chunks(ctx, b.uid) {
			t.Errorf("a chunk is left: %+v %v", c, err)
		}
		b.want(b.Retire(ctx, other.UID, ""), ledger.ErrFenced)
		if _, err := b.Run(ctx, "", other.UID); err != nil {
			t.Error(err)
		}
	})
	t.Run("of an age", func(t *testing.T) {
		h := fixture(t)
		b := &bench{Ledger: open(t, h), Harness: h, tb: t}
		b.ended("a", "old", "f", ledger.Finished)
		b.ended("b", "older", "f", ledger.Abandoned)
		req := request()
		req.Job, req.Name = "c", "open"
		if _, _, err := b.Begin(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		h.Advance(2 * time.Hour)
		b.ended("a", "young", "f", ledger.Finished)
		over := []ledger.RunState{ledger.Finished, ledger.Failed, ledger.Abandoned, ledger.Planned}
		for _, c := range []struct {
			of   ledger.Past
			want []string
		}{
			{ledger.Past{States: over, Age: time.Hour}, []string{"older", "old"}},
			{ledger.Past{States: over, Age: 3 * time.Hour}, nil},
			{ledger.Past{States: over}, []string{"young", "open", "older", "old"}},
			{ledger.Past{Job: "a", States: over, Age: time.Hour}, []string{"old"}},
		} {
			if got := b.history(c.of); !cmp.Equal(got, c.want) {
				t.Errorf("%+v: got %q, want %q", c.of, got, c.want)
			}
		}
	})
}
