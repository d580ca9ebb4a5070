package postgres

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/pgdial"
	"github.com/droverdata/drover/internal/pgurl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// connectTimeout bounds a connection attempt where the URL says nothing.
	connectTimeout = 15 * time.Second
	// silence is how long a peer may leave data unacknowledged, or a probe unanswered, before the connection counts as lost.
	silence = 60 * time.Second
	// receiveBytes is how much is received at once: the server sends 8 KiB at a time, and several of those have come when it is the faster one.
	receiveBytes = 64 << 10
	// defaultSchema is where drover keeps its own tables in a target.
	defaultSchema = "drover"
)

// droverSchema splits u into what Postgres understands and the name of drover's schema.
func droverSchema(u URL) (URL, string) {
	rest, name, _ := pgurl.Split(string(u))
	if name == "" {
		name = defaultSchema
	}
	return URL(rest), name
}

// config returns u's settings with those that drover insists on. It fixes what the text forms of values depend on, by start-up
// parameters that a pooling proxy keeps with each of its clients; everything else is SET LOCAL, in a transaction.
func config(u URL, env connector.Env) (*pgx.ConnConfig, error) {
	u, _ = droverSchema(u)
	cfg, err := pgx.ParseConfig(pgdial.WithoutPublicPassfile(string(u)))
	if err != nil {
		// The parser's message repeats the text, and only guesses where the password is in it.
		return nil, drover.Errorf(drover.Invalid, "the connection URL cannot be read").
			WithField("url").WithHint("postgres://USER:PASSWORD@HOST:5432/DATABASE, with special characters percent-encoded")
	}
	if err := pgdial.Settle(&cfg.Config); err != nil {
		return nil, err
	}
	zone := env.Timezone
	if zone == "" {
		zone = "UTC"
	}
	for k, v := range map[string]string{
		"client_encoding":             "UTF8",
		"datestyle":                   "ISO, YMD",
		"timezone":                    zone,
		"standard_conforming_strings": "on",
	} {
		cfg.RuntimeParams[k] = v
	}
	if env.Application != "" {
		cfg.RuntimeParams["application_name"] = env.Application
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	// Unnamed statements in one round trip: nothing of a statement outlives it in a pooled server connection.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	cfg.DialFunc = pgdial.Dialer(silence).DialContext
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, receiveBytes), w)
	}
	return cfg, nil
}

// connect opens a connection. Errors have a Kind: Invalid for a URL that cannot be read, Refused for a server that says no,
// Unreachable or Transient otherwise; or are ctx's own.
func connect(ctx context.Context, u URL, env connector.Env) (*pgx.Conn, error) {
	cfg, err := config(u, env)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		refused := wrap(err, "connect to "+u.String())
		if e, ok := errors.AsType[*drover.Error](refused); ok {
			e.Field = "url"
			if strings.HasPrefix(pg.Code, "28") {
				e.Hint = pgdial.HintOfPassfile(e.Hint, cfg.ConnString(), cfg.Password)
			}
		}
		return nil, refused
	}
	e := &drover.Error{
		Field: "url", Kind: drover.Unreachable, Message: "cannot connect to " + u.String() + ": " + dialReason(err), Cause: err,
		Hint: "check the host, the port and that the server is running",
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		e.Kind, e.Hint = drover.Refused, "check sslrootcert, and that the host in the URL is one that the certificate names; sslmode says what is checked"
	}
	return nil, e
}

// dialReason says why no server answered. The parts of pgconn's own message that repeat the configuration are left out.
func dialReason(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return "no such host"
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return rootMessage(err)
}

// closeConn ends a connection without waiting long for a peer that may be gone.
func closeConn(conn *pgx.Conn) {
	if s, ok := conn.PgConn().CustomData()[slotKey].(*slot); ok {
		delete(conn.PgConn().CustomData(), slotKey) // it may be closed twice
		defer s.release()
		if ended(conn) {
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing that mattered is in flight
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
