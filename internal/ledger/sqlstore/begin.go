package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/droverdata/drover/internal/ledger"
)

const runColumns = `uid, id, named, job, fingerprint, state, engine, version, @micros(started_at), @micros(finished_at), coalesce(message, ''), doc`

type runScan struct {
	run             ledger.Run
	started, ended  *int64
	doc             *string
	holder          *string
	leaseIsOver     bool
	holderRequested bool
}

func (s *runScan) dest() []any {
	r := &s.run
	d := []any{&r.UID, &r.ID, &r.Named, &r.Job, &r.Fingerprint, &r.State, &r.Engine, &r.Version, &s.started, &s.ended, &r.Message, &s.doc}
	if s.holderRequested {
		d = append(d, &s.holder, &s.leaseIsOver)
	}
	return d
}

func (s *runScan) result() ledger.Run {
	s.run.StartedAt, s.run.FinishedAt, s.run.Doc = timeOf(s.started), timeOf(s.ended), rawOf(s.doc)
	return s.run
}

// held reports whether another driver than this one has a lease on the run.
func (s *runScan) held(driver string) bool {
	return s.holder != nil && *s.holder != driver && !s.leaseIsOver
}

const findNamed = `SELECT ` + runColumns + `, holder, coalesce(lease_until <= now(), true)
	FROM @table(run) WHERE job = $1 AND id = $2`

const findUnfinished = `SELECT ` + runColumns + `, holder, coalesce(lease_until <= now(), true)
	FROM @table(run) WHERE job = $1 AND state IN ('planned', 'open', 'publishing', 'failed')
	ORDER BY number DESC LIMIT 1`

// Begin implements ledger.Ledger.
func (s *Store) Begin(ctx context.Context, req ledger.Request) (ledger.Run, ledger.Role, error) {
	req.Job, req.Name, req.Driver, req.Version = clean(req.Job), clean(req.Name), clean(req.Driver), clean(req.Version)
	var run ledger.Run
	var role ledger.Role
	err := s.db.Write(ctx, true, func(tx Tx) error {
		if err := s.db.Lock(tx, "job "+req.Job); err != nil {
			return err
		}
		found := runScan{holderRequested: true}
		query, args := findUnfinished, []any{req.Job}
		if req.Name != "" {
			query, args = findNamed, []any{req.Job, req.Name}
		}
		ok, err := first(tx, found.dest(), query, args...)
		if err != nil {
			return err
		}
		if ok && found.run.State == ledger.Abandoned && found.doc == nil {
			// It was given up before it was open, and did nothing: its name is free.
			ok = false
			if _, err := tx.Exec(`UPDATE @table(run) SET id = id || '~' || substr(uid, 1, 6) WHERE uid = $1`, found.run.UID); err != nil {
				return err
			}
		}
		if !ok && req.Name != "" {
			var pruned bool
			if run, pruned, err = findPruned(tx, req.Job, req.Name); err != nil || pruned {
				role = ledger.Done
				return err
			}
		}
		if !ok {
			role = ledger.Plan
			run, err = create(tx, req, req.Name, req.Name != "")
			return err
		}
		role, err = join(&found, req)
		run = found.result()
		if err != nil || role != ledger.Plan {
			return err
		}
		run, err = replace(tx, run, req)
		return err
	})
	if errors.Is(err, ledger.ErrBusy) || errors.Is(err, ledger.ErrMeaning) || errors.Is(err, ledger.ErrVersion) {
		return run, role, fmt.Errorf("begin run %s of job %s: %w", run.ID, req.Job, err)
	}
	if err != nil {
		return ledger.Run{}, 0, wrap(err, "begin a run of job %s", req.Job)
	}
	return run, role, nil
}

// join decides what a driver does in a run that exists.
func join(found *runScan, req ledger.Request) (ledger.Role, error) {
	switch run := found.run; {
	case run.State.Over():
		return ledger.Done, nil
	case run.Version != req.Version && (run.State != ledger.Planned || found.held(req.Driver)):
		return ledger.Work, ledger.ErrVersion
	case run.Fingerprint != req.Fingerprint:
		return ledger.Work, ledger.ErrMeaning
	case run.State != ledger.Planned:
		return ledger.Work, nil
	case found.held(req.Driver):
		return ledger.Plan, ledger.ErrBusy
	}
	return ledger.Plan, nil
}

// replace makes a run in the place of one whose planner is silent, or plans anew. A finished_at of NULL keeps the old one among the deserted.
func replace(tx Tx, old ledger.Run, req ledger.Request) (ledger.Run, error) {
	if err := tx.Later(`DELETE FROM @table(chunk) WHERE run_id = $1`, old.UID); err != nil {
		return ledger.Run{}, err
	}
	if err := tx.Later(`UPDATE @table(run) SET state = 'abandoned', id = id || '~' || substr(uid, 1, 6), message = 'its planner fell silent',
		holder = NULL, lease_until = NULL WHERE uid = $1`, old.UID); err != nil {
		return ledger.Run{}, err
	}
	return create(tx, req, old.ID, old.Named)
}

const insertRun = `INSERT INTO @table(run) (uid, id, named, job, fingerprint, state, engine, version, started_at, holder, lease_until, lease_us)
	VALUES ($1, $2, $8 = 'named', $3, $4, 'planned', $5, $9, now(), $6, @after($7), CAST($7 AS bigint))
	ON CONFLICT (job, id) DO NOTHING`

// create makes a run of that name, or one with a name that is made up for "".
func create(tx Tx, req ledger.Request, name string, named bool) (ledger.Run, error) {
	uid, naming := ledger.NewUID(), "made up"
	if named {
		naming = "named"
	}
	for {
		id := name
		if id == "" {
			// A made-up name is unique in the whole ledger, because `drover status r-k3f9` does not say the job.
			id = ledger.NewID()
			var one int64
			taken, err := first(tx, []any{&one}, `SELECT 1 FROM @table(run) WHERE id = $1 LIMIT 1`, id)
			if err != nil {
				return ledger.Run{}, err
			}
			if taken {
				continue
			}
		}
		n, err := tx.Exec(insertRun, uid, id, req.Job, req.Fingerprint, req.Engine, req.Driver, req.Lease.Microseconds(), naming, req.Version)
		if err != nil {
			return ledger.Run{}, err
		}
		if n == 0 {
			continue
		}
		var found runScan
		_, err = first(tx, found.dest(), `SELECT `+runColumns+` FROM @table(run) WHERE uid = $1`, uid)
		return found.result(), err
	}
}

// held runs a statement that names the holder, and tells a lost lease from an unknown run.
func (s *Store) held(ctx context.Context, uid, doing, statement string, args ...any) error {
	err := s.db.Write(ctx, true, func(tx Tx) error {
		n, err := tx.Exec(statement, append([]any{uid}, args...)...)
		if err == nil && n == 0 {
			err = fenced(tx, uid)
		}
		return err
	})
	return wrap(err, "%s run %s", doing, uid)
}

// fenced is what a statement that affected nothing means: the run is unknown, or not what the caller believes it to be.
func fenced(tx Tx, uid string) error {
	_, err := stateOf(tx, uid, "")
	if err != nil {
		return err
	}
	return ledger.ErrFenced
}

// stateOf returns a run's state. suffix is empty, or a row lock.
func stateOf(tx Tx, uid, suffix string) (ledger.RunState, error) {
	var state ledger.RunState
	ok, err := first(tx, []any{&state}, `SELECT state FROM @table(run) WHERE uid = $1`+suffix, uid)
	if err == nil && !ok {
		err = ledger.ErrNotFound
	}
	return state, err
}

// Start implements ledger.Ledger.
func (s *Store) Start(ctx context.Context, uid, driver string, doc json.RawMessage) error {
	return s.held(ctx, uid, "start", `UPDATE @table(run) SET state = 'open', doc = $3, holder = NULL, lease_until = NULL
		WHERE uid = $1 AND holder = $2 AND state = 'planned'`, clean(driver), jsonArg(doc))
}

// Renew implements ledger.Ledger.
func (s *Store) Renew(ctx context.Context, uid, driver string, lease time.Duration) error {
	return s.held(ctx, uid, "renew the lease on", `UPDATE @table(run) SET lease_until = @after($3)
		WHERE uid = $1 AND holder = $2 AND state IN ('planned', 'publishing')`, clean(driver), lease.Microseconds())
}

// SetDoc implements ledger.Ledger.
func (s *Store) SetDoc(ctx context.Context, uid, fingerprint string, doc json.RawMessage) error {
	return s.held(ctx, uid, "store the plan of", `UPDATE @table(run) SET fingerprint = $2, doc = $3
		WHERE uid = $1 AND state NOT IN ('finished', 'abandoned')`, fingerprint, jsonArg(doc))
}
