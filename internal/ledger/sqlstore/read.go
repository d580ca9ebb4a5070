package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

// page is how many rows a reader fetches at a time, so that neither memory nor a connection is held while they are used.
const page = 1000

// Run implements ledger.Ledger.
func (s *Store) Run(ctx context.Context, job, id string) (ledger.Run, error) {
	var run ledger.Run
	ok := false
	err := s.db.Read(ctx, func(tx Tx) (err error) {
		var found runScan
		ok, err = first(tx, found.dest(), `SELECT `+runColumns+` FROM @table(run)
			WHERE ($1 = '' OR job = $1) AND ($2 = '' OR id = $2 OR $1 = '' AND uid = $2) 
			ORDER BY CASE WHEN state = 'abandoned' AND doc IS NULL THEN 1 ELSE 0 END, number DESC LIMIT 1`, clean(job), clean(id))
		if run = found.result(); err == nil && !ok && id != "" {
			run, ok, err = findPruned(tx, clean(job), clean(id))
		}
		return err
	})
	if err == nil && !ok {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return ledger.Run{}, fmt.Errorf("find run %q: %w", id, err)
	}
	return run, nil
}

// Jobs implements ledger.Ledger.
func (s *Store) Jobs(ctx context.Context, id string) ([]string, error) {
	var jobs []string
	err := s.db.Read(ctx, func(tx Tx) error {
		jobs = nil
		return tx.Query(func(r Row) error {
			var job string
			err := r.Scan(&job)
			jobs = append(jobs, job)
			return err
		}, `SELECT job FROM @table(run) WHERE id = $1 AND NOT (state = 'abandoned' AND doc IS NULL)
			UNION SELECT job FROM @table(pruned) WHERE id = $1 ORDER BY 1`, clean(id))
	})
	return jobs, wrap(err, "look for the jobs that have a run %q", id)
}

const (
	selectHistory = `SELECT number, ` + runColumns + ` FROM @table(run)
		WHERE ($1 = '' OR job = $1) AND ($2 = '' OR fingerprint = $2) AND state @any($3) AND number < $4
			AND (CAST($6 AS bigint) = 0 OR finished_at <= @after($6)) AND (CAST($7 AS bigint) = 0 OR finished_at IS NULL) ORDER BY number DESC LIMIT $5`
	historyPage = 50 // runs have large docs
)

// History implements ledger.Ledger.
func (s *Store) History(ctx context.Context, of ledger.Past) iter.Seq2[ledger.Run, error] {
	states := make([]string, len(of.States))
	for i, state := range of.States {
		states[i] = string(state)
	}
	deserted := 0
	if of.Deserted {
		states, deserted = []string{string(ledger.Abandoned)}, 1
	}
	return func(yield func(ledger.Run, error) bool) {
		before, err := s.numberOf(ctx, of.Before)
		for more := err == nil; more; {
			var batch []ledger.Run
			last := before
			err = s.db.Read(ctx, func(tx Tx) error {
				batch = nil
				return tx.Query(func(r Row) error {
					var found runScan
					err := r.Scan(append([]any{&last}, found.dest()...)...)
					batch = append(batch, found.result())
					return err
				}, selectHistory, clean(of.Job), of.Fingerprint, states, before, historyPage, -of.Age.Microseconds(), deserted)
			})
			if err != nil {
				break
			}
			before = last
			for _, run := range batch {
				if !yield(run, nil) {
					return
				}
			}
			more = len(batch) == historyPage
		}
		if err != nil {
			yield(ledger.Run{}, fmt.Errorf("read the earlier runs of the ledger: %w", err))
		}
	}
}

// numberOf returns a run's place in the order of beginning; that after all runs for "".
func (s *Store) numberOf(ctx context.Context, uid string) (int64, error) {
	if uid == "" {
		return math.MaxInt64, nil
	}
	var number int64
	err := s.db.Read(ctx, func(tx Tx) error {
		ok, err := first(tx, []any{&number}, `SELECT number FROM @table(run) WHERE uid = $1`, uid)
		if err == nil && !ok {
			err = ledger.ErrNotFound
		}
		return err
	})
	return number, err
}

// Runs implements ledger.Ledger.
func (s *Store) Runs(ctx context.Context, limit int) ([]ledger.Run, error) {
	var runs []ledger.Run
	err := s.db.Read(ctx, func(tx Tx) error {
		runs = nil
		return tx.Query(func(r Row) error {
			var found runScan
			err := r.Scan(found.dest()...)
			runs = append(runs, found.result())
			return err
		}, `SELECT `+runColumns+` FROM @table(run) ORDER BY number DESC LIMIT $1`, limit)
	})
	return runs, wrap(err, "list runs")
}

// Totals implements ledger.Ledger.
func (s *Store) Totals(ctx context.Context, uid string, stage int) (ledger.Totals, error) {
	var t ledger.Totals
	err := s.db.Read(ctx, func(tx Tx) error {
		t = ledger.Totals{Chunks: map[ledger.ChunkState]int64{}}
		return tx.Query(func(r Row) error {
			var state ledger.ChunkState
			var n, rowsIn, rowsOut, rejected, bytesIn, bytesOut, peak, rows, bytes int64
			var scanned *int64
			if err := r.Scan(&state, &n, &rowsIn, &rowsOut, &rejected, &bytesIn, &bytesOut, &scanned, &peak, &rows, &bytes); err != nil {
				return err
			}
			t.Chunks[state] = n
			t.PeakMemory = max(t.PeakMemory, peak)
			switch state {
			case ledger.ChunkFinished:
				t.RowsIn, t.RowsOut, t.BytesIn, t.BytesOut, t.RowsScanned = rowsIn, rowsOut, bytesIn, bytesOut, scanned
				t.RowsRejected = rejected
			case ledger.Pending, ledger.Running:
				t.PendingRows += rows
				t.PendingBytes += bytes
			}
			return nil
		}, `SELECT state, count(*), CAST(sum(rows_in) AS bigint), CAST(sum(rows_out) AS bigint), CAST(sum(rows_rejected) AS bigint), CAST(sum(bytes_in) AS bigint),
			CAST(sum(bytes_out) AS bigint), CASE WHEN count(*) = count(rows_scanned) THEN CAST(sum(rows_scanned) AS bigint) END, max(peak_memory_bytes), CAST(sum(estimated_rows) AS bigint),
			CAST(sum(estimated_bytes) AS bigint) FROM @table(chunk) WHERE run_id = $1 AND stage = $2 GROUP BY state`, uid, stage)
	})
	return t, wrap(err, "sum up stage %d of run %s", stage, uid)
}

// Receipts implements ledger.Ledger.
func (s *Store) Receipts(ctx context.Context, uid string, stage int) iter.Seq2[connector.Receipt, error] {
	return func(yield func(connector.Receipt, error) bool) {
		for after, more := int64(-1), true; more; {
			batch, last := make([]connector.Receipt, 0, page), after
			err := s.db.Read(ctx, func(tx Tx) error {
				batch = batch[:0]
				return tx.Query(func(r Row) error {
					var text string
					var receipt connector.Receipt
					if err := r.Scan(&last, &text); err != nil {
						return err
					}
					err := json.Unmarshal([]byte(text), &receipt)
					batch = append(batch, receipt)
					return wrap(err, "decode the receipt of chunk %d", last)
				}, `SELECT id, receipt FROM @table(chunk) WHERE run_id = $1 AND stage = $2 AND id > $3 AND state = 'finished'
					ORDER BY id LIMIT $4`, uid, stage, after, page)
			})
			if err != nil {
				yield(connector.Receipt{}, fmt.Errorf("read the receipts of run %s: %w", uid, err))
				return
			}
			after = last
			for _, r := range batch {
				if !yield(r, nil) {
					return
				}
			}
			more = len(batch) == page
		}
	}
}

const selectChunks = `SELECT stage, id, key, state, attempts, losses, coalesce(worker, ''), rows_in, rows_out, bytes_in, bytes_out,
	rows_scanned, rows_rejected, peak_memory_bytes, @micros(started_at), @micros(finished_at), error_detail
	FROM @table(chunk) WHERE run_id = $1 AND (stage, id) > ($2, $3)`

// Chunks implements ledger.Ledger.
func (s *Store) Chunks(ctx context.Context, uid string, states ...ledger.ChunkState) iter.Seq2[ledger.ChunkRow, error] {
	names := make([]string, len(states))
	for i, state := range states {
		names[i] = string(state)
	}
	return func(yield func(ledger.ChunkRow, error) bool) {
		stage, after := -1, int64(-1)
		for more := true; more; {
			query, args := selectChunks+` ORDER BY stage, id LIMIT $4`, []any{uid, stage, after, page}
			if len(names) > 0 {
				query, args = selectChunks+` AND state @any($5) ORDER BY stage, id LIMIT $4`, append(args, names)
			}
			batch := make([]ledger.ChunkRow, 0, page)
			err := s.db.Read(ctx, func(tx Tx) error {
				batch = batch[:0]
				return tx.Query(func(r Row) error {
					row, err := scanChunk(r)
					batch = append(batch, row)
					return err
				}, query, args...)
			})
			if err != nil {
				yield(ledger.ChunkRow{}, fmt.Errorf("read the chunks of run %s: %w", uid, err))
				return
			}
			for _, row := range batch {
				stage, after = row.Stage, row.ID
				if !yield(row, nil) {
					return
				}
			}
			more = len(batch) == page
		}
	}
}

func scanChunk(r Row) (ledger.ChunkRow, error) {
	var c ledger.ChunkRow
	var started, finished *int64
	var detail *string
	if err := r.Scan(&c.Stage, &c.ID, &c.Key, &c.State, &c.Attempts, &c.Losses, &c.Worker, &c.RowsIn, &c.RowsOut, &c.BytesIn, &c.BytesOut,
		&c.RowsScanned, &c.RowsRejected, &c.PeakMemory, &started, &finished, &detail); err != nil {
		return c, err
	}
	c.StartedAt, c.FinishedAt = timeOf(started), timeOf(finished)
	if detail != nil {
		c.Error = new(drover.Error)
		if err := json.Unmarshal([]byte(*detail), c.Error); err != nil {
			return c, fmt.Errorf("decode the error of chunk %d: %w", c.ID, err)
		}
	}
	return c, nil
}
