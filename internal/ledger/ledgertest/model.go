package ledgertest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

// tick is the model's unit of time. Real time passes too while a test runs, and must stay far below it.
const tick = 1000 * time.Second

// modelChunk is what the model knows of a chunk.
type modelChunk struct {
	state            ledger.ChunkState
	bytes            int64
	attempts, losses int
	limit            int // 0: none
	token            int64
	until            int // tick at which the lease ends
	notBefore        int // tick before which it is not tried
}

// model is one stage of one open run, in the simplest form that has the ledger's semantics.
type model struct {
	chunks []modelChunk
	claims map[int64][]int // token -> indexes of its chunks, as they were given
	now    int
	last   int64 // highest token
}

func (m *model) free(c modelChunk) bool {
	return c.state == ledger.Pending && c.notBefore <= m.now || c.state == ledger.Running && c.until <= m.now
}

// claim returns what a claim must return.
func (m *model) claim(maxBytes int64, maxChunks int) []int {
	var got []int
	var bytes int64
	limit := maxChunks
	for i, c := range m.chunks {
		if !m.free(c) {
			if len(got) > 0 {
				return got
			}
			continue
		}
		if c.limit > 0 && (limit == 0 || c.limit < limit) {
			limit = c.limit
		}
		bytes += c.bytes
		if len(got) > 0 && (maxBytes > 0 && bytes > maxBytes || limit > 0 && len(got)+1 > limit) {
			return got
		}
		got = append(got, i)
	}
	return got
}

// owns reports whether a token still has all its chunks.
func (m *model) owns(token int64) bool {
	given := m.claims[token]
	return len(given) > 0 && !slices.ContainsFunc(given, func(i int) bool {
		return m.chunks[i].token != token || m.chunks[i].state != ledger.Running
	})
}

func (m *model) each(token int64, change func(*modelChunk)) {
	for _, i := range m.claims[token] {
		change(&m.chunks[i])
	}
}

// machine runs the model beside the ledger.
type machine struct {
	model
	h       Harness
	drivers []ledger.Ledger
	uid     string
}

func testModel(t *testing.T, fixture Fixture) {
	h := fixture(t)
	drivers := []ledger.Ledger{open(t, h), open(t, h), open(t, h)}
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := machine{h: h, drivers: drivers, model: model{claims: map[int64][]int{}}}
		m.begin(t, rt, fmt.Sprintf("job %d", runs))
		rt.Repeat(map[string]func(*rapid.T){
			"claim":  func(rt *rapid.T) { m.doClaim(t, rt) },
			"finish": func(rt *rapid.T) { m.doFinish(t, rt) },
			"fail":   func(rt *rapid.T) { m.doFail(t, rt) },
			"extend": func(rt *rapid.T) { m.doExtend(t, rt) },
			"split":  func(rt *rapid.T) { m.doSplit(t, rt) },
			"reopen": func(rt *rapid.T) { m.doReopen(t, rt) },
			"retry":  func(rt *rapid.T) { m.doRetry(t, rt) },
			"publish": func(rt *rapid.T) {
				err := m.driver(rt).AcquirePublish(t.Context(), m.uid, "driver", tick)
				done := !slices.ContainsFunc(m.chunks, func(c modelChunk) bool { return c.state != ledger.ChunkFinished && c.state != ledger.Split })
				if done && err != nil || !done && !errors.Is(err, ledger.ErrFenced) {
					rt.Fatalf("publish: %v, all finished: %v", err, done)
				}
			},
			"wait": func(rt *rapid.T) {
				n := rapid.IntRange(1, 3).Draw(rt, "ticks")
				m.now += n
				h.Advance(time.Duration(n) * tick)
			},
			"": func(rt *rapid.T) { m.compare(t, rt) },
		})
	})
}

func (m *machine) driver(rt *rapid.T) ledger.Ledger {
	return m.drivers[rapid.IntRange(0, len(m.drivers)-1).Draw(rt, "driver")]
}

func (m *machine) begin(t *testing.T, rt *rapid.T, job string) {
	req := request()
	req.Job = job
	run, role, err := m.drivers[0].Begin(t.Context(), req)
	if err != nil || role != ledger.Plan {
		rt.Fatal(role, err)
	}
	m.uid = run.UID
	var list []connector.Chunk
	for i, bytes := range rapid.SliceOfN(rapid.Int64Range(0, 9), 0, 8).Draw(rt, "bytes") {
		list = append(list, connector.Chunk{ID: int64(i), Key: fmt.Sprint(i), Bytes: bytes})
		m.chunks = append(m.chunks, modelChunk{state: ledger.Pending, bytes: bytes})
	}
	if err := m.drivers[0].AddChunks(t.Context(), m.uid, "driver", 0, listed(list...)); err != nil {
		rt.Fatal(err)
	}
	if err := m.drivers[0].Start(t.Context(), m.uid, "driver", nil); err != nil {
		rt.Fatal(err)
	}
}

// token draws a claim, a stale one too.
func (m *machine) token(rt *rapid.T) int64 {
	if len(m.claims) == 0 {
		rt.Skip("nothing was claimed yet")
	}
	all := make([]int64, 0, len(m.claims))
	for token := range m.claims {
		all = append(all, token)
	}
	slices.Sort(all)
	return rapid.SampledFrom(all).Draw(rt, "token")
}

func (m *machine) doClaim(t *testing.T, rt *rapid.T) {
	maxBytes, maxChunks := rapid.Int64Range(0, 30).Draw(rt, "max bytes"), rapid.IntRange(0, 4).Draw(rt, "max chunks")
	ticks := rapid.IntRange(1, 4).Draw(rt, "lease")
	want := m.claim(maxBytes, maxChunks)
	task, err := m.driver(rt).Claim(t.Context(), m.uid, ledger.Want{
		Worker: "w", Lease: time.Duration(ticks) * tick, MaxBytes: maxBytes, MaxChunks: maxChunks,
	})
	if err != nil {
		rt.Fatal(err)
	}
	var got []int
	for _, c := range task.Chunks {
		got = append(got, int(c.ID))
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("claimed %v, want %v", got, want)
	}
	if len(want) == 0 {
		return
	}
	if task.Token <= m.last {
		rt.Fatalf("token %d after %d", task.Token, m.last)
	}
	m.last = task.Token
	m.claims[task.Token] = want
	attempts, losses := 0, 0
	m.each(task.Token, func(c *modelChunk) {
		attempts, losses = max(attempts, c.attempts), max(losses, c.losses)
		c.state, c.token, c.until, c.notBefore = ledger.Running, task.Token, m.now+ticks, 0
	})
	if task.Attempts != attempts || task.Losses != losses {
		rt.Fatalf("attempts %d, losses %d, want %d, %d", task.Attempts, task.Losses, attempts, losses)
	}
}

// settle checks that an operation on a claim succeeded exactly if the token was not stale.
func (m *machine) settle(rt *rapid.T, token int64, err error) bool {
	if m.owns(token) {
		if err != nil {
			rt.Fatal(err)
		}
		return true
	}
	if !errors.Is(err, ledger.ErrFenced) {
		rt.Fatalf("stale token %d: %v", token, err)
	}
	return false
}

func (m *machine) doFinish(t *testing.T, rt *rapid.T) {
	token := m.token(rt)
	var list []connector.Receipt
	again := true
	for _, i := range m.claims[token] {
		list = append(list, connector.Receipt{ChunkID: int64(i), Token: token, RowsOut: 1})
		again = again && m.chunks[i].token == token && m.chunks[i].state == ledger.ChunkFinished
	}
	err := m.driver(rt).Finish(t.Context(), m.uid, token, list)
	if again {
		if err != nil {
			rt.Fatal(err)
		}
		return
	}
	if m.settle(rt, token, err) {
		m.each(token, func(c *modelChunk) { c.state = ledger.ChunkFinished })
	}
}

func (m *machine) doFail(t *testing.T, rt *rapid.T) {
	token := m.token(rt)
	n := len(m.claims[token])
	verdicts := []ledger.Verdict{ledger.Retry, ledger.Halve, ledger.Release}
	if n == 1 {
		verdicts = append(verdicts, ledger.Final)
	}
	f := ledger.Failure{
		Verdict: rapid.SampledFrom(verdicts).Draw(rt, "verdict"),
		Counts:  rapid.Bool().Draw(rt, "counts"), Lost: rapid.Bool().Draw(rt, "lost"),
	}
	ticks := rapid.IntRange(0, 2).Draw(rt, "delay")
	f.Delay = time.Duration(ticks) * tick
	if !m.settle(rt, token, m.driver(rt).Fail(t.Context(), m.uid, token, f)) {
		return
	}
	m.each(token, func(c *modelChunk) {
		c.state = ledger.Pending
		if f.Verdict == ledger.Release {
			return
		}
		if f.Counts {
			c.attempts++
		}
		if f.Lost {
			c.losses++
		}
		limit := 0
		switch {
		case f.Verdict == ledger.Final:
			c.state = ledger.ChunkError
			return
		case f.Verdict == ledger.Halve:
			limit = max(1, n/2)
		case n == 1:
			limit = 1
		}
		if limit > 0 && (c.limit == 0 || limit < c.limit) {
			c.limit = limit
		}
		c.notBefore = m.now + ticks
	})
}

func (m *machine) doExtend(t *testing.T, rt *rapid.T) {
	token := m.token(rt)
	lost, err := m.driver(rt).Extend(t.Context(), m.uid, []int64{token}, 3*tick)
	if err != nil || m.owns(token) != (len(lost) == 0) {
		rt.Fatalf("token %d is owned: %v, lost %v, %v", token, m.owns(token), lost, err)
	}
	if m.owns(token) {
		m.each(token, func(c *modelChunk) { c.until = m.now + 3 })
	}
}

func (m *machine) doSplit(t *testing.T, rt *rapid.T) {
	token := m.token(rt)
	if len(m.claims[token]) != 1 || len(m.chunks) > 40 {
		rt.Skip("not to be split")
	}
	parts := make([]connector.Chunk, rapid.IntRange(2, 5).Draw(rt, "parts"))
	for i := range parts {
		parts[i] = connector.Chunk{Key: fmt.Sprint("part ", i), Bytes: 1}
	}
	if !m.settle(rt, token, m.driver(rt).SplitChunk(t.Context(), m.uid, token, parts)) {
		return
	}
	m.each(token, func(c *modelChunk) { c.state = ledger.Split })
	for range parts {
		m.chunks = append(m.chunks, modelChunk{state: ledger.Pending, bytes: 1, limit: len(parts) / 2})
	}
}

func (m *machine) doReopen(t *testing.T, rt *rapid.T) {
	if len(m.chunks) == 0 {
		rt.Skip("no chunks")
	}
	i := rapid.IntRange(0, len(m.chunks)-1).Draw(rt, "chunk")
	if err := m.driver(rt).Reopen(t.Context(), m.uid, 0, []int64{int64(i)}, "gone"); err != nil {
		rt.Fatal(err)
	}
	if m.chunks[i].state == ledger.ChunkFinished {
		m.chunks[i].state = ledger.Pending
	}
}

func (m *machine) doRetry(t *testing.T, rt *rapid.T) {
	// A publishing run has nothing to retry, and says so.
	run, err := m.drivers[0].Run(t.Context(), "", m.uid)
	if err != nil {
		rt.Fatal(err)
	}
	if run.State != ledger.Open {
		rt.Skip("not open")
	}
	n, err := m.driver(rt).RetryErrors(t.Context(), m.uid, nil)
	if err != nil {
		rt.Fatal(err)
	}
	for i := range m.chunks {
		if c := &m.chunks[i]; c.state == ledger.ChunkError {
			c.state, c.attempts, c.losses, c.limit, c.notBefore = ledger.Pending, 0, 0, 0, 0
			n--
		}
	}
	if n != 0 {
		rt.Fatalf("retried %d chunks too many", n)
	}
}

// compare asserts that the ledger shows what the model believes.
func (m *machine) compare(t *testing.T, rt *rapid.T) {
	type shown struct {
		State    ledger.ChunkState
		Attempts int
	}
	var want, got []shown
	for _, c := range m.chunks {
		want = append(want, shown{c.state, c.attempts})
	}
	for r, err := range m.drivers[0].Chunks(t.Context(), m.uid) {
		if err != nil {
			rt.Fatal(err)
		}
		got = append(got, shown{r.State, r.Attempts})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatal(diff)
	}
}
