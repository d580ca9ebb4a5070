package sqlstore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

// claimable selects the chunks of an open run that may be taken now.
const claimable = ` FROM @table(chunk) @indexed(chunk_claimable)
	WHERE run_id = $1 AND state IN ('pending', 'running')
	AND (state = 'pending' AND (not_before IS NULL OR not_before <= now()) OR state = 'running' AND lease_until <= now())
	AND stage = $2 AND id > $3 AND EXISTS (SELECT 1 FROM @table(run) WHERE uid = $1 AND state = 'open')`

const (
	selectClaimable = `SELECT stage, id, key, bounds, estimated_rows, estimated_bytes, attempts, losses,
		coalesce(pack_limit, 0), state, coalesce(token, 0)` + claimable
	claimOrder  = ` ORDER BY id LIMIT $4 @skiplocked`
	selectAny   = selectClaimable + claimOrder
	selectOnly  = selectClaimable + ` AND key @any($5)` + claimOrder
	existsAny   = `SELECT 1` + claimable + ` LIMIT 1`
	existsOnly  = `SELECT 1` + claimable + ` AND key @any($4) LIMIT 1`
	claimUpdate = `UPDATE @table(chunk) SET state = 'running', token = $5, worker = $6, lease_until = @after($7), not_before = NULL,
		started_at = now(), finished_at = NULL WHERE run_id = $1 AND stage = $2 AND id BETWEEN $3 AND $4`
	claimAttempt = `INSERT INTO @table(attempt) (run_id, stage, chunk_id, token, worker, started_at, fingerprint)
		SELECT c.run_id, c.stage, c.id, c.token, c.worker, c.started_at, r.fingerprint
		FROM @table(chunk) AS c JOIN @table(run) AS r ON r.uid = c.run_id
		WHERE c.run_id = $1 AND c.stage = $2 AND c.id BETWEEN $3 AND $4`
	claimExpired = `UPDATE @table(attempt) SET ended_at = now(), outcome = 'expired', error = 'the lease expired'
		WHERE run_id = $1 AND stage = $2 AND chunk_id BETWEEN $3 AND $4 AND token @any($5) AND ended_at IS NULL`
)

// Claim implements ledger.Ledger.
func (s *Store) Claim(ctx context.Context, uid string, want ledger.Want) (ledger.Task, error) {
	want.Worker, want.Only = clean(want.Worker), cleanAll(want.Only)
	// Other drivers lock a few chunks more than they take. Where that hides all that is left, a moment later it does not.
	const tries = 20
	for try := 1; ; try++ {
		var task ledger.Task
		var contended bool
		err := s.db.Write(ctx, false, func(tx Tx) error {
			var err error
			task, contended, err = claim(tx, uid, want)
			return err
		})
		if err != nil || !contended || try == tries {
			return task, wrap(err, "claim chunks of run %s", uid)
		}
		select {
		case <-ctx.Done():
			return task, wrap(ctx.Err(), "claim chunks of run %s", uid)
		case <-time.After(time.Millisecond + rand.N(2*time.Millisecond)):
		}
	}
}

// picked is a task in the making.
type picked struct {
	task    ledger.Task
	packer  *ledger.Packer
	full    bool
	expired []int64 // tokens of the claims whose chunks it takes over
}

func claim(tx Tx, uid string, want ledger.Want) (task ledger.Task, contended bool, err error) {
	p := picked{packer: ledger.NewPacker(want)}
	after := int64(-1)
	for batch := 64; !p.full; batch *= 8 {
		if room := p.packer.Room(); room >= 0 {
			batch = min(batch, room)
		}
		if batch == 0 {
			break
		}
		got := 0
		query, args := selectAny, []any{uid, want.Stage, after, batch}
		if len(want.Only) > 0 {
			query, args = selectOnly, append(args, want.Only)
		}
		err := tx.Query(func(r Row) error {
			got++
			var err error
			after, err = p.add(r)
			return err
		}, query, args...)
		if err != nil {
			return task, false, err
		}
		if got < batch {
			break
		}
	}
	if len(p.task.Chunks) == 0 {
		contended, err = nothing(tx, uid, want)
		return task, contended, err
	}
	err = p.take(tx, uid, want)
	return p.task, false, err
}

// add looks at the next candidate.
func (p *picked) add(r Row) (id int64, err error) {
	var c connector.Chunk
	var stage int
	var bounds *string
	var attempts, losses, limit int
	var state ledger.ChunkState
	var token int64
	if err := r.Scan(&stage, &c.ID, &c.Key, &bounds, &c.Rows, &c.Bytes, &attempts, &losses, &limit, &state, &token); err != nil {
		return 0, err
	}
	if p.full || !p.packer.Take(ledger.Candidate{Stage: stage, ID: c.ID, Bytes: c.Bytes, Limit: limit}) {
		p.full = true
		return c.ID, nil
	}
	c.Bounds = rawOf(bounds)
	if state == ledger.Running {
		p.expired = append(p.expired, token)
	}
	p.task.Stage = stage
	p.task.Chunks = append(p.task.Chunks, c)
	p.task.Attempts, p.task.Losses = max(p.task.Attempts, attempts), max(p.task.Losses, losses)
	return c.ID, nil
}

// take makes the picked chunks running under a new token. They are locked by now, and their IDs consecutive.
func (p *picked) take(tx Tx, uid string, want ledger.Want) error {
	// Drawn only now: of two claims of one chunk, the later must have the higher token.
	if _, err := first(tx, []any{&p.task.Token}, `@token`); err != nil {
		return err
	}
	low, high := p.task.Chunks[0].ID, p.task.Chunks[len(p.task.Chunks)-1].ID
	if len(p.expired) > 0 {
		if err := tx.Later(claimExpired, uid, p.task.Stage, low, high, p.expired); err != nil {
			return err
		}
	}
	if err := tx.Later(claimUpdate, uid, p.task.Stage, low, high, p.task.Token, want.Worker, want.Lease.Microseconds()); err != nil {
		return err
	}
	return tx.Later(claimAttempt, uid, p.task.Stage, low, high)
}

// nothing finds out why there was nothing to claim: others hold locks, the run is over, or it is so.
func nothing(tx Tx, uid string, want ledger.Want) (contended bool, err error) {
	state, err := stateOf(tx, uid, "")
	if err != nil {
		return false, err
	}
	if state.Over() {
		return false, ledger.ErrFenced
	}
	query, args := existsAny, []any{uid, want.Stage, -1}
	if len(want.Only) > 0 {
		query, args = existsOnly, append(args, want.Only)
	}
	var one int64
	return first(tx, []any{&one}, query, args...)
}

// An attempt that has ended marks a token that has lost at least one of its chunks, and with it all.
const extend = `UPDATE @table(chunk) AS c SET lease_until = @after($3)
	FROM (SELECT token AS claim, stage, min(chunk_id) AS low, max(chunk_id) AS high FROM @table(attempt)
		WHERE run_id = $1 AND token @any($2) GROUP BY token, stage
		HAVING sum(CASE WHEN ended_at IS NULL THEN 0 ELSE 1 END) = 0) AS a
	WHERE c.run_id = $1 AND c.stage = a.stage AND c.id BETWEEN a.low AND a.high AND c.token = a.claim AND c.state = 'running'
	RETURNING token`

// Extend implements ledger.Ledger.
func (s *Store) Extend(ctx context.Context, uid string, tokens []int64, lease time.Duration) ([]int64, error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	var lost []int64
	err := s.db.Write(ctx, false, func(tx Tx) error {
		kept := make(map[int64]bool, len(tokens))
		err := tx.Query(func(r Row) error {
			var token int64
			err := r.Scan(&token)
			kept[token] = true
			return err
		}, extend, uid, tokens, lease.Microseconds())
		lost = nil
		for _, token := range tokens {
			if !kept[token] {
				lost = append(lost, token)
			}
		}
		return err
	})
	if err != nil {
		return nil, wrap(err, "extend the leases of run %s", uid)
	}
	return lost, nil
}
