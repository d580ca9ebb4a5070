package e2e

import (
	"syscall"
	"testing"
	"time"
)

// plannerRound is two machines on one run, the first of which is far away, so that its planning takes a while.
func plannerRound(t *testing.T, a *arena, job string, lease time.Duration) *round {
	t.Helper()
	for _, j := range faultJobs() {
		if j.name == job {
			r := &round{home: newPlace(t), arena: a, job: j, lease: lease, ledgerServer: a.ledger, began: time.Now(), rng: randOf(1)}
			r.target, r.ledger = a.database(t, a.target), a.database(t, a.ledger)
			r.prepare(t)
			r.machines = []*machine{r.machine(t, "A"), r.machine(t, "B")}
			r.machines[0].toLedger.delay, r.machines[0].toData.delay = 10*time.Millisecond, 10*time.Millisecond
			t.Cleanup(func() {
				if t.Failed() {
					r.confess(t)
				}
			})
			return r
		}
	}
	t.Fatalf("no job %s", job)
	return nil
}

// planning starts a machine and waits until it plans.
func (r *round) planning(t *testing.T, m *machine) {
	t.Helper()
	m.start(t)
	eventually(t, "the run is planned", func() bool { return r.count(t, `SELECT count(*) FROM drover.run WHERE state = 'planned'`) == 1 })
}

// right ends a round: both machines end with 0, and all is as it must be.
func (r *round) right(t *testing.T) {
	t.Helper()
	for _, m := range r.machines {
		r.ended(t, m, m.now())
		if code := m.now().cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("machine %s ended with %d", m.name, code)
		}
	}
	for _, what := range append(r.wrong(t), r.wrongLedger(t)...) {
		t.Error(what)
	}
}

// TestExactlyOneDriverPlans: a planner keeps its lease however long the source takes, and one that slept past its lease wakes up to find that
// another has planned. It takes nothing from that run, gives up nothing of it, and joins it.
func TestExactlyOneDriverPlans(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	for _, job := range []string{"append", "overwrite"} {
		t.Run(job, func(t *testing.T) {
			t.Run("a slow planner keeps its lease", func(t *testing.T) {
				r := plannerRound(t, a, job, 3*time.Second) // a second is not kept over slow links
				planner, other := r.machines[0], r.machines[1]
				r.planning(t, planner)
				run := rowsOf(t, r.ledger, `SELECT uid FROM drover.run`)
				if !r.job.files {
					planner.toData.stall()
				} else {
					planner.toLedger.mu.Lock()
					planner.toLedger.delay = 100 * time.Millisecond
					planner.toLedger.mu.Unlock()
				}
				other.start(t)
				time.Sleep(2 * r.lease)
				planner.toData.heal(false)
				r.right(t)
				if got := rowsOf(t, r.ledger, `SELECT uid FROM drover.run`); got != run {
					t.Errorf("run %s was planned by another driver than run %s", got, run)
				}
			})
			for name, lost := range map[string]bool{"a planner wakes up too late": false, "a planner wakes up too late and cannot go on": true} {
				t.Run(name, func(t *testing.T) {
					r := plannerRound(t, a, job, time.Second)
					planner, other := r.machines[0], r.machines[1]
					r.planning(t, planner)
					planner.now().signal(t, syscall.SIGSTOP)
					other.start(t)
					eventually(t, "another has planned", func() bool { return r.finished(t) > 0 })
					if lost {
						planner.toData.heal(true)
					}
					planner.now().signal(t, syscall.SIGCONT)
					r.right(t)
				})
			}
		})
	}
}
