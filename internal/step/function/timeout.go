package function

import (
	"context"
	"errors"
	"time"

	"github.com/droverdata/drover"
)

// Within bounds the time of one call of a function; 0 means for ever.
func Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, d, tooLong(d))
}

// WithinEach bounds the time of each of several calls: again begins the next one's.
func WithinEach(ctx context.Context, d time.Duration) (_ context.Context, again func(), _ context.CancelFunc) {
	if d == 0 {
		return ctx, func() {}, func() {}
	}
	ctx, end := context.WithCancelCause(ctx)
	timer := time.AfterFunc(d, func() { end(tooLong(d)) })
	return ctx, func() { timer.Reset(d) }, func() { timer.Stop(); end(nil) }
}

// StartWithin bounds the time in which a function becomes ready to be called.
func StartWithin(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, late{drover.Errorf(drover.Transient, "Python has not started within %s, and was ended: its module was still being loaded", d).
		WithHint("if the module does something long when it is imported, move that into the function")})
}

// late is why a ctx has ended whose time was over.
type late struct{ why *drover.Error }

func (l late) Error() string { return l.why.Error() }

func tooLong(d time.Duration) error {
	return late{drover.Errorf(drover.Transient, "the function has taken longer than %s, and was ended", d).
		WithHint("it may hang; if it only needs more time, raise limits.chunk_timeout")}
}

// Late returns what the functions above say of a ctx whose time is over; nil of any other.
func Late(ctx context.Context) error {
	var l late
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &l) {
		return l.why
	}
	return nil
}
