// Package ledgertest is the conformance suite of ledger.Ledger.
package ledgertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

// Harness is one empty ledger under test.
type Harness struct {
	// Open opens the ledger once more, as another driver does. The suite shuts it down.
	Open func() (ledger.Ledger, error)
	// Advance moves the ledger's clock on. It reports failures to the test that made the harness.
	Advance func(time.Duration)
}

// Fixture makes an empty ledger.
type Fixture func(tb testing.TB) Harness

// Tests move the ledger's clock up to slack before or after a deadline: the clock runs on by itself too, and a busy machine is slow.
const (
	lease = time.Hour
	slack = 10 * time.Minute
)

// Run runs the whole suite.
func Run(t *testing.T, fixture Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"Begin": testBegin, "Plan": testPlan, "Claim": testClaim, "Lease": testLease, "Fail": testFail, "Finish": testFinish,
		"End": testEnd, "Stages": testStages, "Read": testRead, "History": testHistory, "Forget": testForget, "Machines": testMachines, "Scale": testScale, "Model": testModel, "RunModel": testRunModel,
	} {
		t.Run(name, func(t *testing.T) { test(t, fixture) })
	}
}

// bench is what most tests stand on: a ledger, and a run in it.
type bench struct {
	ledger.Ledger
	Harness
	tb  testing.TB
	uid string
}

func open(tb testing.TB, h Harness) ledger.Ledger {
	tb.Helper()
	l, err := h.Open()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Shutdown(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

func request() ledger.Request {
	return ledger.Request{Job: "job", Fingerprint: "f1", Driver: "driver", Lease: lease, Engine: "local"}
}

// empty returns a bench whose run is planned and has no chunks.
func empty(t *testing.T, fixture Fixture) *bench {
	t.Helper()
	h := fixture(t)
	b := &bench{Ledger: open(t, h), Harness: h, tb: t}
	run, role, err := b.Begin(t.Context(), request())
	if err != nil || role != ledger.Plan {
		t.Fatal(run, role, err)
	}
	b.uid = run.UID
	return b
}

// started returns a bench whose run is open with n chunks of 10 bytes and 1 row, keyed "k0", "k1", ...
func started(t *testing.T, fixture Fixture, n int) *bench {
	t.Helper()
	b := empty(t, fixture)
	b.add(0, numbered(n))
	b.start()
	return b
}

func numbered(n int) iter.Seq2[connector.Chunk, error] {
	return func(yield func(connector.Chunk, error) bool) {
		for i := range n {
			if !yield(connector.Chunk{
				ID: int64(i), Key: fmt.Sprintf("k%d", i), Bounds: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)), Rows: 1, Bytes: 10,
			}, nil) {
				return
			}
		}
	}
}

func listed(chunks ...connector.Chunk) iter.Seq2[connector.Chunk, error] {
	return func(yield func(connector.Chunk, error) bool) {
		for _, c := range chunks {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (b *bench) add(stage int, chunks iter.Seq2[connector.Chunk, error]) {
	b.tb.Helper()
	b.must(b.AddChunks(b.tb.Context(), b.uid, "driver", stage, chunks))
}

func (b *bench) start() {
	b.tb.Helper()
	b.must(b.Start(b.tb.Context(), b.uid, "driver", json.RawMessage(`{"plan": 1.50}`)))
}

func (b *bench) must(err error) {
	b.tb.Helper()
	if err != nil {
		b.tb.Fatal(err)
	}
}

// want asserts that err is target.
func (b *bench) want(err, target error) {
	b.tb.Helper()
	if !errors.Is(err, target) {
		b.tb.Fatalf("got error %v, want %v", err, target)
	}
}

// claim claims up to n chunks and asserts which.
func (b *bench) claim(n int, ids ...int64) ledger.Task {
	b.tb.Helper()
	return b.claimWith(ledger.Want{MaxChunks: n}, ids...)
}

func (b *bench) claimWith(w ledger.Want, ids ...int64) ledger.Task {
	b.tb.Helper()
	if w.Worker == "" {
		w.Worker = "worker"
	}
	if w.Lease == 0 {
		w.Lease = lease
	}
	task, err := b.Claim(b.tb.Context(), b.uid, w)
	b.must(err)
	if got := idsOf(task); !cmp.Equal(got, ids) {
		b.tb.Fatalf("claimed chunks %v, want %v", got, ids)
	}
	return task
}

func idsOf(t ledger.Task) []int64 {
	var ids []int64
	for _, c := range t.Chunks {
		ids = append(ids, c.ID)
	}
	return ids
}

func receipts(t ledger.Task) []connector.Receipt {
	list := make([]connector.Receipt, len(t.Chunks))
	for i, c := range t.Chunks {
		list[i] = connector.Receipt{ChunkID: c.ID, Token: t.Token, RowsIn: 5, RowsOut: 3, BytesIn: 50, BytesOut: 30, PeakMemory: 1000 + c.ID}
	}
	return list
}

func (b *bench) finish(t ledger.Task) {
	b.tb.Helper()
	b.must(b.Finish(b.tb.Context(), b.uid, t.Token, receipts(t)))
}

func (b *bench) fail(t ledger.Task, f ledger.Failure) {
	b.tb.Helper()
	b.must(b.Fail(b.tb.Context(), b.uid, t.Token, f))
}

// rows returns all chunks of the run.
func (b *bench) rows(states ...ledger.ChunkState) []ledger.ChunkRow {
	b.tb.Helper()
	var rows []ledger.ChunkRow
	for r, err := range b.Chunks(b.tb.Context(), b.uid, states...) {
		b.must(err)
		rows = append(rows, r)
	}
	return rows
}

// states asserts the states of all chunks, one letter each: p r f e s.
func (b *bench) states(want string) {
	b.tb.Helper()
	got := ""
	for _, r := range b.rows() {
		got += string(r.State[0])
	}
	if got != want {
		b.tb.Fatalf("chunk states %q, want %q", got, want)
	}
}

func (b *bench) runState(want ledger.RunState) ledger.Run {
	b.tb.Helper()
	run, err := b.Run(b.tb.Context(), "", b.uid)
	b.must(err)
	if run.State != want {
		b.tb.Fatalf("run is %s, want %s", run.State, want)
	}
	return run
}

func bad(message string) *drover.Error {
	return &drover.Error{Kind: drover.Data, Code: "22003", Column: "x", Sample: "'9\x00'", Message: message, Hint: "cast it"}
}
