package drover

import (
	"errors"
	"fmt"
	"strings"
)

// Kind classes an Error by what can be done about it. Callers decide on kinds, never on texts.
type Kind string

// The kinds of error.
const (
	// Invalid: the job file or the command line is wrong. Found before anything runs.
	Invalid Kind = "invalid"
	// Refused: a source, sink, ledger or engine was reached and said no, or drover refuses what it found there.
	Refused Kind = "refused"
	// Unreachable: a source, sink, ledger or engine could not be reached. A retry may mend it.
	Unreachable Kind = "unreachable"
	// Transient: a serialization failure, a deadlock, a lost connection. A retry mends it.
	Transient Kind = "transient"
	// Data: rows of a chunk cannot be read, transformed or stored. A retry does not mend it.
	Data Kind = "data"
	// Fenced: a later attempt or a closed run owns the chunk. Nothing was written.
	Fenced Kind = "fenced"
	// Overrun: the attempt needed more memory than its share.
	Overrun Kind = "overrun"
	// Disk: this machine cannot write a file, as a rule because a disk is full. Another machine may, or this one later.
	Disk Kind = "disk"
	// Lost: the worker died under the attempt.
	Lost Kind = "lost"
	// Interrupted: the user or the system asked to stop.
	Interrupted Kind = "interrupted"
)

// Error is an error that a user is meant to read: what, where and what next. It crosses process boundaries as JSON, without its
// cause. No field ever holds a secret.
type Error struct {
	Kind Kind `json:"kind"`
	// Field is the place in the job that is at fault, as a path: "steps[1].filter", "sink.postgres.table".
	Field string `json:"field,omitempty"`
	// Offset is the byte offset within the field's text, from 1; 0 when unknown.
	Offset int `json:"offset,omitempty"`
	// Code is the system's own code: a SQLSTATE, a DuckDB error type ("Conversion Error").
	Code string `json:"code,omitempty"`
	// Column and Sample name the column at fault and one value of it, shortened.
	Column string `json:"column,omitempty"`
	Sample string `json:"sample,omitempty"`
	// Needs is how many bytes of memory the worker of an attempt of kind Overrun would need, where that is known.
	Needs int64 `json:"needs_bytes,omitempty"`
	// Message says what happened, in one sentence without a final stop.
	Message string `json:"message"`
	// Hint says what to do next: a command, a clause to add.
	Hint string `json:"hint,omitempty"`

	Cause error `json:"-"`
}

// Errorf builds an Error of a kind. A %w operand becomes its cause.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// WithField returns e with its place in the job set.
func (e *Error) WithField(path string) *Error { e.Field = path; return e }

// WithHint returns e with its hint set.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Error returns the message with its column and the system's code.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Code != "" && !strings.Contains(e.Message, e.Code) {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	if e.Column != "" && !strings.Contains(e.Message, e.Column) {
		fmt.Fprintf(&b, " · column %s", e.Column)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the first Error in err's chain, or "" if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}
