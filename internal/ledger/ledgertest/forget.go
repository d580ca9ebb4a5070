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
	t.Run("the name of a run outlives it, so that whoever comes late does not do it all again", func(t *testing.T) {
		h := fixture(t)
		b := &bench{Ledger: open(t, h), Harness: h, tb: t}
		named := func(name string) ledger.Request {
			req := request()
			req.Name = name
			return req
		}
		for _, c := range []struct {
			name  string
			state ledger.RunState
		}{{"nightly", ledger.Finished}, {"given up", ledger.Abandoned}} {
			old := b.ended("job", c.name, "f1", c.state)
			b.want(b.Beat(t.Context(), old.UID, "late", 1), ledger.ErrFenced)
			b.must(b.Forget(t.Context(), old.UID))
			b.must(b.Forget(t.Context(), old.UID))
			late := named(c.name)
			late.Fingerprint, late.Version = "f2", "v2"
			run, role, err := b.Begin(t.Context(), late)
			if err != nil || role != ledger.Done || run.UID != old.UID || run.State != c.state || run.FinishedAt.IsZero() || run.PrunedAt.Before(run.FinishedAt) {
				t.Errorf("%s: %+v %v %v", c.name, run, role, err)
			}
			for _, job := range []string{"job", ""} {
				if found, err := b.Run(t.Context(), job, c.name); err != nil || !cmp.Equal(found, run) {
					t.Errorf("%s: found %+v %v", c.name, found, err)
				}
			}
			for chunk, err := range b.Chunks(t.Context(), old.UID) {
				t.Errorf("a chunk is left: %+v %v", chunk, err)
			}
			if machines, err := b.Machines(t.Context(), old.UID); err != nil || len(machines) > 0 {
				t.Errorf("machines are left: %+v %v", machines, err)
			}
		}
		if runs, err := b.Runs(t.Context(), 10); err != nil || len(runs) > 0 {
			t.Errorf("listed: %+v %v", runs, err)
		}
		if got := b.history(ledger.Past{States: []ledger.RunState{ledger.Finished, ledger.Abandoned}}); len(got) > 0 {
			t.Errorf("history: %q", got)
		}
		next, role, err := b.Begin(t.Context(), request())
		if err != nil || role != ledger.Plan {
			t.Fatal(next, role, err)
		}
		if newest, err := b.Run(t.Context(), "job", ""); err != nil || newest.UID != next.UID {
			t.Errorf("the newest: %+v %v", newest, err)
		}
		// One that was never opened did nothing.
		never, _, err := b.Begin(t.Context(), named("never opened"))
		b.must(err)
		b.must(b.Close(t.Context(), never.UID, ledger.Abandoned, "not planned"))
		b.must(b.Forget(t.Context(), never.UID))
		if run, role, err := b.Begin(t.Context(), named("never opened")); err != nil || role != ledger.Plan || run.UID == never.UID {
			t.Errorf("%+v %v %v", run, role, err)
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
