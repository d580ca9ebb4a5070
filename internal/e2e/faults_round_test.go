package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover/internal/pgtest"
)

// round is one game of TestFaults.
type round struct {
	seed  int
	rng   *rand.Rand
	arena *arena
	job   faultJob
	lease time.Duration
	// home is the folder that all machines see.
	home *place
	// target and ledger are the URLs of the databases for the test itself; ledgerServer has the ledger, which may be in the target's database.
	target, ledger string
	ledgerServer   *pgtest.Server
	machines       []*machine
	began          time.Time
	story          []string
}

// machine is a driver, its folder and its links.
type machine struct {
	name             string
	place            *place
	toLedger, toData *link
	args             []string
	runs             []*process
}

func newRound(t *testing.T, a *arena, seed int) *round {
	t.Helper()
	r := &round{seed: seed, rng: randOf(seed), arena: a, home: newPlace(t), began: time.Now()}
	jobs := faultJobs()
	r.job = jobs[seed%len(jobs)]
	r.lease = time.Duration(1000+r.rng.IntN(1000)) * time.Millisecond
	r.target, r.ledgerServer = a.database(t, a.target), a.ledger
	if r.ledger = r.target; r.rng.IntN(3) > 0 {
		r.ledger = a.database(t, a.ledger)
	} else {
		r.ledgerServer = a.target
	}
	r.prepare(t)
	for i := range 2 + r.rng.IntN(2) {
		r.machines = append(r.machines, r.machine(t, string(rune('A'+i))))
	}
	r.tell("%s, %d machines, leases of %s, the ledger in the target's database: %v", r.job.name, len(r.machines), r.lease, r.ledger == r.target)
	return r
}

func randOf(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 5)) }

func (r *round) machine(t *testing.T, name string) *machine {
	t.Helper()
	delay := time.Duration(r.rng.IntN(4000)) * time.Microsecond
	m := &machine{
		name: name, place: newPlace(t),
		toLedger: newLink(t, r.ledgerServer.Port(), delay), toData: newLink(t, r.arena.target.Port(), delay),
	}
	m.place.setenv("DB", through(t, r.target, m.toData))
	m.place.setenv("DROVER_LEDGER", through(t, r.ledger, m.toLedger))
	m.place.setenv("IN", r.home.dir+"/in")
	m.place.setenv("OUT", r.home.dir+"/out")
	m.place.write(t, "job.yaml", r.job.yaml)
	if hours := r.rng.IntN(6) - 1; hours < 1 { // every third machine
		if hours == 0 {
			hours = 1
		}
		m.place.env = append(m.place.env, skewed(t, time.Duration(hours)*time.Hour)...)
		r.tell("the clock of machine %s is off by %d h", name, hours)
	}
	m.args = []string{
		"run", "job.yaml", "--run", "once", "--json", "--lease", r.lease.String(),
		"--workers", fmt.Sprint(1 + r.rng.IntN(2)), "--memory", "600MiB",
	}
	return m
}

// through is the URL of a database at the other end of a link.
func through(t *testing.T, text string, l *link) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = fmt.Sprintf("127.0.0.1:%d", l.port())
	return u.String()
}

func (m *machine) start(t *testing.T) { m.runs = append(m.runs, m.place.start(t, m.args...)) }

// now is the machine's newest process.
func (m *machine) now() *process { return m.runs[len(m.runs)-1] }

// tell adds a line to the round's story, which is shown where it fails.
func (r *round) tell(format string, args ...any) {
	r.story = append(r.story, fmt.Sprintf("%6.2fs ", time.Since(r.began).Seconds())+fmt.Sprintf(format, args...))
}

// play starts the machines, lets the faults happen, and looks at what is there when all have ended.
func (r *round) play(t *testing.T) {
	defer func() {
		t.Log("\n" + strings.Join(r.story, "\n"))
		if t.Failed() {
			r.confess(t)
		}
	}()
	faults := r.draw()
	for _, m := range r.machines {
		time.Sleep(time.Duration(r.rng.IntN(200)) * time.Millisecond)
		m.start(t)
	}
	for _, f := range faults {
		r.await(t, f.after)
		r.tell("%d chunks are finished: %s", r.finished(t), f.name)
		f.strike(t)
	}
	for _, m := range r.machines {
		for _, p := range m.runs {
			r.ended(t, m, p)
		}
	}
	// Whatever happened, the same command mends it at the first go: nothing is broken any more.
	last := r.machines[r.rng.IntN(len(r.machines))]
	r.tell("machine %s runs once more", last.name)
	end := last.place.drover(t, nil, last.args...)
	if end.code != 0 {
		t.Fatalf("the last run ended with %d\n%s", end.code, end.stderr)
	}
	if s := end.summary(t); s.State != "finished" || s.Chunks.Finished != s.Chunks.Total {
		t.Errorf("summary: %+v", s)
	}
	for _, what := range append(r.wrong(t), r.wrongLedger(t)...) {
		t.Error(what)
	}
	for _, m := range r.machines {
		if left := orphans(t, m.place.dir); left != "" {
			t.Errorf("processes of machine %s stayed behind:\n%s", m.name, left)
		}
	}
	for server, db := range map[*pgtest.Server]string{r.arena.target: r.target, r.ledgerServer: r.ledger} {
		eventually(t, "no session of drover's is left on port "+fmt.Sprint(server.Port()), func() bool {
			return rowsOf(t, db, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'drover%'`) == "0"
		})
	}
	r.tell("over")
}

// ended waits for a process and checks how it ended: with 0, with 3 where a server was away, or killed.
func (r *round) ended(t *testing.T, m *machine, p *process) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("the driver on machine %s does not end", m.name)
	}
	code := p.cmd.ProcessState.ExitCode()
	r.tell("the driver on machine %s has ended with %d", m.name, code)
	if code != 0 && code != 3 && code != -1 {
		t.Errorf("the driver on machine %s ended with %d", m.name, code)
	}
	result{code: code, stdout: p.stdout.String(), stderr: p.stderr.String()}.check(t)
}

// await waits until a part of the run's chunks is finished, or all machines have ended.
func (r *round) await(t *testing.T, part float64) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		busy := false
		for _, m := range r.machines {
			select {
			case <-m.now().done:
			default:
				busy = true
			}
		}
		total := r.total(t)
		if !busy || part == 0 || total > 0 && float64(r.finished(t)) >= part*float64(total) {
			return
		}
	}
	t.Fatalf("the machines do not get on: %d of %d chunks are finished", r.finished(t), r.total(t))
}

func (r *round) finished(t *testing.T) int {
	return r.count(t, `SELECT count(*) FROM drover.chunk WHERE state = 'finished'`)
}

func (r *round) total(t *testing.T) int {
	return r.count(t, `SELECT count(*) FROM drover.chunk c JOIN drover.run r ON r.uid = c.run_id WHERE c.state <> 'split' AND r.state <> 'planned'`)
}

// count counts in the ledger; 0 while there is none.
func (r *round) count(t *testing.T, query string) int {
	t.Helper()
	if rowsOf(t, r.ledger, `SELECT count(to_regclass('drover.machine'))`) == "0" {
		return 0
	}
	return number0(t, rowsOf(t, r.ledger, query))
}

func number0(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// wrongLedger says where the ledger and the receipts differ from what was done.
func (r *round) wrongLedger(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, c := range []struct{ what, db, query, want string }{
		{"runs", r.ledger, `SELECT string_agg(id || ' ' || state, ', ') FROM drover.run`, "once finished"},
		{"chunks by state", r.ledger, `SELECT string_agg(DISTINCT state, ', ') FROM drover.chunk WHERE state <> 'split'`, "finished"},
		{"rows in and out", r.ledger, `SELECT sum(rows_in) || ' ' || sum(rows_out) FROM drover.chunk WHERE state = 'finished' AND stage = 0`, r.read() + " 2400"},
		{"rows out of the last stage", r.ledger, `SELECT sum(rows_out) FROM drover.chunk WHERE state = 'finished' AND stage = (SELECT max(stage) FROM drover.chunk)`, "2400"},
		{"leases on chunks", r.ledger, `SELECT count(*) FROM drover.chunk WHERE lease_until IS NOT NULL`, "0"},
		{"attempts that have not ended", r.ledger, `SELECT count(*) FROM drover.attempt WHERE ended_at IS NULL`, "0"},
		{"chunks that were finished twice, or never", r.ledger, `SELECT count(*) FROM (SELECT FROM drover.chunk c LEFT JOIN drover.attempt a ON a.run_id = c.run_id AND a.stage = c.stage
			AND a.chunk_id = c.id AND a.token = c.token AND a.outcome = 'finished' WHERE c.state = 'finished' GROUP BY c.run_id, c.stage, c.id HAVING count(a.token) <> 1) x`, "0"},
		{"machines at work", r.ledger, `SELECT count(*) FROM drover.machine`, "0"},
	} {
		if got := rowsOf(t, c.db, c.query); got != c.want {
			out = append(out, fmt.Sprintf("%s: %s, want %s", c.what, got, c.want))
		}
	}
	if r.job.files {
		return out
	}
	uid := rowsOf(t, r.ledger, `SELECT uid FROM drover.run`)
	chunks := rowsOf(t, r.ledger, `SELECT string_agg(id || ' ' || (receipt->>'token'), ', ' ORDER BY id) FROM drover.chunk WHERE state = 'finished'`)
	for what, c := range map[string][2]string{
		"receipts":            {`SELECT string_agg(chunk_id || ' ' || token, ', ' ORDER BY chunk_id) FROM drover.receipt WHERE token > 0`, chunks},
		"receipts of strange": {`SELECT count(*) FROM drover.receipt WHERE run_uid <> '` + uid + `'`, "0"},
		"gate":                {`SELECT string_agg(run_id || ' ' || state, ', ') FROM drover.gate WHERE run_uid = '` + uid + `'`, "once closed"},
		"gates of runs that were planned in vain": {`SELECT count(*) FROM drover.gate WHERE run_uid <> '` + uid + `' AND (state, outcome) <> ('closed', 'aborted')`, "0"},
	} {
		if got := rowsOf(t, r.target, c[0]); got != c[1] {
			out = append(out, fmt.Sprintf("%s: %s, want %s", what, got, c[1]))
		}
	}
	return out
}

// read is how many rows the source gives: a table leaves out those that the filter does not want.
func (r *round) read() string {
	if strings.Contains(r.job.yaml, "${IN}") {
		return "3000"
	}
	return "2400"
}

// confess shows all that the machines said.
func (r *round) confess(t *testing.T) {
	t.Helper()
	for _, m := range r.machines {
		for i, p := range m.runs {
			t.Logf("machine %s, run %d:\n%s%s", m.name, i+1, p.stderr.String(), p.stdout.String())
		}
	}
	t.Logf("to play it again: DROVER_FAULT_SEED=%d go test ./internal/e2e -run TestFaults -count=1 -v", r.seed)
}
