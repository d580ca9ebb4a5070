package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5/pgconn"
)

// sampleLength is how many characters of a value an error shows.
const sampleLength = 40

// copyColumn finds the column in the context of a COPY error: "COPY t, line 3, column x".
var copyColumn = regexp.MustCompile(`^COPY .*, (?:line|\S+) \d+, (?:column|\S+) ("(?:[^"]|"")+"|[^\s:,]+)`)

// detailValue finds the value in a constraint's detail: "Key (id)=(7) already exists."
var detailValue = regexp.MustCompile(`\)=\((.*)\)`)

// failingRow finds the row in the detail of a CHECK that it breaks: "Failing row contains (1, -5)."
var failingRow = regexp.MustCompile(`^Failing row contains \((.*)\)\.$`)

// wrap turns err into a *drover.Error of the Kind that its SQLSTATE calls for, its message led by doing ("copy into
// public.t"). A *drover.Error and a context's error come back as they are; nil gives nil.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	if drover.KindOf(err) != "" {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		// Everything that is not the server's answer is the connection's end: EOF, a reset, a timeout.
		return &drover.Error{Kind: drover.Transient, Message: doing + ": the connection was lost: " + rootMessage(err), Cause: err}
	}
	e := &drover.Error{
		Kind: kindOfState(pg.Code), Code: pg.Code, Message: doing + ": " + pg.Message, Hint: pg.Hint, Column: pg.ColumnName, Cause: err,
	}
	if m := copyColumn.FindStringSubmatch(pg.Where); m != nil && e.Column == "" {
		e.Column = strings.ReplaceAll(strings.Trim(m[1], `"`), `""`, `"`)
	}
	if pg.ConstraintName != "" && !strings.Contains(e.Message, pg.ConstraintName) {
		e.Message += " (constraint " + pg.ConstraintName + ")"
	}
	if m := detailValue.FindStringSubmatch(pg.Detail); m != nil && strings.HasPrefix(pg.Code, "23") {
		e.Sample = sample(m[1])
	}
	if m := failingRow.FindStringSubmatch(pg.Detail); m != nil && pg.Code == "23514" {
		e.Sample = sample(m[1])
	}
	if hint := hintOfState(pg.Code); hint != "" {
		e.Hint = hint
	}
	return e
}

// rootMessage returns the innermost error's text: the outer ones may repeat configuration.
func rootMessage(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}

// sample shortens a value for a message.
func sample(text string) string {
	runes := []rune(text)
	if len(runes) <= sampleLength {
		return text
	}
	return string(runes[:sampleLength]) + "…"
}

// kindOfState classes a SQLSTATE (PostgreSQL, appendix A) by what can be done about it.
func kindOfState(code string) drover.Kind {
	switch code {
	case "40001", "40P01", // serialization failure (a replica's conflict too), deadlock
		"55P03",                   // lock not available
		"55006",                   // object in use
		"57P01", "57P02", "57P05", // the server ended the session
		"57014", "25P02", "25P03", "25P04": // cancelled, or a transaction that the server gave up
		return drover.Transient
	case "57P03", // starting up or shutting down
		"53300": // no connection is left; those who have one will be done
		return drover.Unreachable
	case "3D000", "42501", "25006": // no such database, no privilege, read-only server
		return drover.Refused
	case "57P04", // the database was dropped
		"53400": // a limit that somebody set, such as temp_file_limit
		return drover.Refused
	}
	if len(code) < 2 {
		return drover.Refused
	}
	switch code[:2] {
	case "08", "53", "58":
		return drover.Transient
	case "22", "23", "44", "P0":
		return drover.Data
	case "40":
		return drover.Transient
	case "42", "26", "34", "3F":
		return drover.Invalid
	}
	return drover.Refused
}

// hintOfState says what to do next where the server does not.
func hintOfState(code string) string {
	switch code {
	case "28P01", "28000":
		return "check the user, the password and pg_hba.conf; a server may want TLS (sslmode=require), or a certificate (sslcert, sslkey)"
	case "3D000":
		return "check the database name in the URL"
	case "42501":
		return "ask for the privilege, or use a role that has it"
	case "53300":
		return "lower limits.workers or limits.source_connections, or raise max_connections"
	case "42P01":
		return "check the table's name and schema"
	case "25006":
		return "the server is a read-only replica: write to its primary"
	}
	return ""
}
