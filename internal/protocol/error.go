package protocol

import (
	"context"
	"errors"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/redact"
	"github.com/droverdata/drover/internal/storage"
)

// AsError makes an attempt's error fit to cross to the driver and into the ledger: it has a kind, and shows no password. It is nil for nil.
func AsError(err error) *drover.Error {
	var e *drover.Error
	full := storage.Full(err)
	switch {
	case err == nil:
		return nil
	case full != nil:
		e = full // whatever the file was for
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return drover.Errorf(drover.Interrupted, "the attempt was stopped")
	default:
		e = drover.Errorf(drover.Data, "%w", err)
	}
	clean := *e
	clean.Message, clean.Hint = redact.Passwords(e.Message), redact.Passwords(e.Hint)
	return &clean
}
