package run

import (
	"context"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/internal/bind"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/ledger/sqlite"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/plan"
)

// slowSink publishes only once it is told to stop, the first time.
type slowSink struct {
	connector.Sink
	calls int
}

func (*slowSink) Verify(context.Context, connector.Run, iter.Seq2[connector.Receipt, error]) ([]int64, error) {
	return nil, nil
}

func (s *slowSink) Publish(ctx context.Context, _ connector.Run, _ drover.Schema, _ iter.Seq2[connector.Receipt, error]) (connector.Published, error) {
	if s.calls++; s.calls == 1 {
		<-ctx.Done()
		return connector.Published{}, ctx.Err()
	}
	return connector.Published{}, nil
}

// stolen is a ledger in which another driver has taken every lease over when it is to be renewed.
type stolen struct{ ledger.Ledger }

func (stolen) Renew(context.Context, string, string, time.Duration) error { return ledger.ErrFenced }

// TestALostPublishLeaseIsNotAnInterruption: another driver publishes then, and this one looks what becomes of it.
func TestALostPublishLeaseIsNotAnInterruption(t *testing.T) {
	ctx := t.Context()
	l, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Shutdown() //nolint:errcheck // the file goes with the test
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	run, _, err := l.Begin(ctx, ledger.Request{Job: "j", Fingerprint: "f", Driver: "d", Lease: time.Minute, Engine: "local"})
	must(err)
	must(l.AddChunks(ctx, run.UID, "d", 0, func(yield func(connector.Chunk, error) bool) { yield(connector.Chunk{Key: "k"}, nil) }))
	must(l.Start(ctx, run.UID, "d", nil))
	task, err := l.Claim(ctx, run.UID, ledger.Want{Worker: "d", Lease: time.Minute})
	must(err)
	must(l.Finish(ctx, run.UID, task.Token, []connector.Receipt{{Token: task.Token}}))

	r := &runner{
		o:      Options{Job: drover.Job{Name: "j", Sink: files.Out("out")}, Lease: 30 * time.Millisecond},
		ledger: stolen{l}, driver: "d", bound: &bind.Bound{Sink: &slowSink{}}, plan: plan.Plan{Stages: make([]plan.Stage, 1)}, run: run,
		events: newEvents(func(monitor.Event) {}),
	}
	if again, err := r.publish(ctx); !again || err != nil {
		t.Fatalf("again %v, error %v", again, err)
	}
	r.ledger = l
	if again, err := r.publish(ctx); again || err != nil {
		t.Fatalf("the next time: again %v, error %v", again, err)
	}
	if now, err := l.Run(ctx, "", run.UID); err != nil || now.State != ledger.Finished {
		t.Fatalf("the run is %s, %v", now.State, err)
	}
}
