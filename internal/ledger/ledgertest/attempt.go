package ledgertest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

func testFail(t *testing.T, fixture Fixture) {
	t.Run("halving narrows down to one chunk", func(t *testing.T) {
		b := started(t, fixture, 8)
		fail := ledger.Failure{Verdict: ledger.Halve, Error: bad("no")}
		b.fail(b.claim(0, 0, 1, 2, 3, 4, 5, 6, 7), fail)
		b.fail(b.claim(0, 0, 1, 2, 3), fail)
		b.fail(b.claim(0, 0, 1), fail)
		one := b.claim(0, 0)
		if one.Attempts != 0 {
			t.Errorf("failures in company counted %d attempts", one.Attempts)
		}
		b.claim(0, 1)
		b.claim(0, 2, 3)
		b.claim(0, 4, 5, 6, 7)
	})
	t.Run("an odd number is halved downwards", func(t *testing.T) {
		b := started(t, fixture, 3)
		b.fail(b.claim(0, 0, 1, 2), ledger.Failure{Verdict: ledger.Halve})
		b.claim(0, 0)
	})
	t.Run("a task never exceeds the smallest limit of its chunks", func(t *testing.T) {
		b := started(t, fixture, 6)
		loose, tight := b.claim(2, 0, 1), b.claim(4, 2, 3, 4, 5)
		b.fail(tight, ledger.Failure{Verdict: ledger.Halve}) // at most 2
		b.fail(loose, ledger.Failure{Verdict: ledger.Release})
		b.claim(0, 0, 1) // 2 would make it three
		b.claim(0, 2, 3)
	})
	t.Run("the last attempt ends in error and its neighbours go on", func(t *testing.T) {
		b := started(t, fixture, 2)
		want := bad("out of range")
		b.fail(b.claim(1, 0), ledger.Failure{Verdict: ledger.Retry, Counts: true, Error: want})
		task := b.claim(0, 0) // it stays alone
		if task.Attempts != 1 {
			t.Errorf("%d attempts", task.Attempts)
		}
		b.fail(task, ledger.Failure{Verdict: ledger.Final, Counts: true, Error: want})
		b.finish(b.claim(0, 1))
		b.claim(0)
		b.states("ef")
		row := b.rows(ledger.ChunkError)[0]
		if diff := cmp.Diff(want, row.Error); diff != "" {
			t.Error(diff)
		}
		if row.Attempts != 2 || row.Worker != "worker" || row.StartedAt.IsZero() || row.FinishedAt.IsZero() {
			t.Errorf("%+v", row)
		}
	})
	t.Run("only a chunk alone can end in error", func(t *testing.T) {
		b := started(t, fixture, 2)
		task := b.claim(0, 0, 1)
		if err := b.Fail(t.Context(), b.uid, task.Token, ledger.Failure{Verdict: ledger.Final}); err == nil {
			t.Error("two chunks were given up")
		}
		b.states("rr")
	})
	t.Run("a retry waits for its delay", func(t *testing.T) {
		b := started(t, fixture, 2)
		b.fail(b.claim(0, 0, 1), ledger.Failure{Verdict: ledger.Retry, Delay: time.Hour})
		b.claim(0)
		b.Advance(time.Hour - slack)
		b.claim(0)
		b.Advance(2 * slack)
		b.claim(0, 0, 1)
	})
	t.Run("a release counts nothing and waits for nothing", func(t *testing.T) {
		b := started(t, fixture, 1)
		b.fail(b.claim(0, 0), ledger.Failure{Verdict: ledger.Release, Counts: true, Lost: true, Delay: time.Hour})
		if task := b.claim(0, 0); task.Attempts != 0 || task.Losses != 0 {
			t.Errorf("%+v", task)
		}
	})
	t.Run("losses count for themselves", func(t *testing.T) {
		b := started(t, fixture, 1)
		b.fail(b.claim(0, 0), ledger.Failure{Verdict: ledger.Retry, Lost: true, Error: bad("overrun")})
		if task := b.claim(0, 0); task.Attempts != 0 || task.Losses != 1 {
			t.Errorf("%+v", task)
		}
	})
	t.Run("a split chunk is replaced by its parts", func(t *testing.T) {
		b := started(t, fixture, 3)
		parts := []connector.Chunk{
			{Key: "k1 a", Bounds: json.RawMessage(`{"half":1}`), Rows: 3, Bytes: 4},
			{Key: "k1 b", Bounds: json.RawMessage(`{"half":2}`), Rows: 5, Bytes: 6},
		}
		all := b.claim(0, 0, 1, 2)
		if err := b.SplitChunk(t.Context(), b.uid, all.Token, parts); err == nil {
			t.Error("a claim of three was split")
		}
		b.fail(all, ledger.Failure{Verdict: ledger.Release})
		b.claim(1, 0)
		b.must(b.SplitChunk(t.Context(), b.uid, b.claim(1, 1).Token, parts))
		b.states("rsppp")
		b.claim(0, 2)
		task := b.claim(0, 3) // never with the other part, which would be the whole again
		parts[0].ID = 3
		if diff := cmp.Diff(parts[:1], task.Chunks); diff != "" {
			t.Error(diff)
		}
		b.claim(0, 4)
		totals, err := b.Totals(t.Context(), b.uid, 0)
		if err != nil || totals.Total() != 4 || totals.Chunks[ledger.Split] != 1 {
			t.Errorf("%+v %v", totals, err)
		}
	})
}

func testFinish(t *testing.T, fixture Fixture) {
	t.Run("all or none", func(t *testing.T) {
		b := started(t, fixture, 3)
		task := b.claim(0, 0, 1, 2)
		for name, wrong := range map[string][]connector.Receipt{
			"too few": receipts(task)[:2], "none": nil,
			"twice":   {{ChunkID: 0}, {ChunkID: 0}, {ChunkID: 1}},
			"another": {{ChunkID: 0}, {ChunkID: 1}, {ChunkID: 3}},
		} {
			if err := b.Finish(t.Context(), b.uid, task.Token, wrong); err == nil {
				t.Error(name)
			}
			b.states("rrr")
		}
		b.finish(task)
		b.states("fff")
		b.finish(task) // the first answer may have been lost
		b.want(b.Fail(t.Context(), b.uid, task.Token, ledger.Failure{Verdict: ledger.Retry}), ledger.ErrFenced)
		b.states("fff")
	})
	t.Run("receipts come back as they were, in the order of chunks, with the token they carry", func(t *testing.T) {
		b := started(t, fixture, 4)
		late, early := b.claim(2, 0, 1), b.claim(2, 2, 3)
		b.finish(early)
		want := []connector.Receipt{
			{ChunkID: 0, Token: late.Token - 1, RowsIn: 1 << 40, RowsOut: 2, RowsScanned: new(int64(3)), BytesIn: 4, BytesOut: 5, PeakMemory: 6, Publish: json.RawMessage(`{"files":["a'b\"","ü"],"n":9007199254740993}`)},
			{ChunkID: 1, Token: late.Token},
		}
		b.must(b.Finish(t.Context(), b.uid, late.Token, []connector.Receipt{want[1], want[0]}))
		want = append(want, receipts(early)...)
		var got []connector.Receipt
		for r, err := range b.Receipts(t.Context(), b.uid, 0) {
			b.must(err)
			got = append(got, r)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for _, err := range b.Receipts(t.Context(), b.uid, 0) {
			b.must(err)
			break // a reader may stop early
		}
		totals, err := b.Totals(t.Context(), b.uid, 0)
		if err != nil || totals.RowsIn != 1<<40+10 || totals.RowsOut != 8 || totals.BytesIn != 104 || totals.BytesOut != 65 || totals.PeakMemory != 1003 {
			t.Errorf("%+v %v", totals, err)
		}
	})
	t.Run("rule 23: rows scanned are kept where they are known, and summed up where they are known of all", func(t *testing.T) {
		b := started(t, fixture, 3)
		scanned := func(id int64, n *int64) {
			task := b.claim(1, id)
			list := receipts(task)
			list[0].RowsScanned = n
			b.must(b.Finish(t.Context(), b.uid, task.Token, list))
		}
		total := func() *int64 {
			totals, err := b.Totals(t.Context(), b.uid, 0)
			b.must(err)
			return totals.RowsScanned
		}
		scanned(0, new(int64(7)))
		scanned(1, new(int64(0)))
		if got := total(); got == nil || *got != 7 {
			t.Errorf("scanned %v, want 7", got)
		}
		scanned(2, nil)
		if got := total(); got != nil {
			t.Errorf("scanned %d, which nobody knows", *got)
		}
		if rows := b.rows(); rows[0].RowsScanned == nil || *rows[0].RowsScanned != 7 || rows[1].RowsScanned == nil || rows[2].RowsScanned != nil {
			t.Errorf("%+v", rows)
		}
		b.must(b.Reopen(t.Context(), b.uid, 0, []int64{0}, "gone"))
		if row := b.rows()[0]; row.RowsScanned != nil {
			t.Errorf("%+v", row)
		}
	})
	t.Run("rejected rows are counted once", func(t *testing.T) {
		b := started(t, fixture, 2)
		task := b.claim(0, 0, 1)
		list := receipts(task)
		list[0].RowsRejected, list[0].Rejects = 2, json.RawMessage(`{"files":["x"]}`)
		b.must(b.Finish(t.Context(), b.uid, task.Token, list))
		b.must(b.Finish(t.Context(), b.uid, task.Token, list))
		totals, err := b.Totals(t.Context(), b.uid, 0)
		if rows := b.rows(); err != nil || totals.RowsRejected != 2 || rows[0].RowsRejected != 2 || rows[1].RowsRejected != 0 {
			t.Errorf("%+v %+v %v", totals, rows, err)
		}
		for r, err := range b.Receipts(t.Context(), b.uid, 0) {
			if err != nil || (r.RowsRejected == 2) != (string(r.Rejects) == `{"files":["x"]}`) {
				t.Errorf("%+v %v", r, err)
			}
		}
		b.must(b.Reopen(t.Context(), b.uid, 0, []int64{0}, "gone"))
		if totals, err := b.Totals(t.Context(), b.uid, 0); err != nil || totals.RowsRejected != 0 {
			t.Errorf("%+v %v", totals, err)
		}
	})
	t.Run("reopened chunks run again", func(t *testing.T) {
		b := started(t, fixture, 3)
		b.finish(b.claim(0, 0, 1, 2))
		b.must(b.AcquirePublish(t.Context(), b.uid, "driver", lease))
		b.must(b.Reopen(t.Context(), b.uid, 0, []int64{0, 2}, "its receipt is gone from the target"))
		b.states("pfp")
		b.runState(ledger.Open)
		row := b.rows()[0]
		if row.Error == nil || row.Error.Message != "its receipt is gone from the target" || row.RowsOut != 0 {
			t.Errorf("%+v", row)
		}
		b.want(b.AcquirePublish(t.Context(), b.uid, "driver", lease), ledger.ErrFenced)
		b.finish(b.claim(0, 0))
		b.finish(b.claim(0, 2))
		b.must(b.AcquirePublish(t.Context(), b.uid, "driver", lease))
		b.must(b.Close(t.Context(), b.uid, ledger.Finished, ""))
		b.want(b.Reopen(t.Context(), b.uid, 0, []int64{0}, "late"), ledger.ErrFenced)
		b.states("fff")
	})
}

func testEnd(t *testing.T, fixture Fixture) {
	t.Run("one driver publishes, once every chunk is finished", func(t *testing.T) {
		b := started(t, fixture, 1)
		b.want(b.AcquirePublish(t.Context(), b.uid, "a", lease), ledger.ErrFenced)
		task := b.claim(0, 0)
		b.want(b.AcquirePublish(t.Context(), b.uid, "a", lease), ledger.ErrFenced)
		b.finish(task)
		b.must(b.AcquirePublish(t.Context(), b.uid, "a", lease))
		b.runState(ledger.Publishing)
		b.want(b.AcquirePublish(t.Context(), b.uid, "b", lease), ledger.ErrBusy)
		b.Advance(lease - slack)
		b.must(b.AcquirePublish(t.Context(), b.uid, "a", lease))
		b.Advance(lease - slack)
		b.want(b.AcquirePublish(t.Context(), b.uid, "b", lease), ledger.ErrBusy)
		b.Advance(2 * slack)
		b.must(b.AcquirePublish(t.Context(), b.uid, "b", lease))
		b.want(b.Renew(t.Context(), b.uid, "a", lease), ledger.ErrFenced)
		b.must(b.Close(t.Context(), b.uid, ledger.Finished, "12 rows"))
		b.must(b.Close(t.Context(), b.uid, ledger.Failed, "too late"))
		if run := b.runState(ledger.Finished); run.Message != "12 rows" || run.FinishedAt.IsZero() {
			t.Errorf("%+v", run)
		}
		b.want(b.AcquirePublish(t.Context(), b.uid, "b", lease), ledger.ErrFenced)
	})
	t.Run("a run without chunks is published too", func(t *testing.T) {
		b := started(t, fixture, 0)
		b.must(b.AcquirePublish(t.Context(), b.uid, "a", lease))
	})
	t.Run("a chunk in error keeps its run from being published", func(t *testing.T) {
		b := started(t, fixture, 1)
		b.fail(b.claim(0, 0), ledger.Failure{Verdict: ledger.Final})
		b.want(b.AcquirePublish(t.Context(), b.uid, "a", lease), ledger.ErrFenced)
	})
	t.Run("closing fences running claims off", func(t *testing.T) {
		b := started(t, fixture, 3)
		task := b.claim(2, 0, 1)
		b.must(b.Close(t.Context(), b.uid, ledger.Failed, "max_errors"))
		b.want(b.Finish(t.Context(), b.uid, task.Token, receipts(task)), ledger.ErrFenced)
		lost, err := b.Extend(t.Context(), b.uid, []int64{task.Token}, lease)
		if err != nil || len(lost) != 1 {
			t.Error(lost, err)
		}
		_, err = b.Claim(t.Context(), b.uid, ledger.Want{Lease: lease})
		b.want(err, ledger.ErrFenced)
		b.states("ppp")
		b.must(b.Close(t.Context(), b.uid, ledger.Abandoned, "--new"))
		b.runState(ledger.Abandoned)
		if err := b.Close(t.Context(), b.uid, ledger.Open, ""); err == nil {
			t.Error("closed as open")
		}
	})
	t.Run("errors are retried, all or by key", func(t *testing.T) {
		b := started(t, fixture, 3)
		for i := range 3 {
			b.fail(b.claim(1, int64(i)), ledger.Failure{Verdict: ledger.Final, Counts: true, Lost: true, Error: bad("no")})
		}
		b.must(b.Close(t.Context(), b.uid, ledger.Failed, ""))
		if n, err := b.RetryErrors(t.Context(), b.uid, []string{"nope"}); err != nil || n != 0 {
			t.Error(n, err)
		}
		b.runState(ledger.Failed)
		if n, err := b.RetryErrors(t.Context(), b.uid, []string{"k1"}); err != nil || n != 1 {
			t.Error(n, err)
		}
		run := b.runState(ledger.Open)
		if !run.FinishedAt.IsZero() {
			t.Errorf("%+v", run)
		}
		b.states("epe")
		if task := b.claim(0, 1); task.Attempts != 0 || task.Losses != 0 {
			t.Errorf("%+v", task)
		}
		if n, err := b.RetryErrors(t.Context(), b.uid, nil); err != nil || n != 2 {
			t.Error(n, err)
		}
		b.states("prp")
		b.must(b.Close(t.Context(), b.uid, ledger.Abandoned, ""))
		_, err := b.RetryErrors(t.Context(), b.uid, nil)
		b.want(err, ledger.ErrFenced)
	})
}
