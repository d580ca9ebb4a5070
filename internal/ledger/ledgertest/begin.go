package ledgertest

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droverdata/drover/internal/ledger"
)

func testBegin(t *testing.T, fixture Fixture) {
	t.Run("a new run is planned, named and unique", func(t *testing.T) {
		b := empty(t, fixture)
		run := b.runState(ledger.Planned)
		if !regexp.MustCompile(`^r-[2-9a-z]{4}$`).MatchString(run.ID) || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(run.UID) {
			t.Errorf("id %q, uid %q", run.ID, run.UID)
		}
		if run.Job != "job" || run.Fingerprint != "f1" || run.Engine != "local" || run.StartedAt.IsZero() || !run.FinishedAt.IsZero() {
			t.Errorf("%+v", run)
		}
		other, role, err := b.Begin(t.Context(), ledger.Request{Job: "other", Fingerprint: "f1", Driver: "driver", Lease: lease})
		if err != nil || role != ledger.Plan || other.UID == run.UID || other.ID == run.ID {
			t.Errorf("another job: %+v %v %v", other, role, err)
		}
	})
	t.Run("a run is of one version of drover", func(t *testing.T) {
		h := fixture(t)
		b := &bench{Ledger: open(t, h), Harness: h, tb: t}
		of := func(driver, version string) ledger.Request {
			req := request()
			req.Driver, req.Version = driver, version
			return req
		}
		asks := func(req ledger.Request, role ledger.Role, want error) {
			t.Helper()
			run, got, err := b.Begin(t.Context(), req)
			if b.want(err, want); run.UID != b.uid || run.Version != "v1" || want == nil && got != role {
				t.Errorf("%+v: %+v %v", req, run, got)
			}
		}
		silent, _, err := b.Begin(t.Context(), of("first", "v0"))
		b.must(err)
		_, _, err = b.Begin(t.Context(), of("driver", "v1"))
		b.want(err, ledger.ErrVersion)
		b.Advance(2 * lease)
		run, role, err := b.Begin(t.Context(), of("driver", "v1")) // nothing was done by v0
		if err != nil || role != ledger.Plan || run.ID != silent.ID || run.Version != "v1" || run.Named {
			t.Fatal(run, role, err)
		}
		b.uid = run.UID
		b.add(0, numbered(1))
		asks(of("second", "v1"), 0, ledger.ErrBusy)
		asks(of("second", "v2"), 0, ledger.ErrVersion)
		b.start()
		asks(of("second", "v1"), ledger.Work, nil)
		asks(of("second", "v2"), 0, ledger.ErrVersion)
		changed := of("second", "v2")
		changed.Fingerprint = "f2" // as the plan's form changes with the version
		asks(changed, 0, ledger.ErrVersion)
		b.must(b.Close(t.Context(), b.uid, ledger.Failed, ""))
		asks(of("second", "v2"), ledger.Done, nil)
	})
	t.Run("a live planner keeps others out, the run of a silent one is replaced", func(t *testing.T) {
		b := empty(t, fixture)
		b.add(0, numbered(3))
		slow := b.runState(ledger.Planned)
		second := request()
		second.Driver, second.Engine = "second", "ray"
		run, _, err := b.Begin(t.Context(), second)
		b.want(err, ledger.ErrBusy)
		if run.UID != b.uid {
			t.Errorf("ErrBusy returned run %+v", run)
		}
		b.Advance(lease - slack)
		b.must(b.Renew(t.Context(), b.uid, "driver", lease))
		b.Advance(lease - slack)
		_, _, err = b.Begin(t.Context(), second)
		b.want(err, ledger.ErrBusy)
		b.Advance(2 * slack)
		run, role, err := b.Begin(t.Context(), second)
		if err != nil || role != ledger.Plan || run.UID == b.uid || run.ID != slow.ID || run.Engine != "ray" {
			t.Fatalf("%+v %v %v", run, role, err)
		}
		b.states("")
		// The first planner was only slow. All that it still tries is refused, and giving its run up is no matter of the other one.
		b.want(b.AddChunks(t.Context(), b.uid, "driver", 0, numbered(3)), ledger.ErrFenced)
		b.want(b.Start(t.Context(), b.uid, "driver", nil), ledger.ErrFenced)
		b.want(b.Renew(t.Context(), b.uid, "driver", lease), ledger.ErrFenced)
		b.must(b.Close(t.Context(), b.uid, ledger.Abandoned, "not planned")) // nothing changes
		b.states("")
		deserted := ledger.Past{Job: "job", Deserted: true}
		if got := b.history(deserted); len(got) != 1 || got[0] == run.ID || b.runState(ledger.Abandoned).UID == run.UID {
			t.Errorf("deserted: %q", got)
		}
		if again, role, err := b.Begin(t.Context(), second); err != nil || role != ledger.Plan || again.ID != run.ID {
			t.Fatalf("the second plans anew: %+v %v %v", again, role, err)
		} else {
			run = again
		}
		for old, err := range b.History(t.Context(), deserted) {
			b.must(err)
			b.must(b.Forget(t.Context(), old.UID))
		}
		b.uid = run.UID
		b.must(b.AddChunks(t.Context(), b.uid, "second", 0, numbered(2)))
		b.must(b.Start(t.Context(), b.uid, "second", nil))
		b.states("pp")
		if got := b.history(deserted); got != nil {
			t.Errorf("deserted: %q", got)
		}
	})
	t.Run("the same planner may begin anew", func(t *testing.T) {
		b := empty(t, fixture)
		b.add(0, numbered(3))
		_, role, err := b.Begin(t.Context(), request())
		if err != nil || role != ledger.Plan {
			t.Fatal(role, err)
		}
		b.states("")
	})
	t.Run("an open run is joined, also from another handle", func(t *testing.T) {
		b := started(t, fixture, 2)
		run, role, err := open(t, b.Harness).Begin(t.Context(), request())
		if err != nil || role != ledger.Work || run.UID != b.uid || run.State != ledger.Open {
			t.Fatalf("%+v %v %v", run, role, err)
		}
		if diff := cmp.Diff(`{"plan": 1.50}`, string(run.Doc)); diff != "" {
			t.Error(diff)
		}
		b.finish(b.claim(2, 0, 1))
		b.must(b.AcquirePublish(t.Context(), b.uid, "driver", lease))
		if _, role, err = b.Begin(t.Context(), request()); err != nil || role != ledger.Work {
			t.Error("publishing:", role, err)
		}
	})
	t.Run("another meaning is refused while a run is not over", func(t *testing.T) {
		b := started(t, fixture, 1)
		changed := request()
		changed.Fingerprint = "f2"
		run, _, err := b.Begin(t.Context(), changed)
		b.want(err, ledger.ErrMeaning)
		if run.UID != b.uid || run.Fingerprint != "f1" {
			t.Errorf("%+v", run)
		}
		b.must(b.Close(t.Context(), b.uid, ledger.Abandoned, "--new"))
		run, role, err := b.Begin(t.Context(), changed)
		if err != nil || role != ledger.Plan || run.UID == b.uid {
			t.Errorf("after abandoning: %+v %v %v", run, role, err)
		}
	})
	t.Run("after a finished run begins a new one, after a failed one none", func(t *testing.T) {
		b := started(t, fixture, 1)
		b.fail(b.claim(1, 0), ledger.Failure{Verdict: ledger.Final, Counts: true, Error: bad("no")})
		b.must(b.Close(t.Context(), b.uid, ledger.Failed, "1 of 1 chunks failed"))
		run, role, err := b.Begin(t.Context(), request())
		if err != nil || role != ledger.Done || run.UID != b.uid || run.State != ledger.Failed || run.Message != "1 of 1 chunks failed" {
			t.Fatalf("%+v %v %v", run, role, err)
		}
		n, err := b.RetryErrors(t.Context(), b.uid, nil)
		if err != nil || n != 1 {
			t.Fatal(n, err)
		}
		b.finish(b.claim(1, 0))
		b.must(b.Close(t.Context(), b.uid, ledger.Finished, ""))
		run, role, err = b.Begin(t.Context(), request())
		if err != nil || role != ledger.Plan || run.UID == b.uid {
			t.Fatalf("%+v %v %v", run, role, err)
		}
	})
	t.Run("a named run is found in any state", func(t *testing.T) {
		b := empty(t, fixture)
		named := request()
		named.Name = "nightly 'é'"
		run, role, err := b.Begin(t.Context(), named)
		if err != nil || role != ledger.Plan || run.ID != named.Name || run.UID == b.uid {
			t.Fatalf("%+v %v %v", run, role, err)
		}
		b.must(b.Start(t.Context(), run.UID, "driver", nil))
		b.must(b.Close(t.Context(), run.UID, ledger.Finished, "done"))
		named.Fingerprint = "another, as a late machine has"
		again, role, err := b.Begin(t.Context(), named)
		if err != nil || role != ledger.Done || again.UID != run.UID || again.State != ledger.Finished {
			t.Fatalf("%+v %v %v", again, role, err)
		}
		named.Job = "another job"
		if again, role, err = b.Begin(t.Context(), named); err != nil || role != ledger.Plan || again.UID == run.UID {
			t.Fatalf("%+v %v %v", again, role, err)
		}
	})
	t.Run("a named run that was abandoned before it was open leaves its name to the next", func(t *testing.T) {
		b := empty(t, fixture)
		named := ledger.Request{Job: "job", Fingerprint: "f1", Name: "nightly", Driver: "driver", Lease: lease}
		first, _, err := b.Begin(t.Context(), named)
		b.must(err)
		b.must(b.Close(t.Context(), first.UID, ledger.Abandoned, "the source could not be cut"))
		second, role, err := b.Begin(t.Context(), named)
		if err != nil || role != ledger.Plan || second.ID != "nightly" || second.UID == first.UID {
			t.Fatalf("%+v %v %v", second, role, err)
		}
		b.must(b.Start(t.Context(), second.UID, "driver", json.RawMessage(`{}`)))
		b.must(b.Close(t.Context(), second.UID, ledger.Abandoned, "by --new"))
		third, role, err := b.Begin(t.Context(), named)
		if err != nil || role != ledger.Done || third.UID != second.UID {
			t.Fatalf("abandoned after it was open: %+v %v %v", third, role, err)
		}
	})
	t.Run("of drivers that begin at once one plans", func(t *testing.T) {
		h := fixture(t)
		type answer struct {
			role ledger.Role
			err  error
		}
		answers := make(chan answer)
		const drivers = 8
		for i := range drivers {
			l := open(t, h)
			go func() {
				req := request()
				req.Driver = string(rune('a' + i))
				_, role, err := l.Begin(t.Context(), req)
				answers <- answer{role, err}
			}()
		}
		planners := 0
		for range drivers {
			switch a := <-answers; {
			case a.err == nil && a.role == ledger.Plan:
				planners++
			case a.err == nil:
				t.Errorf("role %v", a.role)
			default:
				(&bench{tb: t}).want(a.err, ledger.ErrBusy)
			}
		}
		if planners != 1 {
			t.Errorf("%d planners", planners)
		}
	})
}

func testPlan(t *testing.T, fixture Fixture) {
	t.Run("adding chunks again changes nothing", func(t *testing.T) {
		b := empty(t, fixture)
		b.add(0, numbered(2500)) // more than one batch
		b.add(0, numbered(2500))
		b.add(1, numbered(2))
		if n := len(b.rows()); n != 2502 {
			t.Errorf("%d chunks", n)
		}
		b.start()
		b.want(b.AddChunks(t.Context(), b.uid, "driver", 0, numbered(1)), ledger.ErrFenced)
		totals, err := b.Totals(t.Context(), b.uid, 0)
		if err != nil || totals.PendingRows != 2500 || totals.PendingBytes != 25000 || totals.Total() != 2500 {
			t.Errorf("%+v %v", totals, err)
		}
	})
	t.Run("an error of the source ends adding", func(t *testing.T) {
		b := empty(t, fixture)
		cause := bad("the source broke")
		b.want(b.AddChunks(t.Context(), b.uid, "driver", 0, failing(cause)), cause)
	})
	t.Run("adding renews the planner's lease", func(t *testing.T) {
		b := empty(t, fixture)
		b.Advance(lease - slack)
		b.add(0, numbered(1))
		b.Advance(lease - slack)
		second := request()
		second.Driver = "second"
		_, _, err := b.Begin(t.Context(), second)
		b.want(err, ledger.ErrBusy)
	})
	t.Run("a planned run has nothing to claim, unknown runs are not found", func(t *testing.T) {
		b := empty(t, fixture)
		b.add(0, numbered(2))
		b.claim(0)
		_, err := b.Claim(t.Context(), "nope", ledger.Want{Lease: lease})
		b.want(err, ledger.ErrNotFound)
		b.want(b.AddChunks(t.Context(), "nope", "driver", 0, numbered(1)), ledger.ErrNotFound)
		b.want(b.Start(t.Context(), "nope", "driver", nil), ledger.ErrNotFound)
		b.want(b.Close(t.Context(), "nope", ledger.Finished, ""), ledger.ErrNotFound)
		b.want(b.AcquirePublish(t.Context(), "nope", "driver", lease), ledger.ErrNotFound)
		_, err = b.Run(t.Context(), "", "nope")
		b.want(err, ledger.ErrNotFound)
	})
	t.Run("the doc and the fingerprint can be replaced until the run is over", func(t *testing.T) {
		b := started(t, fixture, 1)
		b.must(b.SetDoc(t.Context(), b.uid, "f2", json.RawMessage(`{"mended":true}`)))
		run := b.runState(ledger.Open)
		if run.Fingerprint != "f2" || string(run.Doc) != `{"mended":true}` {
			t.Errorf("%+v", run)
		}
		b.must(b.Close(t.Context(), b.uid, ledger.Finished, ""))
		b.want(b.SetDoc(t.Context(), b.uid, "f3", nil), ledger.ErrFenced)
	})
	t.Run("evicted drivers lose their leases at once", func(t *testing.T) {
		b := empty(t, fixture)
		n, err := b.Evict(t.Context(), b.uid, func(h string) bool { return h == "driver" })
		if err != nil || n != 1 {
			t.Fatal(n, err)
		}
		b.Advance(1e6)
		second := request()
		second.Driver = "second"
		run, role, err := b.Begin(t.Context(), second)
		if err != nil || role != ledger.Plan {
			t.Fatal(role, err)
		}
		b.uid = run.UID
		b.must(b.AddChunks(t.Context(), b.uid, "second", 0, numbered(4)))
		b.must(b.Start(t.Context(), b.uid, "second", nil))
		dead := b.claimWith(ledger.Want{MaxChunks: 2, Worker: "dead"}, 0, 1)
		b.claimWith(ledger.Want{MaxChunks: 1, Worker: "alive"}, 2)
		var asked []string
		n, err = b.Evict(t.Context(), b.uid, func(h string) bool { asked = append(asked, h); return h == "dead" })
		if err != nil || n != 2 || len(asked) != 2 {
			t.Fatal(n, err, asked)
		}
		b.Advance(1e6)
		b.claim(0, 0, 1)
		b.want(b.Finish(t.Context(), b.uid, dead.Token, receipts(dead)), ledger.ErrFenced)
		b.states("rrrp")
	})
}
