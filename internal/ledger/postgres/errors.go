package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/pgdial"
	"github.com/droverdata/drover/internal/pgurl"
)

// explain gives Postgres's errors the kinds by which callers decide. Errors of other origin stay as they are.
// The codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
func explain(err error, config *pgx.ConnConfig) error {
	var known *drover.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	var server *pgconn.PgError
	var connect *pgconn.ConnectError
	if errors.As(err, &server) {
		return refusal(server, errors.As(err, &connect), config)
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return &drover.Error{
			Kind: drover.Refused, Message: scrub("the ledger at "+place(config)+": "+reason(err), config.Password),
			Hint: "check sslrootcert, and that the host in the ledger's URL is one that the certificate names; sslmode says what is checked", Cause: err,
		}
	}
	if errors.As(err, &connect) {
		return &drover.Error{
			Kind: drover.Unreachable, Message: scrub("cannot reach the ledger at "+place(config)+": "+reason(connect), config.Password),
			Hint: "check host and port, and that the server runs", Cause: err,
		}
	}
	return err
}

// lost tells a connection that broke under a statement from other errors. A closed connection is the one sign that all ways to break have in
// common.
func lost(ctx context.Context, conn *pgx.Conn, err error) error {
	var server *pgconn.PgError
	if err == nil || ctx.Err() != nil || errors.As(err, &server) || !conn.IsClosed() {
		return err
	}
	return &drover.Error{
		Kind: drover.Transient, Message: scrub("lost the connection to the ledger at "+place(conn.Config())+": "+err.Error(), conn.Config().Password),
		Hint: "run the same command again", Cause: err,
	}
}

// reason is the innermost cause of a failed connection: the outer ones repeat user and database.
func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Error()
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.Error()
	}
	text := err.Error()
	if i := strings.LastIndex(text, "): "); i >= 0 {
		text = text[i+len("): "):]
	}
	return strings.TrimSpace(text)
}

func refusal(e *pgconn.PgError, connecting bool, config *pgx.ConnConfig) error {
	out := &drover.Error{Code: e.Code, Message: scrub("the ledger at "+place(config)+": "+e.Message, config.Password), Cause: e}
	class := ""
	if len(e.Code) == 5 {
		class = e.Code[:2]
	}
	switch {
	case class == "28":
		out.Kind, out.Hint = drover.Refused, "check user and password in the ledger's URL; a server may want TLS (sslmode=require), or a certificate (sslcert, sslkey)"
		out.Hint = pgdial.HintOfPassfile(out.Hint, config.ConnString(), config.Password)
	case e.Code == "3D000":
		out.Kind, out.Hint = drover.Refused, "create the database, or name another in the ledger's URL"
	case e.Code == "42501":
		out.Kind, out.Hint = drover.Refused, "grant it, or let drover use a schema of the role's own with ?"+pgurl.SchemaParameter+"=NAME in the ledger's URL"
	case e.Code == "25006":
		out.Kind, out.Hint = drover.Refused, "the server is read-only (a standby?): name the primary in the ledger's URL"
	case class == "40", class == "08", e.Code == "55P03", e.Code == "25P03", class == "57" && !connecting:
		out.Kind, out.Hint = drover.Transient, "run the same command again"
	case class == "53", class == "57":
		out.Kind, out.Hint = drover.Unreachable, "run the same command again later"
	case connecting:
		out.Kind = drover.Refused
	default:
		return e
	}
	return out
}

// duplicate reports whether an object could not be created because somebody else just did.
func duplicate(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "42P06" || e.Code == "23505" && e.SchemaName == "pg_catalog")
}

// retryable reports whether a transaction that failed so was rolled back by the server and may simply run again: a serialization failure
// or a deadlock.
func retryable(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}
