package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

// claimed is what a token was given: chunks low to high of one stage.
type claimed struct {
	stage            int
	low, high, count int64
	open             int64 // how many of them this token has not ended
}

// claimOf looks a token up. ErrFenced if it was never given.
func claimOf(tx Tx, uid string, token int64) (claimed, error) {
	var c claimed
	ok, err := first(tx, []any{&c.stage, &c.low, &c.high, &c.count, &c.open}, `SELECT stage, min(chunk_id), max(chunk_id), count(*),
			sum(CASE WHEN ended_at IS NULL THEN 1 ELSE 0 END)
		FROM @table(attempt) WHERE run_id = $1 AND token = $2 GROUP BY stage`, uid, token)
	if err == nil && !ok {
		err = ledger.ErrFenced
	}
	return c, err
}

// end records how the attempts of a token ended.
func (c claimed) end(tx Tx, uid string, token int64, outcome string, message any) error {
	return tx.Later(`UPDATE @table(attempt) SET ended_at = now(), outcome = $3, error = $4
		WHERE run_id = $1 AND token = $2 AND ended_at IS NULL`, uid, token, outcome, message)
}

// finishedChunk is a receipt on its way into the table, in the words of finish.
type finishedChunk struct {
	ChunkID    int64             `json:"chunk_id"`
	RowsIn     int64             `json:"rows_in"`
	RowsOut    int64             `json:"rows_out"`
	BytesIn    int64             `json:"bytes_in"`
	BytesOut   int64             `json:"bytes_out"`
	PeakMemory int64             `json:"peak"`
	Scanned    *int64            `json:"scanned"`
	Rejected   int64             `json:"rejected"`
	Receipt    connector.Receipt `json:"receipt"`
}

const finish = `UPDATE @table(chunk) AS c SET state = 'finished', rows_in = r.rows_in, rows_out = r.rows_out, bytes_in = r.bytes_in,
		bytes_out = r.bytes_out, rows_scanned = r.scanned, rows_rejected = r.rejected, peak_memory_bytes = r.peak, receipt = r.receipt, finished_at = now(), lease_until = NULL,
		error = NULL, error_detail = NULL
	FROM @rows($4, chunk_id bigint, rows_in bigint, rows_out bigint, bytes_in bigint, bytes_out bigint, peak bigint, scanned bigint, rejected bigint, receipt json)
	WHERE c.run_id = $1 AND c.stage = $2 AND c.id = r.chunk_id AND c.token = $3 AND c.state = 'running'`

// Finish implements ledger.Ledger.
func (s *Store) Finish(ctx context.Context, uid string, token int64, receipts []connector.Receipt) error {
	rows := make([]finishedChunk, len(receipts))
	for i, r := range receipts {
		rows[i] = finishedChunk{r.ChunkID, r.RowsIn, r.RowsOut, r.BytesIn, r.BytesOut, r.PeakMemory, r.RowsScanned, r.RowsRejected, r}
	}
	data, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("finish token %d of run %s: encode receipts: %w", token, uid, err)
	}
	err = s.db.Write(ctx, false, func(tx Tx) error {
		c, err := claimOf(tx, uid, token)
		if err != nil {
			return err
		}
		if err := c.covers(receipts); err != nil {
			return err
		}
		n, err := tx.Exec(finish, uid, c.stage, token, string(data))
		if err != nil {
			return err
		}
		if n == c.count {
			return c.end(tx, uid, token, "finished", nil)
		}
		if n > 0 {
			return ledger.ErrFenced
		}
		return c.finishedAlready(tx, uid, token)
	})
	return wrap(err, "finish token %d of run %s", token, uid)
}

// covers checks that receipts are of all chunks of the claim, once each.
func (c claimed) covers(receipts []connector.Receipt) error {
	seen := make(map[int64]bool, len(receipts))
	for _, r := range receipts {
		if r.ChunkID < c.low || r.ChunkID > c.high || seen[r.ChunkID] {
			return fmt.Errorf("a receipt for chunk %d, which the claim of chunks %d to %d did not expect", r.ChunkID, c.low, c.high)
		}
		seen[r.ChunkID] = true
	}
	if int64(len(receipts)) != c.count {
		return fmt.Errorf("%d receipts for a claim of %d chunks", len(receipts), c.count)
	}
	return nil
}

// finishedAlready tells a repeated Finish, whose first answer was lost, from one that comes too late.
func (c claimed) finishedAlready(tx Tx, uid string, token int64) error {
	var n int64
	if _, err := first(tx, []any{&n}, `SELECT count(*) FROM @table(chunk)
		WHERE run_id = $1 AND stage = $2 AND id BETWEEN $3 AND $4 AND token = $5 AND state = 'finished'`,
		uid, c.stage, c.low, c.high, token); err != nil {
		return err
	}
	if n != c.count {
		return ledger.ErrFenced
	}
	return nil
}

// failureColumns is an error as a chunk's and an attempt's rows hold it.
type failureColumns struct{ text, detail any }

func errorColumns(e *drover.Error) (failureColumns, error) {
	if e == nil {
		return failureColumns{}, nil
	}
	detail, err := json.Marshal(e)
	if err != nil {
		return failureColumns{}, fmt.Errorf("encode an error: %w", err)
	}
	return failureColumns{clean(e.Error()), string(detail)}, nil
}

// lostRows is the error of a chunk whose committed rows were found gone.
func lostRows(reason string) *drover.Error {
	return &drover.Error{Kind: drover.Transient, Message: reason}
}

const fail = `UPDATE @table(chunk) SET state = $6, attempts = attempts + $7, losses = losses + $8, lease_until = NULL,
		not_before = CASE WHEN CAST($9 AS bigint) > 0 THEN @after($9) END,
		pack_limit = CASE WHEN $10 > 0 AND (pack_limit IS NULL OR pack_limit > $10) THEN $10 ELSE pack_limit END,
		error = coalesce($11, error), error_detail = coalesce($12, error_detail),
		finished_at = CASE WHEN $6 = 'error' THEN now() END
	WHERE run_id = $1 AND stage = $2 AND id BETWEEN $3 AND $4 AND token = $5 AND state = 'running'`

// Fail implements ledger.Ledger.
func (s *Store) Fail(ctx context.Context, uid string, token int64, failure ledger.Failure) error {
	columns, err := errorColumns(failure.Error)
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, false, func(tx Tx) error {
		c, err := claimOf(tx, uid, token)
		if err != nil {
			return err
		}
		state, outcome, limit, delay := ledger.Pending, "failed", int64(0), failure.Delay
		switch failure.Verdict {
		case ledger.Retry:
			if c.count == 1 {
				limit = 1 // it failed alone, and stays alone: only so its next failure tells something
			}
		case ledger.Halve:
			limit = max(1, c.count/2)
		case ledger.Final:
			if c.count != 1 {
				return fmt.Errorf("the claim has %d chunks, and only one alone can end in error", c.count)
			}
			state, delay = ledger.ChunkError, 0
		case ledger.Release:
			outcome, delay = "released", 0
		}
		n, err := tx.Exec(fail, uid, c.stage, c.low, c.high, token, string(state), counted(failure, failure.Counts),
			counted(failure, failure.Lost), delay.Microseconds(), limit, columns.text, columns.detail)
		if err != nil {
			return err
		}
		if n != c.count {
			return ledger.ErrFenced
		}
		return c.end(tx, uid, token, outcome, columns.text)
	})
	return wrap(err, "fail token %d of run %s", token, uid)
}

// counted is what a failure adds to a counter. A release adds nothing.
func counted(failure ledger.Failure, counts bool) int {
	if counts && failure.Verdict != ledger.Release {
		return 1
	}
	return 0
}
