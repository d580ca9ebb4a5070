package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

// newChunk is a chunk on its way into the table, in the words of insertChunks.
type newChunk struct {
	ID     int64           `json:"id"`
	Key    string          `json:"key"`
	Bounds json.RawMessage `json:"bounds"`
	Rows   int64           `json:"est_rows"`
	Bytes  int64           `json:"est_bytes"`
}

// WHERE true tells SQLite that ON CONFLICT does not begin a join condition.
const insertChunks = `INSERT INTO @table(chunk) (run_id, stage, id, key, bounds, estimated_rows, estimated_bytes, pack_limit)
	SELECT $1, CAST($2 AS integer), r.id, r.key, r.bounds, r.est_rows, r.est_bytes, nullif(CAST($3 AS integer), 0)
	FROM @rows($4, id bigint, key text, bounds json, est_rows bigint, est_bytes bigint)
	WHERE true ON CONFLICT (run_id, stage, id) DO NOTHING`

func insert(tx Tx, uid string, stage, packLimit int, chunks []newChunk) error {
	data, err := json.Marshal(chunks)
	if err != nil {
		return fmt.Errorf("encode chunks: %w", err)
	}
	return tx.Later(insertChunks, uid, stage, packLimit, string(data))
}

// Bounds of one batch of AddChunks: enough rows to make the transaction's cost small, and not too much memory.
const (
	batchChunks = 1000
	batchBytes  = 1 << 20
)

// AddChunks implements ledger.Ledger.
func (s *Store) AddChunks(ctx context.Context, uid, driver string, stage int, chunks iter.Seq2[connector.Chunk, error]) error {
	driver = clean(driver)
	var batch []newChunk
	var size int
	last := time.Now()
	flush := func() error {
		err := s.db.Write(ctx, false, func(tx Tx) error {
			n, err := tx.Exec(`UPDATE @table(run) SET lease_until = @after(lease_us)
				WHERE uid = $1 AND holder = $2 AND state = 'planned'`, uid, driver)
			if err != nil {
				return err
			}
			if n == 0 {
				return fenced(tx, uid)
			}
			if len(batch) == 0 {
				return nil
			}
			return insert(tx, uid, stage, 0, batch)
		})
		batch, size, last = batch[:0], 0, time.Now()
		return wrap(err, "add chunks to stage %d of run %s", stage, uid)
	}
	for c, err := range chunks {
		if err != nil {
			return wrap(err, "list the chunks of stage %d", stage)
		}
		batch = append(batch, newChunk{ID: c.ID, Key: clean(c.Key), Bounds: c.Bounds, Rows: c.Rows, Bytes: c.Bytes})
		size += len(c.Key) + len(c.Bounds)
		// A slow source's chunks go in one by one, and so renew the lease.
		if len(batch) == batchChunks || size >= batchBytes || time.Since(last) > time.Second {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// AddStage implements ledger.Ledger.
func (s *Store) AddStage(ctx context.Context, uid string, stage int, chunks []connector.Chunk) error {
	added := make([]newChunk, len(chunks))
	for i, c := range chunks {
		added[i] = newChunk{ID: c.ID, Key: clean(c.Key), Bounds: c.Bounds, Rows: c.Rows, Bytes: c.Bytes}
	}
	err := s.db.Write(ctx, true, func(tx Tx) error {
		state, err := stateOf(tx, uid, " @lock")
		if err != nil {
			return err
		}
		if state != ledger.Open {
			return ledger.ErrFenced
		}
		var one int64
		for _, check := range []struct {
			where string
			err   error
		}{
			{`stage < $2 AND state NOT IN ('finished', 'split')`, ledger.ErrFenced},
			{`stage = $2`, nil},
		} {
			found, err := first(tx, []any{&one}, `SELECT 1 FROM @table(chunk) WHERE run_id = $1 AND `+check.where+` LIMIT 1`, uid, stage)
			if err != nil {
				return err
			}
			if found {
				return check.err
			}
		}
		return insert(tx, uid, stage, 0, added)
	})
	return wrap(err, "add stage %d to run %s", stage, uid)
}

// SplitChunk implements ledger.Ledger.
func (s *Store) SplitChunk(ctx context.Context, uid string, token int64, parts []connector.Chunk) error {
	if len(parts) == 0 {
		return fmt.Errorf("split a chunk of run %s: no parts", uid)
	}
	err := s.db.Write(ctx, false, func(tx Tx) error {
		// The lock keeps two splits from choosing the same new IDs.
		if _, err := stateOf(tx, uid, " @lock"); err != nil {
			return err
		}
		c, err := claimOf(tx, uid, token)
		if err != nil {
			return err
		}
		if c.count != 1 {
			return fmt.Errorf("the claim has %d chunks, and only one alone can be split", c.count)
		}
		n, err := tx.Exec(`UPDATE @table(chunk) SET state = 'split', lease_until = NULL, finished_at = now()
			WHERE run_id = $1 AND stage = $2 AND id = $3 AND token = $4 AND state = 'running'`, uid, c.stage, c.low, token)
		if err != nil {
			return err
		}
		if n == 0 {
			return ledger.ErrFenced
		}
		if err := c.end(tx, uid, token, "split", nil); err != nil {
			return err
		}
		var highest int64
		if _, err := first(tx, []any{&highest}, `SELECT max(id) FROM @table(chunk) WHERE run_id = $1 AND stage = $2`,
			uid, c.stage); err != nil {
			return err
		}
		added := make([]newChunk, len(parts))
		for i, p := range parts {
			added[i] = newChunk{ID: highest + 1 + int64(i), Key: clean(p.Key), Bounds: p.Bounds, Rows: p.Rows, Bytes: p.Bytes}
		}
		// Packed together again the parts would be the chunk that was split.
		return insert(tx, uid, c.stage, max(1, len(parts)/2), added)
	})
	return wrap(err, "split a chunk of run %s", uid)
}
