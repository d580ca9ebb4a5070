package e2e

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/droverdata/drover/internal/pgtest"
)

// fault is something that happens to a round.
type fault struct {
	name string
	// after is the part of the chunks that is finished when it happens.
	after  float64
	strike func(t *testing.T)
}

// draw draws the round's faults. The first kind follows from the seed, so that twenty rounds in a row have them all, and with different jobs.
func (r *round) draw() []fault {
	kinds := []func() fault{
		r.killDriver, r.killWorker, r.endSession, r.killServer, r.stallLink, r.cutLink, r.sleepMachine, r.fillDisk, r.stopWorker, r.killBackend,
	}
	var faults []fault
	for i, n := 0, 1+r.rng.IntN(3); i < n; i++ {
		k := r.rng.IntN(len(kinds))
		if i == 0 {
			k = (r.seed + r.seed/len(faultJobs())) % len(kinds)
		}
		f := kinds[k]()
		f.after = float64(i)/float64(n) + r.rng.Float64()/float64(n)
		if i == 0 && r.rng.IntN(4) == 0 {
			f.after = 0 // while the run is planned
		}
		wait := r.pause(300 * time.Millisecond)
		strike := f.strike
		f.strike = func(t *testing.T) {
			time.Sleep(wait)
			strike(t)
		}
		faults = append(faults, f)
	}
	return faults
}

func (r *round) any() *machine { return r.machines[r.rng.IntN(len(r.machines))] }

// pause draws a time up to most.
func (r *round) pause(most time.Duration) time.Duration {
	return time.Duration(r.rng.Int64N(int64(most)))
}

// either returns the ledger's or the data's part of something.
func either[T any](r *round, ledger, data T) (T, string) {
	if r.rng.IntN(2) == 0 {
		return ledger, "the ledger"
	}
	return data, "the data"
}

// running signals a process that may have ended.
func signal(pid int, s syscall.Signal) { _ = syscall.Kill(pid, s) }

func (r *round) killDriver() fault {
	m, again := r.any(), r.rng.IntN(2) == 0
	return fault{name: fmt.Sprintf("the driver on machine %s is killed; it starts again: %v", m.name, again), strike: func(t *testing.T) {
		signal(m.now().cmd.Process.Pid, syscall.SIGKILL)
		if again {
			<-m.now().done
			m.start(t)
		}
	}}
}

func (r *round) killWorker() fault {
	m, which := r.any(), r.rng.IntN(100)
	return fault{name: "a worker on machine " + m.name + " is killed", strike: func(t *testing.T) {
		if pids := m.now().workers(t); len(pids) > 0 {
			signal(pids[which%len(pids)], syscall.SIGKILL)
		}
	}}
}

func (r *round) endSession() fault {
	db, name := either(r, r.ledger, r.target)
	return fault{name: "some sessions at " + name + " are ended", strike: func(t *testing.T) {
		rowsOf(t, db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'drover%' AND random() < 0.5`)
	}}
}

// killBackend kills one process of a server, which then gives up all others and recovers.
func (r *round) killBackend() fault {
	db, name := either(r, r.ledger, r.target)
	return fault{name: "a session at " + name + " is killed with its process", strike: func(t *testing.T) {
		witness, err := pgx.Connect(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		defer witness.Close(t.Context()) //nolint:errcheck // its server is killed
		var pid int
		err = witness.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'drover%' ORDER BY random() LIMIT 1`).Scan(&pid)
		if errors.Is(err, pgx.ErrNoRows) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		signal(pid, syscall.SIGKILL)
		eventually(t, "the server notices", func() bool { return witness.Ping(t.Context()) != nil })
		eventually(t, "it has recovered", func() bool {
			conn, err := pgx.Connect(t.Context(), db)
			return err == nil && conn.Close(t.Context()) == nil
		})
	}}
}

func (r *round) killServer() fault {
	server, name := either(r, r.ledgerServer, r.arena.target)
	wait := r.pause(5 * time.Second)
	return fault{name: fmt.Sprintf("the server of %s is killed, for %s", name, wait.Round(time.Millisecond)), strike: func(t *testing.T) {
		killed(t, server)
		time.Sleep(wait)
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}}
}

func killed(t *testing.T, s *pgtest.Server) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (r *round) stallLink() fault {
	m := r.any()
	l, name := either(r, m.toLedger, m.toData)
	wait, lost := r.pause(3*r.lease), r.rng.IntN(2) == 0
	return fault{name: fmt.Sprintf("nothing passes between machine %s and %s for %s, then connections are lost: %v", m.name, name, wait.Round(time.Millisecond), lost), strike: func(*testing.T) {
		l.stall()
		time.Sleep(wait)
		l.heal(lost)
	}}
}

func (r *round) cutLink() fault {
	m := r.any()
	l, name := either(r, m.toLedger, m.toData)
	wait := r.pause(3 * r.lease)
	return fault{name: fmt.Sprintf("machine %s cannot reach %s for %s", m.name, name, wait.Round(time.Millisecond)), strike: func(*testing.T) {
		l.cut()
		time.Sleep(wait)
		l.heal(false)
	}}
}

func (r *round) sleepMachine() fault {
	m, whole := r.any(), r.rng.IntN(3) > 0
	wait := r.lease + r.pause(2*r.lease)
	return fault{name: fmt.Sprintf("machine %s (all of it: %v) sleeps for %s", m.name, whole, wait.Round(time.Millisecond)), strike: func(t *testing.T) {
		driver := m.now()
		signal(driver.cmd.Process.Pid, syscall.SIGSTOP)
		pids := []int{driver.cmd.Process.Pid}
		if whole {
			for _, pid := range driver.workers(t) {
				signal(pid, syscall.SIGSTOP)
				pids = append(pids, pid)
			}
		}
		time.Sleep(wait)
		for i := range pids { // workers first: they may commit what their driver does not know to be lost
			signal(pids[len(pids)-1-i], syscall.SIGCONT)
		}
	}}
}

// stopWorker stops a worker for ever. Its driver lives, and must notice.
func (r *round) stopWorker() fault {
	m, which := r.any(), r.rng.IntN(100)
	return fault{name: "a worker on machine " + m.name + " is stopped for ever", strike: func(t *testing.T) {
		if pids := m.now().workers(t); len(pids) > 0 {
			signal(pids[which%len(pids)], syscall.SIGSTOP)
		}
	}}
}

// fillDisk lets no process of a machine write more than 4 KiB into a file for a while: what it stages, and spills. Unlike a small file system that needs no
// rights, and comes and goes while the machine works; the error is EFBIG, and not ENOSPC.
func (r *round) fillDisk() fault {
	m := r.any()
	wait := r.pause(2 * time.Second)
	return fault{name: fmt.Sprintf("the disk of machine %s is full for %s", m.name, wait.Round(time.Millisecond)), strike: func(t *testing.T) {
		driver := m.now()
		processes := func() []int { return append(driver.workers(t), driver.cmd.Process.Pid) }
		limitFiles(processes(), 4<<10)
		time.Sleep(wait)
		limitFiles(processes(), noLimit)
	}}
}
