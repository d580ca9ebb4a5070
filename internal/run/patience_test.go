package run

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/monitor"
)

// awaySink fails to begin as often as it is told.
type awaySink struct {
	slowSink
	with  error
	times int
	stays error // of Abort
}

func (s *awaySink) Abort(context.Context, connector.Run) (int64, error) {
	return 0, s.stays
}

func (s *awaySink) Begin(context.Context, connector.Run, drover.Schema) (json.RawMessage, error) {
	if s.times--; s.times >= 0 {
		return nil, s.with
	}
	return json.RawMessage(`{}`), nil
}

// TestATargetThatIsAwayWhileARunIsPlannedIsWaitedFor: a lost connection does not end a driver.
func TestATargetThatIsAwayWhileARunIsPlannedIsWaitedFor(t *testing.T) {
	sink := &awaySink{with: drover.Errorf(drover.Transient, "begin run: terminating connection"), times: 2}
	r, _ := publishable(t, sink)
	var told []monitor.Event
	r.events = newEvents(func(e monitor.Event) { told = append(told, e) })
	var p planning
	if err := r.stage(t.Context(), &p); err != nil || sink.times != -1 || string(p.doc.SinkState) != `{}` {
		t.Fatalf("%v, %d, %s", err, sink.times, p.doc.SinkState)
	}
	if len(told) != 2 {
		t.Fatalf("told %+v", told)
	}
	if w, ok := told[0].(monitor.Waiting); !ok || w.For != theTarget || w.Cause != "begin run: terminating connection" || time.Until(w.Until) < outage/2 {
		t.Errorf("told %+v", told[0])
	}
	if b, ok := told[1].(monitor.Back); !ok || b.For != theTarget {
		t.Errorf("told %+v", told[1])
	}
	for _, with := range []*drover.Error{drover.Errorf(drover.Refused, "no"), {Kind: drover.Transient, Code: lockTimedOut, Message: "locked"}} {
		sink.with, sink.times = with, 5
		if err := r.stage(t.Context(), &p); drover.KindOf(err) != with.Kind || sink.times != 4 {
			t.Errorf("%v: %v after %d times", with, err, 5-sink.times)
		}
	}
}

func TestWhoIsWaitedForAtTheStart(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, c := range []struct {
		err      drover.Error
		answered bool
		want     time.Duration
	}{
		{err: drover.Error{Kind: drover.Transient, Message: "the connection was lost"}, want: outage},
		{err: drover.Error{Kind: drover.Transient, Code: "57P01"}, want: outage},
		{err: drover.Error{Kind: drover.Unreachable, Code: "57P03"}, want: outage},
		{err: drover.Error{Kind: drover.Unreachable, Cause: fmt.Errorf("dial: %w", refused)}, want: refusal},
		{err: drover.Error{Kind: drover.Unreachable, Cause: fmt.Errorf("receive: %w", io.ErrUnexpectedEOF)}, want: refusal},
		{err: drover.Error{Kind: drover.Refused, Cause: io.EOF}},
		{err: drover.Error{Kind: drover.Unreachable, Cause: refused}, answered: true, want: outage},
		{err: drover.Error{Kind: drover.Unreachable, Cause: &net.DNSError{Err: "no such host", IsNotFound: true}}},
		{err: drover.Error{Kind: drover.Unreachable, Cause: context.DeadlineExceeded}},
		{err: drover.Error{Kind: drover.Transient, Code: lockTimedOut}},
		{err: drover.Error{Kind: drover.Refused, Code: "28P01"}},
		{err: drover.Error{Kind: drover.Refused, Code: "3D000"}, answered: true},
	} {
		if got := fresh(&c.err, c.answered || answer(&c.err)); got != c.want {
			t.Errorf("%+v: %v", c.err, got)
		}
	}
}

// TestAServerThatRestartsIsWaitedForFromItsFirstAnswerOn: it says that it shuts down, then its port refuses, then it starts up.
func TestAServerThatRestartsIsWaitedForFromItsFirstAnswerOn(t *testing.T) {
	refused := &drover.Error{Kind: drover.Unreachable, Message: "connection refused", Cause: syscall.ECONNREFUSED}
	starting := &drover.Error{Kind: drover.Unreachable, Code: "57P03", Message: "the database system is starting up"}
	var told []monitor.Waiting
	r := &runner{events: newEvents(func(e monitor.Event) {
		if w, ok := e.(monitor.Waiting); ok {
			told = append(told, w)
		}
	})}
	tries := []error{refused, starting, refused, refused}
	err := r.patiently(t.Context(), theLedger, fresh, func() (err error) {
		if len(tries) > 0 {
			err, tries = tries[0], tries[1:]
		}
		return err
	})
	if err != nil || len(tries) > 0 {
		t.Fatal(err)
	}
	if len(told) != 2 || told[1].Until.Sub(told[0].Until) != outage-refusal {
		t.Errorf("told %+v", told)
	}
}
