// Package fault kills the process at a chosen point, so that tests can prove that a run survives kill -9 anywhere. Points stand before and
// after every change of the ledger or of a target. Without a plan in the context they cost nothing.
package fault

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Env is the environment variable that holds a plan: "ROLE:N:MARKER".
const Env = "DROVER_FAULT"

type key struct{}

// plan kills at the n-th point that a process of its role passes, unless the marker file exists, which it creates first: one
// kill a test, whatever restarts.
type plan struct {
	n      int64
	marker string
	passed atomic.Int64
}

// WithEnv returns ctx with the plan that the environment holds for a process of this role, if any.
func WithEnv(ctx context.Context, role string) (context.Context, error) {
	text := os.Getenv(Env)
	if text == "" {
		return ctx, nil
	}
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("%s=%q is not ROLE:N:MARKER", Env, text)
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s=%q is not ROLE:N:MARKER: %w", Env, text, err)
	}
	if parts[0] != role {
		return ctx, nil
	}
	return context.WithValue(ctx, key{}, &plan{n: n, marker: parts[2]}), nil
}

// Point is a place at which a plan may kill the process.
func Point(ctx context.Context) {
	p, ok := ctx.Value(key{}).(*plan)
	if !ok || p.passed.Add(1) != p.n {
		return
	}
	f, err := os.OpenFile(p.marker, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_ = f.Close()
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal may take a moment, and nothing must happen after this point
}
