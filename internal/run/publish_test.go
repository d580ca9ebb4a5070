package run

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"syscall"
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

// publishable is a runner whose run has one chunk, which is finished.
func publishable(t *testing.T, sink connector.Sink) (*runner, ledger.Ledger) {
	t.Helper()
	ctx := t.Context()
	l, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Shutdown(); err != nil {
			t.Error(err)
		}
	})
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
	return &runner{
		o:      Options{Job: drover.Job{Name: "j", Sink: files.Out("out")}, Lease: time.Minute},
		ledger: l, driver: "d", bound: &bind.Bound{Sink: sink}, plan: plan.Plan{Stages: make([]plan.Stage, 1)}, run: run,
		events: newEvents(func(monitor.Event) {}),
	}, l
}

// TestALostPublishLeaseIsNotAnInterruption: another driver publishes then, and this one looks what becomes of it.
func TestALostPublishLeaseIsNotAnInterruption(t *testing.T) {
	ctx := t.Context()
	r, l := publishable(t, &slowSink{})
	r.ledger, r.o.Lease = stolen{l}, 30*time.Millisecond
	if again, err := r.publish(ctx); !again || err != nil {
		t.Fatalf("again %v, error %v", again, err)
	}
	r.ledger = l
	if again, err := r.publish(ctx); again || err != nil {
		t.Fatalf("the next time: again %v, error %v", again, err)
	}
	if now, err := l.Run(ctx, "", r.run.UID); err != nil || now.State != ledger.Finished {
		t.Fatalf("the run is %s, %v", now.State, err)
	}
}

// brokenSink fails to publish as often as it is told.
type brokenSink struct {
	slowSink
	with  error
	times int
}

func (s *brokenSink) Publish(context.Context, connector.Run, drover.Schema, iter.Seq2[connector.Receipt, error]) (connector.Published, error) {
	if s.times--; s.times >= 0 {
		return connector.Published{}, s.with
	}
	return connector.Published{}, nil
}

// TestPublishIsTriedAgainWhereTimeMayMendIt: a server that is away, a disk that is full; for a minute.
func TestPublishIsTriedAgainWhereTimeMayMendIt(t *testing.T) {
	for _, with := range []error{drover.Errorf(drover.Unreachable, "no answer"), fmt.Errorf("write: %w", syscall.ENOSPC)} {
		r, l := publishable(t, &brokenSink{with: with, times: 2})
		for range 2 {
			if again, err := r.publish(t.Context()); !again || err != nil {
				t.Fatalf("%v: again %v, error %v", with, again, err)
			}
		}
		if again, err := r.publish(t.Context()); again || err != nil {
			t.Fatalf("the last time: again %v, error %v", again, err)
		}
		if now, err := l.Run(t.Context(), "", r.run.UID); err != nil || now.State != ledger.Finished {
			t.Fatalf("the run is %s, %v", now.State, err)
		}
	}
	r, _ := publishable(t, &brokenSink{with: drover.Errorf(drover.Refused, "no"), times: 1})
	if again, err := r.publish(t.Context()); again || drover.KindOf(err) != drover.Refused {
		t.Errorf("what time does not mend: again %v, error %v", again, err)
	}
	r, _ = publishable(t, &brokenSink{with: drover.Errorf(drover.Transient, "lost"), times: 1})
	r.unpublished.since = time.Now().Add(-2 * outage)
	if again, err := r.publish(t.Context()); again || drover.KindOf(err) != drover.Transient {
		t.Errorf("after a minute: again %v, error %v", again, err)
	}
}

// lateSink counts how often it is told that its Begin came too late.
type lateSink struct {
	slowSink
	told int
}

func (s *lateSink) Late(context.Context, connector.Run) error { s.told++; return nil }

// TestWhoJoinedTooLateTidiesUp: once the run is over, and not before.
func TestWhoJoinedTooLateTidiesUp(t *testing.T) {
	for state, want := range map[ledger.RunState]int{ledger.Open: 0, ledger.Failed: 0, ledger.Finished: 1, ledger.Abandoned: 1} {
		sink := &lateSink{}
		r, l := publishable(t, sink)
		r.resumed = true
		if state != ledger.Open {
			if err := l.Close(t.Context(), r.run.UID, state, ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.othersDid(t.Context()); (err != nil) != (state == ledger.Abandoned) {
			t.Error(err)
		}
		if sink.told != want {
			t.Errorf("%s: told %d times", state, sink.told)
		}
	}
}
