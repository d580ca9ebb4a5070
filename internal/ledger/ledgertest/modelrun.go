package ledgertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

// modelRuns is the life of one job's runs, as several drivers begin, plan, publish, end and forget them, in the simplest form that has the ledger's semantics.
type modelRuns struct {
	h       Harness
	drivers []ledger.Ledger
	job     string
	now     int
	seen    []string // the run that each driver knows of; it may have been replaced since

	uid      string // the current run; empty where there is none
	state    ledger.RunState
	holder   string
	until    int // tick at which the holder's lease ends
	lease    int // in ticks, as Begin was told
	left     int // chunks that are not finished
	chunks   []modelKey
	machines map[string]int
	deserted int
	// loaded is what finished runs have loaded: chunk: {new_keys: true} loads nothing else (exactness.md 21).
	loaded map[string][]string // by run
}

// modelKey is a chunk of the current run. A split one is loaded by its parts.
type modelKey struct {
	key         string
	done, split bool
}

// testRunModel runs the model beside the ledger.
func testRunModel(t *testing.T, fixture Fixture) {
	h := fixture(t)
	drivers := []ledger.Ledger{open(t, h), open(t, h), open(t, h)}
	jobs := 0
	rapid.Check(t, func(rt *rapid.T) {
		jobs++
		m := &modelRuns{h: h, drivers: drivers, job: fmt.Sprintf("lives %d", jobs), seen: make([]string, len(drivers)), machines: map[string]int{}, loaded: map[string][]string{}}
		rt.Repeat(map[string]func(*rapid.T){
			"begin":   func(rt *rapid.T) { m.begin(t, rt) },
			"plan":    func(rt *rapid.T) { m.plan(t, rt) },
			"start":   func(rt *rapid.T) { m.start(t, rt) },
			"renew":   func(rt *rapid.T) { m.renew(t, rt) },
			"work":    func(rt *rapid.T) { m.work(t, rt) },
			"split":   func(rt *rapid.T) { m.split(t, rt) },
			"publish": func(rt *rapid.T) { m.publish(t, rt) },
			"reopen":  func(rt *rapid.T) { m.reopen(t, rt) },
			"close":   func(rt *rapid.T) { m.end(t, rt) },
			"beat":    func(rt *rapid.T) { m.beat(t, rt) },
			"evict":   func(rt *rapid.T) { m.evict(t, rt) },
			"sweep":   func(rt *rapid.T) { m.sweep(t, rt) },
			"forget":  func(rt *rapid.T) { m.forget(t, rt) },
			"wait": func(rt *rapid.T) {
				n := rapid.IntRange(1, 3).Draw(rt, "ticks")
				m.now += n
				h.Advance(time.Duration(n) * tick)
			},
			"": func(rt *rapid.T) { m.compare(t, rt) },
		})
	})
}

// draw picks a driver.
func (m *modelRuns) draw(rt *rapid.T) (int, string, ledger.Ledger) {
	i := rapid.IntRange(0, len(m.drivers)-1).Draw(rt, "driver")
	return i, fmt.Sprint("host/", i), m.drivers[i]
}

// known picks a driver that knows of a run, and says whether that is the current one.
func (m *modelRuns) known(rt *rapid.T) (name, uid string, l ledger.Ledger, current bool) {
	i, name, l := m.draw(rt)
	if m.seen[i] == "" {
		rt.Skip("it knows of no run")
	}
	return name, m.seen[i], l, m.seen[i] == m.uid
}

// allowed checks that a change was made exactly if it is allowed: all others are fenced off, or find no run.
func allowed(rt *rapid.T, err error, is bool) bool {
	if is && err != nil || !is && !errors.Is(err, ledger.ErrFenced) && !errors.Is(err, ledger.ErrNotFound) {
		rt.Fatalf("allowed: %v, and the ledger says %v", is, err)
	}
	return is
}

func (m *modelRuns) held(by string) bool { return m.holder != "" && m.holder != by && m.until > m.now }

func (m *modelRuns) begin(t *testing.T, rt *rapid.T) {
	i, name, l := m.draw(rt)
	lease := rapid.IntRange(1, 4).Draw(rt, "lease")
	run, role, err := l.Begin(t.Context(), ledger.Request{Job: m.job, Fingerprint: "f", Driver: name, Lease: time.Duration(lease) * tick})
	fresh := m.uid == "" || m.state == ledger.Finished || m.state == ledger.Abandoned
	if !fresh && m.state == ledger.Planned && m.held(name) {
		if !errors.Is(err, ledger.ErrBusy) {
			rt.Fatalf("busy, and the ledger says %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	want := ledger.Work
	switch {
	case fresh || m.state == ledger.Planned:
		want = ledger.Plan
	case m.state == ledger.Failed:
		want = ledger.Done
	}
	if role != want || (run.UID == m.uid) != (want != ledger.Plan) {
		rt.Fatalf("role %v in run %s, want %v; the run was %s", role, run.UID, want, m.uid)
	}
	m.seen[i] = run.UID
	if want != ledger.Plan {
		return
	}
	if !fresh {
		m.deserted++
	}
	m.uid, m.state, m.holder, m.lease, m.until, m.left, m.machines = run.UID, ledger.Planned, name, lease, m.now+lease, 0, map[string]int{}
	m.chunks = nil
	if rapid.Bool().Draw(rt, "goes on") { // a run that gets far would be rare
		m.planBy(t, rt, name, run.UID, l, true)
		m.startBy(t, rt, name, run.UID, l, true)
		for i := range m.seen {
			m.seen[i] = run.UID
		}
	}
}

// compareKeys asserts that the ledger tells a planner what finished runs have loaded.
func (m *modelRuns) compareKeys(t *testing.T, rt *rapid.T, l ledger.Ledger) {
	var keys []string
	for run, err := range l.History(t.Context(), ledger.Past{Job: m.job, States: []ledger.RunState{ledger.Finished}}) {
		if err != nil {
			rt.Fatal(err)
		}
		for c, err := range l.Chunks(t.Context(), run.UID, ledger.ChunkFinished, ledger.Split) {
			if err != nil {
				rt.Fatal(err)
			}
			keys = append(keys, c.Key)
		}
	}
	slices.Sort(keys)
	if want := m.keys(); !slices.Equal(keys, want) {
		rt.Fatalf("finished runs have loaded %q, want %q", keys, want)
	}
}

func (m *modelRuns) plan(t *testing.T, rt *rapid.T) {
	name, uid, l, current := m.known(rt)
	m.planBy(t, rt, name, uid, l, current)
}

func (m *modelRuns) planBy(t *testing.T, rt *rapid.T, name, uid string, l ledger.Ledger, current bool) {
	var fresh []connector.Chunk
	var chunks []modelKey
	loaded := m.keys()
	for i := range 2*len(loaded) + 2 { // keys come into being as time goes by
		if key := fmt.Sprintf("k%d", i); !slices.Contains(loaded, key) && len(fresh) < 2 {
			fresh = append(fresh, connector.Chunk{ID: int64(len(fresh)), Key: key})
			chunks = append(chunks, modelKey{key: key})
		}
	}
	err := l.AddChunks(t.Context(), uid, name, 0, listed(fresh...))
	if allowed(rt, err, current && m.state == ledger.Planned && m.holder == name) {
		m.left, m.chunks, m.until = 2, chunks, m.now+m.lease
	}
}

// keys is what finished runs have loaded, in order, each once for every run that did.
func (m *modelRuns) keys() []string {
	var all []string
	for _, keys := range m.loaded {
		all = append(all, keys...)
	}
	slices.Sort(all)
	return all
}

func (m *modelRuns) start(t *testing.T, rt *rapid.T) {
	name, uid, l, current := m.known(rt)
	m.startBy(t, rt, name, uid, l, current)
}

func (m *modelRuns) startBy(t *testing.T, rt *rapid.T, name, uid string, l ledger.Ledger, current bool) {
	if allowed(rt, l.Start(t.Context(), uid, name, nil), current && m.state == ledger.Planned && m.holder == name) {
		m.state, m.holder = ledger.Open, ""
	}
}

func (m *modelRuns) renew(t *testing.T, rt *rapid.T) {
	name, uid, l, current := m.known(rt)
	lease := rapid.IntRange(1, 4).Draw(rt, "lease")
	err := l.Renew(t.Context(), uid, name, time.Duration(lease)*tick)
	if allowed(rt, err, current && (m.state == ledger.Planned || m.state == ledger.Publishing) && m.holder == name) {
		m.until = m.now + lease
	}
}

// work finishes what is left of an open run.
func (m *modelRuns) work(t *testing.T, rt *rapid.T) {
	name, uid, l, current := m.known(rt)
	done := 0
	for {
		task, err := l.Claim(t.Context(), uid, ledger.Want{Worker: name, Lease: tick})
		if !current || m.state != ledger.Open {
			if len(task.Chunks) > 0 {
				rt.Fatalf("chunks of a run that is %s", m.state)
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		if len(task.Chunks) == 0 {
			break
		}
		if err := l.Finish(t.Context(), uid, task.Token, receipts(task)); err != nil {
			rt.Fatal(err)
		}
		done += len(task.Chunks)
	}
	if done != m.left {
		rt.Fatalf("finished %d of %d chunks", done, m.left)
	}
	m.left = 0
	for i := range m.chunks {
		m.chunks[i].done = true
	}
}

// split replaces a chunk of an open run by two.
func (m *modelRuns) split(t *testing.T, rt *rapid.T) {
	name, uid, l, current := m.known(rt)
	if !current || m.state != ledger.Open || m.left == 0 || len(m.chunks) > 6 {
		rt.Skip("nothing to split")
	}
	task, err := l.Claim(t.Context(), uid, ledger.Want{Worker: name, Lease: tick, MaxChunks: 1})
	if err != nil || len(task.Chunks) != 1 {
		rt.Fatalf("claimed %d chunks: %v", len(task.Chunks), err)
	}
	whole := &m.chunks[task.Chunks[0].ID]
	parts := []connector.Chunk{{Key: whole.key + " a"}, {Key: whole.key + " b"}}
	if err := l.SplitChunk(t.Context(), uid, task.Token, parts); err != nil {
		rt.Fatal(err)
	}
	whole.split = true
	m.chunks = append(m.chunks, modelKey{key: parts[0].Key}, modelKey{key: parts[1].Key})
	m.left++
}

func (m *modelRuns) publish(t *testing.T, rt *rapid.T) {
	name, uid, l, current := m.known(rt)
	lease := rapid.IntRange(1, 4).Draw(rt, "lease")
	err := l.AcquirePublish(t.Context(), uid, name, time.Duration(lease)*tick)
	there := current && (m.state == ledger.Open || m.state == ledger.Publishing)
	if there && m.held(name) {
		if !errors.Is(err, ledger.ErrBusy) {
			rt.Fatalf("busy, and the ledger says %v", err)
		}
		return
	}
	if allowed(rt, err, there && m.left == 0) {
		m.state, m.holder, m.until = ledger.Publishing, name, m.now+lease
	}
}

func (m *modelRuns) reopen(t *testing.T, rt *rapid.T) {
	_, uid, l, current := m.known(rt)
	err := l.Reopen(t.Context(), uid, 0, []int64{0, 1}, "gone")
	if !allowed(rt, err, current && (m.state == ledger.Open || m.state == ledger.Publishing)) {
		return
	}
	for i := range min(2, len(m.chunks)) {
		if c := &m.chunks[i]; c.done && !c.split {
			c.done = false
			m.left++
			m.state, m.holder = ledger.Open, ""
		}
	}
}

func (m *modelRuns) end(t *testing.T, rt *rapid.T) {
	_, uid, l, current := m.known(rt)
	state := rapid.SampledFrom([]ledger.RunState{ledger.Finished, ledger.Finished, ledger.Failed, ledger.Abandoned}).Draw(rt, "state")
	err := l.Close(t.Context(), uid, state, "")
	if err != nil && (current || !errors.Is(err, ledger.ErrNotFound)) {
		rt.Fatal(err)
	}
	if !current || m.state == ledger.Finished || m.state == ledger.Abandoned || m.state == ledger.Failed && state != ledger.Abandoned {
		return // over already
	}
	if state == ledger.Finished {
		for _, c := range m.chunks {
			if c.done || c.split {
				m.loaded[uid] = append(m.loaded[uid], c.key)
			}
		}
	}
	m.state, m.holder, m.machines = state, "", map[string]int{}
	m.compareKeys(t, rt, l)
}

func (m *modelRuns) beat(t *testing.T, rt *rapid.T) {
	name, uid, l, current := m.known(rt)
	if !current {
		rt.Skip("a zombie's beat is shown with its own run")
	}
	workers := rapid.IntRange(0, 3).Draw(rt, "workers")
	if workers == 0 {
		delete(m.machines, name)
		if err := l.Leave(t.Context(), uid, name); err != nil {
			rt.Fatal(err)
		}
		return
	}
	if allowed(rt, l.Beat(t.Context(), uid, name, workers), !m.state.Over()) {
		m.machines[name] = workers
	}
}

func (m *modelRuns) evict(t *testing.T, rt *rapid.T) {
	_, uid, l, current := m.known(rt)
	_, dead, _ := m.draw(rt)
	n, err := l.Evict(t.Context(), uid, func(holder string) bool { return holder == dead })
	want := int64(0)
	if current && m.holder == dead && m.until > m.now {
		want, m.until = 1, m.now
	}
	if err != nil || n != want {
		rt.Fatalf("%d leases ended, want %d: %v", n, want, err)
	}
}

// sweep forgets the runs whose planners fell silent.
func (m *modelRuns) sweep(t *testing.T, rt *rapid.T) {
	_, _, l := m.draw(rt)
	for run, err := range l.History(t.Context(), ledger.Past{Job: m.job, Deserted: true}) {
		if err == nil {
			err = l.Forget(t.Context(), run.UID)
		}
		if err != nil || run.UID == m.uid {
			rt.Fatal(run, err)
		}
		m.deserted--
	}
	if m.deserted != 0 {
		rt.Fatalf("%d deserted runs are not listed", m.deserted)
	}
}

func (m *modelRuns) forget(t *testing.T, rt *rapid.T) {
	_, uid, l, current := m.known(rt)
	if !current {
		rt.Skip("another run's")
	}
	if allowed(rt, l.Forget(t.Context(), uid), m.state == ledger.Finished || m.state == ledger.Abandoned) {
		m.uid, m.machines = "", map[string]int{}
		delete(m.loaded, uid)
	}
}

// compare asserts that the ledger shows what the model believes.
func (m *modelRuns) compare(t *testing.T, rt *rapid.T) {
	if m.uid == "" {
		return
	}
	run, err := m.drivers[0].Run(t.Context(), "", m.uid)
	if err != nil || run.State != m.state {
		rt.Fatalf("the run is %s, want %s: %v", run.State, m.state, err)
	}
	list, err := m.drivers[0].Machines(t.Context(), m.uid)
	if err != nil {
		rt.Fatal(err)
	}
	got := map[string]int{}
	for _, machine := range list {
		got[machine.Driver] = machine.Workers
	}
	if !maps.Equal(got, m.machines) {
		rt.Fatalf("machines %v, want %v", got, m.machines)
	}
}
