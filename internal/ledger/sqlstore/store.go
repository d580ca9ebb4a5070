// Package sqlstore is the ledger in SQL that SQLite and PostgreSQL share. Package sqlite and package postgres give it a DB:
// transactions, and the rendering of the few macros in which the two dialects differ.
package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

// DB is a database that holds a ledger's tables. Methods may be called concurrently.
//
// SQL given to it is a template, see Renderer. Parameters are $1, $2, ...; arguments are int, int64, string, nil, or []int64
// and []string for @any. Errors come back as *drover.Error with a Kind where a caller can decide on them.
type DB interface {
	// Write runs fn in one transaction that is rolled back if fn returns an error. It runs fn again after a serialization
	// failure, a deadlock or a lost connection (where the first commit may have been made), so fn must not add to results of an earlier try. Synced asks for a commit that survives a power
	// failure, where the database would else risk its latest ones for speed.
	Write(ctx context.Context, synced bool, fn func(Tx) error) error
	// Read runs fn without a transaction; each of its queries sees what was committed before. It may run fn again, as Write does.
	Read(ctx context.Context, fn func(Tx) error) error
	// Lock serialises the transactions that lock the same name, until tx ends.
	Lock(tx Tx, name string) error
	// Fence is ledger.Ledger's.
	Fence(ctx context.Context) (*connector.Fence, error)
	Close() error
}

// Tx executes statements.
type Tx interface {
	// Exec returns the number of rows that were affected.
	Exec(sql string, args ...any) (int64, error)
	// Later executes a statement whose answer nobody needs. It may travel with the next statement or the commit, and so may its error.
	Later(sql string, args ...any) error
	// Query calls scan for each row, and does not let another statement begin before it returns.
	Query(scan func(Row) error, sql string, args ...any) error
}

// Row is one row of an answer.
type Row interface{ Scan(dest ...any) error }

// Store implements ledger.Ledger.
type Store struct{ db DB }

var (
	_ ledger.Ledger  = (*Store)(nil)
	_ ledger.Watcher = (*Store)(nil)
)

// New returns a ledger over a database whose tables exist. Shutdown closes db.
func New(db DB) *Store { return &Store{db: db} }

// Fence implements ledger.Ledger.
func (s *Store) Fence(ctx context.Context) (*connector.Fence, error) { return s.db.Fence(ctx) }

// Watch implements ledger.Watcher: a database that is a file is never away.
func (s *Store) Watch(tell func(ledger.Absence)) {
	if w, ok := s.db.(ledger.Watcher); ok {
		w.Watch(tell)
	}
}

// Shutdown implements ledger.Ledger.
func (s *Store) Shutdown() error { return s.db.Close() }

func wrap(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(doing+": %w", append(args, err)...)
}

// first scans the first row of an answer and reports whether there was one.
func first(tx Tx, dest []any, sql string, args ...any) (bool, error) {
	found := false
	err := tx.Query(func(r Row) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	}, sql, args...)
	return found, err
}

// clean is ledger.Text.
func clean(s string) string { return ledger.Text(s) }

func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}

// timeOf converts the microseconds that @micros yields.
func timeOf(us *int64) time.Time {
	if us == nil {
		return time.Time{}
	}
	return time.UnixMicro(*us).UTC()
}

// jsonArg passes JSON to a statement, and NULL where there is none.
func jsonArg(doc json.RawMessage) any {
	if len(doc) == 0 {
		return nil
	}
	return string(doc)
}

func rawOf(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}
