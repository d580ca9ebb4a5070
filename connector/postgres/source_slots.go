package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// slotPoll is how long at most to wait until slots are looked at again.
	slotPoll = 50 * time.Millisecond
	// slotSilence is how long to wait for a slot before the user is told.
	slotSilence = 5 * time.Second
	// slotPatience is how long one who has a slot waits for another one: where everybody does, nobody ever gets one.
	slotPatience = 30 * time.Second
)

// slots bounds the connections to a server's database over all processes of a user on this machine (limits.source_connections): each
// connection has one of so many files locked. The kernel gives a lock back when its process ends, however that ends.
type slots struct {
	dir      string
	limit    int
	patience time.Duration
	held     atomic.Int64 // of those that are for a while
	warn     func(format string, args ...any)
	warned   atomic.Bool
}

// slot is the right to one connection, until it is released.
type slot struct {
	of   *slots
	use  use
	file *os.File
}

// use is what a connection is for.
type use int

const (
	// forWhile is for work that ends by itself.
	forWhile use = iota
	// forRun lasts as long as a run, whose tasks need connections too. The first slot is never for that: where every slot could be, runs side by side
	// would have all of them, and wait for each other for ever.
	forRun
)

// slotKey is where a connection keeps its slot.
const slotKey = "drover slot"

// newSlots returns the slots of the database that cfg connects to. All that is read from one database shares them, whatever the job: a job with a
// lower limit uses the first of them alone.
func newSlots(cfg *pgx.ConnConfig, limit int, warn func(format string, args ...any)) (*slots, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%d/%s", cfg.Host, cfg.Port, cfg.Database))
	base := filepath.Join(os.TempDir(), fmt.Sprintf("drover-%d", os.Getuid()))
	s := &slots{dir: filepath.Join(base, "source-"+hex.EncodeToString(sum[:8])), limit: limit, patience: slotPatience, warn: warn}
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		err = ownedByUs(base)
	}
	if err != nil {
		return nil, drover.Errorf(drover.Refused, "limits.source_connections needs a directory of this user's below %s: %w", os.TempDir(), err).
			WithField("limits.source_connections").WithHint("set TMPDIR to a directory that drover may write to")
	}
	return s, nil
}

// ownedByUs refuses a directory that another user has made in our name, to hold our locks.
func ownedByUs(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if at, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(at.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a directory of this user", dir)
	}
	return nil
}

// take waits for a slot. Errors have a Kind, or are ctx's own.
func (s *slots) take(ctx context.Context, u use) (*slot, error) {
	begun, nested, least := time.Now(), s.held.Load() > 0, 0
	if u == forRun {
		least = 1
	}
	for {
		// From the last one on: jobs with a lower limit have the first ones only.
		for i := s.limit - 1; i >= least; i-- {
			file, err := lock(filepath.Join(s.dir, fmt.Sprint(i)))
			if err != nil {
				return nil, drover.Errorf(drover.Refused, "limits.source_connections: %w", err).WithHint("set TMPDIR to a directory that drover may write to")
			}
			if file != nil {
				if u == forWhile {
					s.held.Add(1)
				}
				return &slot{of: s, use: u, file: file}, nil
			}
		}
		waited := time.Since(begun)
		if nested && waited > s.patience {
			return nil, drover.Errorf(drover.Transient, "a task needs more than one connection to the source at once, and none of the %d of limits.source_connections came free", s.limit).
				WithHint("raise limits.source_connections, or lower limits.workers")
		}
		if waited > slotSilence && s.warned.CompareAndSwap(false, true) {
			s.warn("waiting for one of the %d connections to the source that limits.source_connections allows on this machine", s.limit)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(slotPoll/5 + rand.N(slotPoll)):
		}
	}
}

// lock returns the locked file, or nil where another process has it. Several open files of one process exclude each other too.
func lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a lock: %w", err)
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	_ = file.Close() // nothing was written
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// ended closes an idle connection once the server has: only then may another one take its place. It does nothing to a busy one.
func ended(conn *pgx.Conn) bool {
	if conn.IsClosed() {
		return false
	}
	h, err := conn.PgConn().Hijack()
	if err != nil {
		return false
	}
	defer h.Conn.Close() //nolint:errcheck // it is over either way
	if h.Conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return true
	}
	h.Frontend.Send(&pgproto3.Terminate{})
	if h.Frontend.Flush() == nil {
		_, _ = io.Copy(io.Discard, h.Conn) // until the server's end
	}
	return true
}

// release gives the slot back.
func (s *slot) release() {
	_ = s.file.Close() // the lock goes with it
	if s.use == forWhile {
		s.of.held.Add(-1)
	}
}
