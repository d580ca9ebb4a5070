package postgres

import (
	"errors"
	"fmt"
	"time"

	"github.com/droverdata/drover"
)

// Codes that mean something of their own in a transaction that only reads (PostgreSQL, appendix A).
const (
	// stateConflict cannot be a conflict with another transaction there: the server is a replica, and replays what the statement still needs.
	stateConflict = "40001"
	// stateCancelled is a statement that took too long, or that somebody has cancelled.
	stateCancelled = "57014"
)

// explain says what an error of the server means to one who only reads. begun is when the statements began, or earlier.
func (s *source) explain(err error, begun time.Time) error {
	var e *drover.Error
	if !errors.As(err, &e) {
		return err
	}
	limit := s.spec.StatementTimeout
	switch {
	case e.Code == stateConflict:
		return &drover.Error{
			Kind: drover.Transient, Code: e.Code, Message: "replica conflict: " + e.Message, Cause: err,
			Hint: "on the replica, hot_standby_feedback = on or a larger max_standby_streaming_delay lets longer statements finish; smaller chunks need shorter ones",
		}
	case e.Code == stateCancelled && limit > 0 && time.Since(begun) >= limit:
		// Another try would load the server as long, for nothing. A task of several chunks is cut in halves, whose statements are shorter.
		return &drover.Error{
			Kind: drover.Refused, Code: e.Code, Field: "source.postgres.statement_timeout", Cause: err,
			Message: fmt.Sprintf("a statement took longer than source.postgres.statement_timeout (%s): %s", limit, e.Message),
			Hint:    "cut smaller chunks, create the index that chunk.by wants, or raise statement_timeout",
		}
	}
	return err
}

// explained runs fn, whose errors are those of statements that read.
func explained[T any](s *source, fn func() (T, error)) (T, error) {
	begun := time.Now()
	v, err := fn()
	return v, s.explain(err, begun)
}
