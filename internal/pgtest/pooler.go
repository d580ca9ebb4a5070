package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler is a PgBouncer that pools transactions: each transaction of a client goes to another connection of the server.
type Pooler struct {
	dir     string
	port    int
	process *process
}

// poolerConfig logs clients in as the role postgres. Connections are used in turn, so that two transactions of a client hardly ever meet the same.
const poolerConfig = `[databases]
* = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
auth_file = %s
pool_mode = transaction
server_round_robin = 1
min_pool_size = 4
default_pool_size = 12
max_client_conn = 100
`

// StartPooler starts a PgBouncer in front of s. The caller stops it.
func (s *Server) StartPooler(ctx context.Context) (*Pooler, error) {
	cmd, err := findPooler(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "drover-pooler-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for pgbouncer: %w", err)
	}
	p := &Pooler{dir: dir}
	if err := p.begin(ctx, s, cmd); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Pooler) begin(ctx context.Context, s *Server, cmd *exec.Cmd) (err error) {
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return fmt.Errorf("open %s to the pooler's user: %w", p.dir, err)
	}
	if p.port, err = freePort(); err != nil {
		return err
	}
	users, config := filepath.Join(p.dir, "users"), filepath.Join(p.dir, "pgbouncer.ini")
	if err := os.WriteFile(users, []byte(`"postgres" ""`+"\n"), 0o644); err != nil {
		return fmt.Errorf("write pgbouncer's users: %w", err)
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, poolerConfig, s.port, p.port, users), 0o644); err != nil {
		return fmt.Errorf("write pgbouncer.ini: %w", err)
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return fmt.Errorf("open the pooler's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the pooler has its own descriptor
	cmd.Args = append(cmd.Args, config)
	cmd.Dir, cmd.SysProcAttr = p.dir, attributes() // it refuses to run as root, as the server does
	cmd.Stdout, cmd.Stderr = log, log
	if p.process, err = startProcess(cmd); err != nil {
		return fmt.Errorf("start pgbouncer: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.process.done:
			return fmt.Errorf("pgbouncer ended while starting: %s", tail(log.Name()))
		case <-ctx.Done():
			return fmt.Errorf("wait for pgbouncer: %w: %s", err, tail(log.Name()))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// URL returns the URL of a database behind the pooler, for the role postgres.
func (p *Pooler) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)), Path: "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Stop ends the pooler and removes its files.
func (p *Pooler) Stop() error {
	var err error
	if p.process != nil {
		err = p.process.kill()
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}
