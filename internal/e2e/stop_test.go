package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// heldKey is the advisory lock on which the target's trigger waits.
const heldKey = 42

// gate holds up every commit of rows of the zips from 00010 on, until it is opened.
type gate struct{ conn *pgx.Conn }

// heldPlace is 16 chunks of 10 rows of which those from 00010 on cannot be written before the gate opens. The wait is a loop in a trigger, so
// that no lock timeout ends it.
func heldPlace(t *testing.T, job string) (*place, *gate) {
	t.Helper()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, fmt.Sprintf(`
CREATE TABLE raw (id bigint PRIMARY KEY, zip text, name text);
INSERT INTO raw SELECT g, lpad((g %% 16)::text, 5, '0'), 'name ' || g FROM generate_series(1, 160) g;
CREATE INDEX ON raw (zip);
CREATE TABLE clean (LIKE raw INCLUDING ALL);
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	WHILE NEW.zip >= '00010' AND NOT pg_try_advisory_xact_lock_shared(%d) LOOP PERFORM pg_sleep(0.01); END LOOP;
	RETURN NEW;
END $$;
CREATE TRIGGER hold BEFORE INSERT ON clean FOR EACH ROW EXECUTE FUNCTION hold()`, heldKey))
	p.write(t, "job.yaml", job)
	conn, err := pgx.Connect(t.Context(), p.admin)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{conn: conn}
	t.Cleanup(func() { g.open(t) })
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock($1)", heldKey); err != nil {
		t.Fatal(err)
	}
	return p, g
}

// open lets everybody pass: the lock goes with its session.
func (g *gate) open(t *testing.T) {
	t.Helper()
	if err := g.conn.Close(context.Background()); err != nil { // the test's own context is over when it cleans up
		t.Error(err)
	}
}

// held says whether somebody waits at the gate.
func (p *place) held(t *testing.T) bool {
	t.Helper()
	return p.sql(t, `SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`) == "t"
}

const heldJob = `
name: firms
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: zip}
steps:
  - set: {name: upper(name)}
sink: {postgres: {url: "${DB}", table: clean, mode: append}}
limits: {workers: 2}
`

// allOnce fails the test unless every row of raw is in clean exactly once.
func allOnce(t *testing.T, p *place) {
	t.Helper()
	if got := p.sql(t, `SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(id) FROM clean`); got != "160 160 12880" {
		t.Errorf("the target has rows, ids, sum %s", got)
	}
}

// startHeld finishes three chunks, then starts a run that is stuck at the gate.
func startHeld(t *testing.T, p *place) *process {
	t.Helper()
	if s := p.must(t, "run", "job.yaml", "--limit-chunks", "3", "--json").summary(t); s.Chunks.Finished != 3 || s.Chunks.Pending != 13 {
		t.Fatalf("--limit-chunks 3: %+v", s)
	}
	r := p.start(t, "run", "job.yaml", "--json")
	eventually(t, "a worker is held", func() bool { return p.held(t) })
	if len(r.workers(t)) == 0 {
		t.Fatal("the driver has no workers")
	}
	return r
}

// TestDriverKilled: after kill -9 of the driver no process stays behind, and the same command resumes: finished chunks are kept, no row
// is doubled.
func TestDriverKilled(t *testing.T) {
	t.Parallel()
	p, gate := heldPlace(t, heldJob)
	r := startHeld(t, p)
	r.signal(t, syscall.SIGKILL)
	if r.wait(t).code != -1 {
		t.Fatal("the driver survived")
	}
	if out := orphans(t, p.dir); out != "" {
		t.Fatalf("processes stayed behind:\n%s", out)
	}
	before := p.ledger(t, `SELECT id, finished_at, token FROM chunk WHERE state = 'finished' ORDER BY id`)
	if strings.Count(before, "\n") < 2 {
		t.Fatalf("the ledger knows only of %s", before)
	}
	gate.open(t)
	got := p.must(t, "run", "job.yaml", "--json")
	s := got.summary(t)
	if !s.Resumed || s.State != "finished" || s.Chunks.Finished != 16 || s.RowsOut != 160 {
		t.Errorf("summary: %+v", s)
	}
	if after := p.ledger(t, `SELECT id, finished_at, token FROM chunk WHERE state = 'finished' ORDER BY id`); !strings.HasPrefix(after+"\n", before+"\n") {
		t.Errorf("finished chunks did not stay as they were:\n%s\nthen\n%s", before, after)
	}
	says(t, got.stderr, s.Run)
	allOnce(t, p)
}

// TestWorkerKilled: a worker that dies is replaced and its task tried again; the run does not notice otherwise.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	p, gate := heldPlace(t, heldJob)
	r := startHeld(t, p)
	for _, pid := range r.workers(t) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	gate.open(t)
	end := r.wait(t)
	if end.code != 0 {
		t.Fatalf("exit %d\n%s", end.code, end.stderr)
	}
	if s := end.summary(t); s.State != "finished" || s.Chunks.Finished != 16 || s.RowsOut != 160 {
		t.Errorf("summary: %+v", s)
	}
	allOnce(t, p)
	if out := orphans(t, p.dir); out != "" {
		t.Errorf("processes stayed behind:\n%s", out)
	}
}

// TestInterrupt: Ctrl-C once finishes what is in flight, twice stops now; SIGTERM is the same. Always 130, resumable, and nobody stays.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		signals []syscall.Signal
		drains  bool
	}{
		{"once", []syscall.Signal{syscall.SIGINT}, true},
		{"twice", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, false},
		{"term", []syscall.Signal{syscall.SIGTERM}, true},
		{"term twice", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, gate := heldPlace(t, heldJob)
			r := startHeld(t, p)
			r.signal(t, c.signals[0])
			eventually(t, "the driver says that it drains", func() bool {
				return p.ledger(t, `SELECT count(*) FROM chunk WHERE state = 'running'`) != "0" && r.said("in flight")
			})
			if c.drains {
				gate.open(t)
			} else {
				r.signal(t, c.signals[1])
			}
			end := r.wait(t)
			if end.code != 130 {
				t.Fatalf("exit %d, want 130\n%s", end.code, end.stderr)
			}
			if out := orphans(t, p.dir); out != "" {
				t.Errorf("processes stayed behind:\n%s", out)
			}
			finished, pending := p.ledger(t, `SELECT count(*) FROM chunk WHERE state = 'finished'`), p.ledger(t, `SELECT count(*) FROM chunk WHERE state = 'pending'`)
			if s := end.summary(t); fmt.Sprint(s.Chunks.Finished) != finished || fmt.Sprint(s.Chunks.Pending) != pending || s.Chunks.Pending == 0 {
				t.Errorf("summary %+v, ledger: %s finished, %s pending", s, finished, pending)
			}
			gate.open(t)
			if s := p.must(t, "run", "job.yaml", "--json").summary(t); !s.Resumed || s.State != "finished" || s.RowsOut != 160 {
				t.Errorf("the resumed run: %+v", s)
			}
			allOnce(t, p)
		})
	}
}

// TestTwoDrivers: the same command beside a live one joins it on a shared ledger; both end with 0 and every row is there once.
func TestTwoDrivers(t *testing.T) {
	t.Parallel()
	p, gate := heldPlace(t, heldJob)
	p.setenv("DROVER_LEDGER", p.envValue("DB"))
	first := startHeld(t, p)
	second := p.start(t, "run", "job.yaml", "--json")
	eventually(t, "the second driver works too", func() bool { return len(second.workers(t)) > 0 })
	gate.open(t)
	var runs []string
	for _, r := range []*process{first, second} {
		end := r.wait(t)
		if end.code != 0 {
			t.Fatalf("exit %d\n%s", end.code, end.stderr)
		}
		s := end.summary(t)
		if s.State != "finished" || s.RowsOut != 160 || s.Chunks.Finished != 16 {
			t.Errorf("summary: %+v", s)
		}
		runs = append(runs, s.Run)
	}
	if runs[0] != runs[1] {
		t.Errorf("the runs are %v", runs)
	}
	allOnce(t, p)
	// The shared ledger reads as surface.md writes it, and keeps no password.
	if got := p.sql(t, `SELECT state || ' ' || count(*) || ' ' || sum(rows_in) || ' ' || sum(rows_out) FROM drover.chunk GROUP BY state`); got != "finished 16 160 160" {
		t.Errorf("drover.chunk says %s", got)
	}
	if got := p.sql(t, `SELECT count(*) FROM drover.run r, drover.chunk c, drover.attempt a WHERE concat(r, c, a) LIKE '%`+secret+`%'`); got != "0" {
		t.Error("the password is in the ledger")
	}
	// Rule 3: a late second machine does not load everything twice.
	late := p.drover(t, nil, "run", "job.yaml")
	if late.code != 2 {
		t.Errorf("a second append on a shared ledger: exit %d, want 2", late.code)
	}
	says(t, late.stderr, "--run", "--new")
	allOnce(t, p)
	if got := p.sql(t, `SELECT string_agg(state, ' ') FROM drover.run`); got != "finished" {
		t.Errorf("after a run that was refused the ledger has runs that are %s", got)
	}
	p.sql(t, `ALTER TABLE clean DROP CONSTRAINT clean_pkey`)
	p.must(t, "run", "job.yaml", "--run", "again")
	if s := p.must(t, "run", "job.yaml", "--run", "again", "--json").summary(t); s.State != "finished" || s.Run != "again" {
		t.Errorf("the finished named run: %+v", s)
	}
	p.must(t, "run", "job.yaml", "--new")
	if got := p.sql(t, `SELECT count(*) FROM clean`); got != "480" {
		t.Errorf("after a named run and a new one the target has %s rows", got)
	}
}
