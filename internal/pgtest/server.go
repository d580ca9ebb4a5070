// Package pgtest runs a real PostgreSQL server for tests, examples and benchmarks, as root or not, and ends it with
// the process that started it.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout bounds initdb and each start of the server. A start replays the log of a server that was killed.
const startTimeout = 60 * time.Second

// Options change how a server is made and run. The zero value is right for tests.
type Options struct {
	// Bin is the directory of initdb and postgres. Empty: the newest in /usr/lib/postgresql, else the one of PATH, else one
	// that is fetched and cached.
	Bin string
	// Durable leaves fsync and full_page_writes on. Without them a commit survives the server's death, not the machine's.
	Durable bool
	// Settings are server settings that win over those of this package: "max_connections": "20".
	Settings map[string]string
	// TLS has the server speak TLS too. Roles other than postgres must: CertifiedRole with its certificate, others with their password.
	TLS bool
}

// Server is one running cluster. It listens on the loopback interface only. The role postgres, a superuser, needs no password;
// every other role logs in with its password.
type Server struct {
	bin, dir string
	own      bool // dir is removed by Stop
	opts     Options
	port     int
	process  *process
}

// Start makes a cluster in dir, or takes the one that is there, and starts it; ctx bounds the starting only. An empty
// dir means a temporary one, which Stop removes. As root the server runs as the user postgres, or else nobody: dir is given to that
// user, who must be able to reach it, which is not so below root's home and t.TempDir(). On Linux the server ends with the calling process, however that ends.
func Start(ctx context.Context, dir string, opts Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	bin := opts.Bin
	if bin == "" {
		var err error
		if bin, err = findBinaries(ctx); err != nil {
			return nil, err
		}
	}
	s := &Server{bin: bin, opts: opts, dir: dir}
	if dir == "" {
		tmp, err := os.MkdirTemp("", "drover-postgres-")
		if err != nil {
			return nil, fmt.Errorf("make a directory for postgres: %w", err)
		}
		s.dir, s.own = tmp, true
	}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) begin(ctx context.Context) error {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", s.dir, err)
	}
	s.dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a directory for postgres: %w", err)
	}
	if err := giveAway(dir); err != nil {
		return fmt.Errorf("give %s to the server's user: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		if err := s.initdb(ctx); err != nil {
			return err
		}
	}
	if s.opts.TLS {
		use, err := s.makeCertificates()
		if err != nil {
			return err
		}
		maps.Copy(use, s.opts.Settings)
		s.opts.Settings = use
	}
	return s.launch(ctx)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	// The variables of libpq and of the caller's locale must not reach the server.
	cmd.Env = []string{"HOME=" + s.dir, "LC_ALL=C", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	cmd.SysProcAttr = attributes()
	return cmd
}

func (s *Server) initdb(ctx context.Context) error {
	cmd := s.command(ctx, "initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb in %s: %w\n%s", s.dir, err, out)
	}
	hba := "host all postgres 127.0.0.1/32 trust\nhost replication postgres 127.0.0.1/32 trust\n"
	if s.opts.TLS {
		hba += "hostssl all " + CertifiedRole + " 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
	} else {
		hba += "host all all 127.0.0.1/32 scram-sha-256\n"
	}
	if err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return fmt.Errorf("write pg_hba.conf: %w", err)
	}
	return nil
}

func (s *Server) settings() map[string]string {
	set := map[string]string{
		"listen_addresses": "127.0.0.1",
		// A socket's path may have 107 bytes only, and temporary directories have more at times.
		"unix_socket_directories": "",
		"max_connections":         "200",
		"wal_level":               "logical",
	}
	if !s.opts.Durable {
		// synchronous_commit stays on: without fsync it costs little, and a commit must survive Kill.
		set["fsync"], set["full_page_writes"] = "off", "off"
	}
	maps.Copy(set, s.opts.Settings)
	return set
}

// launch starts the server on a port that was free a moment ago, and tries others as long as somebody else takes them first.
func (s *Server) launch(ctx context.Context) error {
	const tries = 5
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.port = port
		if err = s.Restart(ctx); err == nil || try == tries || ctx.Err() != nil {
			return err
		}
		s.port = 0
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return port, nil
}

// Restart starts the server again after Kill, on the same port, and waits until it answers. A running server is killed first.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Kill(); err != nil {
		return err
	}
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port)}
	set := s.settings()
	for _, name := range slices.Sorted(maps.Keys(set)) {
		args = append(args, "-c", name+"="+set[name])
	}
	logPath := filepath.Join(s.dir, "log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the server has its own descriptor
	// The server outlives the context of its start, so that context must not be the command's.
	cmd := s.command(context.Background(), "postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = startProcess(cmd); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	return s.await(ctx, logPath)
}

func (s *Server) await(ctx context.Context, logPath string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("postgres ended while starting: %s", tail(logPath))
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for postgres: %w: %s", err, tail(logPath)), s.Kill())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func tail(path string) string {
	const most = 2000
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return strings.TrimSpace(string(b))
}

// URL returns the URL of a database for the role postgres.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("postgres"),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Port returns the TCP port that the server listens on.
func (s *Server) Port() int { return s.port }

// PID is the server's first process, whose children serve the connections.
func (s *Server) PID() int { return s.process.cmd.Process.Pid }

// CreateDatabase makes an empty database and returns its URL.
func (s *Server) CreateDatabase(ctx context.Context, name string) (string, error) {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return "", fmt.Errorf("connect to create database %s: %w", name, err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0"); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return s.URL(name), nil
}

// Kill ends the server and its backends as kill -9 does: clients see a broken connection, and the next start
// recovers. It returns once all are gone.
func (s *Server) Kill() error {
	if s.process == nil {
		return nil
	}
	err := s.process.kill()
	s.process = nil
	if err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}
	return nil
}

// Stop ends the server, waits for it, and removes its directory if Start made it. Stopping twice does nothing.
func (s *Server) Stop() error {
	var err error
	if s.process != nil && !s.own {
		err = s.process.stop(syscall.SIGINT) // what postgres calls a fast shutdown: a checkpoint, then the end
		s.process = nil
	}
	err = errors.Join(err, s.Kill())
	if s.own {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}
