package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/sqlstore"
	"github.com/droverdata/drover/internal/pgtest"
)

// TestASilentServerIsToldOf: a network that is cut tells nobody, and a lock is as silent.
func TestASilentServerIsToldOf(t *testing.T) {
	url := pgtest.Database(t)
	l, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Shutdown() //nolint:errcheck // it returns nil
	told := make(chan ledger.Absence, 10)
	l.(ledger.Watcher).Watch(func(a ledger.Absence) { told <- a })
	var asked sync.WaitGroup
	connected(t, url, func(conn *pgx.Conn) error {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), "LOCK TABLE drover.run"); err != nil {
			return err
		}
		for range 2 {
			asked.Go(func() {
				if _, err := l.Runs(t.Context(), 1); err != nil {
					t.Error(err)
				}
			})
		}
		if a := <-told; drover.KindOf(a.Cause) != drover.Unreachable || !strings.Contains(a.Cause.Error(), "has not answered for 5s") || a.Lasted != 0 {
			t.Errorf("while it is silent: %+v", a)
		}
		return tx.Rollback(t.Context())
	})
	asked.Wait()
	if a := <-told; a.Lasted < unanswered || len(told) > 0 {
		t.Errorf("once it answers: %+v, and %d more", a, len(told))
	}
}

// TestAnOutageIsOneForAllCalls: those that begin when others have given up do not wait once more.
func TestAnOutageIsOneForAllCalls(t *testing.T) {
	s, err := pgtest.Start(t.Context(), "", pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var dials atomic.Int64
	d := prepared(t, s.URL("postgres"), func(c *pgxpool.Config) {
		dial := c.ConnConfig.DialFunc
		c.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, addr)
		}
	})
	defer d.Close() //nolint:errcheck // it returns nil
	l := sqlstore.New(d)
	d.patience = 2 * time.Second
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	d.pool.Reset() // what is idle would be found lost before it dials
	var tries [2]int64
	for i := range tries {
		dials.Store(0)
		_, err := l.Runs(t.Context(), 1)
		if e, ok := errors.AsType[*drover.Error](err); !ok || e.Kind != drover.Unreachable || !strings.Contains(e.Hint, "the same command") {
			t.Errorf("%#v", err)
		}
		tries[i] = dials.Load()
	}
	if tries[0] < 2 || tries[1] != 1 {
		t.Errorf("the calls tried %d times", tries)
	}
	// An outage of which nothing was heard for long is another one.
	d.absence.mu.Lock()
	d.absence.last = time.Now().Add(-time.Hour)
	d.absence.mu.Unlock()
	dials.Store(0)
	if _, err := l.Runs(t.Context(), 1); drover.KindOf(err) != drover.Unreachable || dials.Load() < 2 {
		t.Errorf("later it is tried %d times: %v", dials.Load(), err)
	}
}
