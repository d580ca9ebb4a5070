package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/protocol"
)

func TestAsErrorGivesEveryErrorAKind(t *testing.T) {
	if protocol.AsError(nil) != nil {
		t.Error("nil is an error")
	}
	for _, c := range []struct {
		err  error
		kind drover.Kind
	}{
		{errors.New("x"), drover.Data},
		{fmt.Errorf("write: %w", drover.Errorf(drover.Transient, "x")), drover.Transient},
		{fmt.Errorf("write: %w", context.Canceled), drover.Interrupted},
		{context.DeadlineExceeded, drover.Interrupted},
		{drover.Errorf(drover.Unreachable, "write Parquet files: %w", syscall.ENOSPC), drover.Disk},
	} {
		if got := protocol.AsError(c.err); got.Kind != c.kind {
			t.Errorf("%v has kind %s, want %s", c.err, got.Kind, c.kind)
		}
	}
}

func TestAsErrorHidesPasswords(t *testing.T) {
	const url = "postgres://u:hunter2@h/db"
	for _, err := range []error{errors.New(url), drover.Errorf(drover.Data, "%s", url).WithHint("%s", url)} {
		e := protocol.AsError(err)
		if strings.Contains(e.Message+e.Hint, "hunter2") || !strings.Contains(e.Message, "postgres://u:") {
			t.Errorf("got %q, %q", e.Message, e.Hint)
		}
	}
}
