package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Standby starts a hot standby of s, which is stopped for a moment to be copied. settings win over those of s. The caller stops the standby.
func (s *Server) Standby(ctx context.Context, settings map[string]string) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "drover-postgres-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for a standby: %w", err)
	}
	opts := s.opts
	opts.Settings = maps.Clone(opts.Settings)
	if opts.Settings == nil {
		opts.Settings = map[string]string{}
	}
	maps.Copy(opts.Settings, settings)
	opts.Settings["primary_conninfo"] = "host=127.0.0.1 user=postgres port=" + strconv.Itoa(s.port)
	standby := &Server{bin: s.bin, dir: dir, own: true, opts: opts}
	if err := errors.Join(s.copyTo(ctx, standby), s.Restart(ctx)); err != nil {
		return nil, errors.Join(err, standby.Stop())
	}
	if err := standby.launch(ctx); err != nil {
		return nil, errors.Join(err, standby.Stop())
	}
	return standby, nil
}

// copyTo stops the server in order and copies its data.
func (s *Server) copyTo(ctx context.Context, standby *Server) error {
	if err := giveAway(standby.dir); err != nil {
		return fmt.Errorf("give %s to the server's user: %w", standby.dir, err)
	}
	if err := s.process.stop(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop the primary: %w", err)
	}
	s.process = nil
	// cp keeps owners and rights, without which no server starts.
	if out, err := exec.CommandContext(ctx, "cp", "-a", s.data(), standby.data()).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the primary: %w\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(standby.data(), "standby.signal"), nil, 0o644); err != nil {
		return fmt.Errorf("make a standby of the copy: %w", err)
	}
	return nil
}

// CaughtUp waits until the standby has replayed all that the primary has written so far.
func (s *Server) CaughtUp(ctx context.Context, primary *Server) error {
	from, err := pgx.Connect(ctx, primary.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the primary: %w", err)
	}
	defer from.Close(ctx) //nolint:errcheck // nothing is lost with it
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the standby: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	var written string
	if err := from.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&written); err != nil {
		return fmt.Errorf("look how far the primary has written: %w", err)
	}
	for replayed := false; !replayed; {
		if err := conn.QueryRow(ctx, "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false) FROM pg_sleep(0.01)", written).Scan(&replayed); err != nil {
			return fmt.Errorf("look how far the standby has read: %w", err)
		}
	}
	return nil
}
