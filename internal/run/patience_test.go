package run

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// awaySink fails to begin as often as it is told.
type awaySink struct {
	slowSink
	with  error
	times int
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
	var p planning
	if err := r.stage(t.Context(), &p); err != nil || sink.times != -1 || string(p.doc.SinkState) != `{}` {
		t.Fatalf("%v, %d, %s", err, sink.times, p.doc.SinkState)
	}
	for _, with := range []*drover.Error{drover.Errorf(drover.Refused, "no"), {Kind: drover.Transient, Code: lockTimedOut, Message: "locked"}} {
		sink.with, sink.times = with, 5
		if err := r.stage(t.Context(), &p); drover.KindOf(err) != with.Kind || sink.times != 4 {
			t.Errorf("%v: %v after %d times", with, err, 5-sink.times)
		}
	}
}

func TestWhoIsWaitedForAtTheStart(t *testing.T) {
	for _, c := range []struct {
		err  drover.Error
		want bool
	}{
		{drover.Error{Kind: drover.Transient, Message: "the connection was lost"}, true},
		{drover.Error{Kind: drover.Transient, Code: "57P01"}, true},
		{drover.Error{Kind: drover.Unreachable, Code: "57P03"}, true},
		{drover.Error{Kind: drover.Unreachable, Message: "connection refused"}, false},
		{drover.Error{Kind: drover.Transient, Code: lockTimedOut}, false},
		{drover.Error{Kind: drover.Refused, Code: "28P01"}, false},
	} {
		if got := dropped(&c.err); got != c.want {
			t.Errorf("%+v: %v", c.err, got)
		}
	}
}
