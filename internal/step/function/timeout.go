package function

import (
	"context"
	"errors"
	"time"

	"github.com/droverdata/drover"
)

// Within bounds the time of one call of a function; 0 means for ever.
func Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return within(ctx, d, drover.Errorf(drover.Transient, "the function has taken longer than %s, and was ended", d).
		WithHint("it may hang; if it only needs more time, raise limits.chunk_timeout"))
}

// StartWithin bounds the time in which a function becomes ready to be called.
func StartWithin(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return within(ctx, d, drover.Errorf(drover.Transient, "Python has not started within %s, and was ended: its module was still being loaded", d).
		WithHint("if the module does something long when it is imported, move that into the function"))
}

func within(ctx context.Context, d time.Duration, late *drover.Error) (context.Context, context.CancelFunc) {
	if d == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, d, late)
}

// Late returns what Within or StartWithin say of a ctx whose time is over; nil of any other.
func Late(ctx context.Context) error {
	var e *drover.Error
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &e) {
		return e
	}
	return nil
}
