package ledgertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droverdata/drover/internal/ledger"
)

// ended begins a run of a job and ends it; finished unless a state is given.
func (b *bench) ended(job, name, fingerprint string, state ledger.RunState) ledger.Run {
	b.tb.Helper()
	req := request()
	req.Job, req.Name, req.Fingerprint = job, name, fingerprint
	run, _, err := b.Begin(b.tb.Context(), req)
	b.must(err)
	b.must(b.Start(b.tb.Context(), run.UID, "driver", json.RawMessage(`{}`)))
	b.must(b.Close(b.tb.Context(), run.UID, state, ""))
	return run
}

func (b *bench) history(of ledger.Past) []string {
	b.tb.Helper()
	var ids []string
	for run, err := range b.History(b.tb.Context(), of) {
		b.must(err)
		ids = append(ids, run.ID)
	}
	return ids
}

func testHistory(t *testing.T, fixture Fixture) {
	h := fixture(t)
	b := &bench{Ledger: open(t, h), Harness: h, tb: t}
	b.ended("job", "a", "f1", ledger.Finished)
	b.ended("job", "b", "f2", ledger.Finished)
	b.ended("other", "c", "f1", ledger.Finished)
	third := b.ended("job", "d", "f1", ledger.Failed)
	b.ended("job", "e", "f1", ledger.Finished)
	b.must(b.Forget(t.Context(), b.ended("pruned", "c", "f1", ledger.Finished).UID))
	for id, want := range map[string][]string{"a": {"job"}, "c": {"other", "pruned"}, "nobody's": nil, third.UID: nil} {
		if got, err := b.Jobs(t.Context(), id); err != nil || !cmp.Equal(got, want) {
			t.Errorf("jobs with a run %q: %q, %v", id, got, err)
		}
	}
	finished := []ledger.RunState{ledger.Finished}
	for name, c := range map[string]struct {
		of   ledger.Past
		want []string
	}{
		"of the job, newest first":       {ledger.Past{Job: "job", States: finished}, []string{"e", "b", "a"}},
		"of one fingerprint":             {ledger.Past{Job: "job", Fingerprint: "f1", States: finished}, []string{"e", "a"}},
		"before a run":                   {ledger.Past{Job: "job", Before: third.UID, States: finished}, []string{"b", "a"}},
		"of several states":              {ledger.Past{Job: "job", States: []ledger.RunState{ledger.Failed, ledger.Finished}}, []string{"e", "d", "b", "a"}},
		"of another job":                 {ledger.Past{Job: "other", States: finished}, []string{"c"}},
		"none of a job that nobody knew": {ledger.Past{Job: "nobody's", States: finished}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := b.history(c.of); !cmp.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("an unknown run", func(t *testing.T) {
		for _, err := range b.History(t.Context(), ledger.Past{Job: "job", Before: "unknown", States: finished}) {
			b.want(err, ledger.ErrNotFound)
		}
	})
	t.Run("however many runs there are", func(t *testing.T) {
		want := []string{}
		for i := range 120 {
			want = append(want, fmt.Sprintf("n%d", i))
			b.ended("many", want[i], "f", ledger.Finished)
		}
		slices.Reverse(want)
		if got := b.history(ledger.Past{Job: "many", States: finished}); !cmp.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a run that was given up before it was open is not the newest", func(t *testing.T) {
		kept := b.ended("refused", "real", "f", ledger.Finished)
		req := request()
		req.Job = "refused"
		never, _, err := b.Begin(t.Context(), req)
		b.must(err)
		b.must(b.Close(t.Context(), never.UID, ledger.Abandoned, "refused"))
		for _, job := range []string{"refused", ""} {
			if run, err := b.Run(t.Context(), job, ""); err != nil || run.UID != kept.UID {
				t.Errorf("the newest run of job %q is %s (%s), %v", job, run.ID, run.State, err)
			}
		}
		if run, err := b.Run(t.Context(), "", never.UID); err != nil || run.UID != never.UID {
			t.Errorf("by its uid: %+v %v", run, err)
		}
	})
}
