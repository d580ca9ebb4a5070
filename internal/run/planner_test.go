package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/internal/engine/local"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/plan"
	"github.com/droverdata/drover/internal/protocol"
)

// fickleSource is lost while it is cut as often as it is told, each time after more chunks than AddChunks keeps back, and has other chunks each time.
type fickleSource struct {
	connector.Source
	with          error
	begun, chunks int // how often it fails to begin, and to be cut
	cuts          int
}

func (s *fickleSource) Begin(_ context.Context, _ drover.Chunking, prior json.RawMessage) (json.RawMessage, error) {
	if s.begun--; s.begun >= 0 {
		return nil, s.with
	}
	return prior, nil
}

func (s *fickleSource) Chunks(context.Context, drover.Chunking, json.RawMessage) iter.Seq2[connector.Chunk, error] {
	return func(yield func(connector.Chunk, error) bool) {
		s.cuts++
		if s.chunks--; s.chunks < 0 {
			for i := range 3 {
				if !yield(connector.Chunk{Key: fmt.Sprintf("last %d", i)}, nil) {
					return
				}
			}
			return
		}
		for i := range 2500 {
			if !yield(connector.Chunk{Key: fmt.Sprintf("cut %d of %d", i, s.cuts)}, nil) {
				return
			}
		}
		yield(connector.Chunk{}, s.with)
	}
}

// plannable is a runner whose job's next run is still to be planned, and the events that it sends.
func plannable(t *testing.T, source connector.Source, sink connector.Sink) (*runner, ledger.Ledger, *[]monitor.Event) {
	t.Helper()
	r, l := publishable(t, sink)
	if err := l.Close(t.Context(), r.run.UID, ledger.Finished, ""); err != nil {
		t.Fatal(err)
	}
	var told []monitor.Event
	r.run, r.driver = ledger.Run{}, "planner"
	r.bound.Source = source
	r.plan = plan.Plan{Job: "j", Fingerprint: "f", Stages: make([]plan.Stage, 1)}
	r.o.Job.Frame.Source = files.In("in")
	r.o.Engine = local.NewInProcess(1<<30, func(context.Context, protocol.Task, func(protocol.Progress)) protocol.Result {
		t.Error("a task runs")
		return protocol.Result{}
	}, func() error { return nil })
	r.events = newEvents(func(e monitor.Event) { told = append(told, e) })
	r.unplanned = waiting{what: theSource, answered: true}
	return r, l, &told
}

// TestASourceThatIsLostWhileARunIsPlannedIsPlannedAgain: from the beginning, so that the run has the chunks of the last plan alone, and under the name that
// it had.
func TestASourceThatIsLostWhileARunIsPlannedIsPlannedAgain(t *testing.T) {
	with := drover.Errorf(drover.Transient, "cut the source: terminating connection")
	for name, source := range map[string]*fickleSource{
		"to begin": {with: with, begun: 2}, "to be cut": {with: with, chunks: 2}, "one after the other": {with: with, begun: 1, chunks: 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			r, l, told := plannable(t, source, &awaySink{})
			r.o.Name = "nightly"
			if role, err := r.begin(ctx); err != nil || role != ledger.Work {
				t.Fatal(role, err)
			}
			var got []string
			for c, err := range l.Chunks(ctx, r.run.UID) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, c.Key)
			}
			if want := []string{"last 0", "last 1", "last 2"}; !slices.Equal(got, want) {
				t.Errorf("chunks %q", got[:min(len(got), 5)])
			}
			runs, err := l.Runs(ctx, 10)
			if err != nil || len(runs) != 2 || runs[0].ID != "nightly" || runs[0].State != ledger.Open {
				t.Errorf("runs %+v, %v", runs, err)
			}
			var kinds []string
			for _, e := range *told {
				kinds = append(kinds, fmt.Sprintf("%T", e))
			}
			if want := []string{"monitor.Waiting", "monitor.Back", "monitor.Planned"}; !slices.Equal(kinds, want) {
				t.Errorf("told %q", kinds)
			}
		})
	}
}

// TestAWarningOfAPlanIsToldOnce, although it is planned again.
func TestAWarningOfAPlanIsToldOnce(t *testing.T) {
	var told []monitor.Event
	r := &runner{events: newEvents(func(e monitor.Event) { told = append(told, e) })}
	for range 2 {
		r.env(false).Warn("%s has no index", "raw")
	}
	if !slices.Equal(told, []monitor.Event{monitor.Warning{Text: "raw has no index"}}) {
		t.Errorf("told %+v", told)
	}
}

// TestARunThatCouldNotBePlannedLeavesNothingInTheLedger: nobody can go on with it, so nobody needs to see it.
func TestARunThatCouldNotBePlannedLeavesNothingInTheLedger(t *testing.T) {
	refused := drover.Errorf(drover.Refused, "no")
	for name, c := range map[string]struct {
		source *fickleSource
		sink   *awaySink
	}{
		"the source refuses":                  {&fickleSource{with: refused, begun: 1}, &awaySink{}},
		"the source refuses to be cut":        {&fickleSource{with: refused, chunks: 1}, &awaySink{}},
		"the target refuses":                  {&fickleSource{}, &awaySink{with: refused, times: 1}},
		"the source is lost, and it refuses":  {&fickleSource{with: drover.Errorf(drover.Transient, "lost"), chunks: 1}, &awaySink{with: refused, times: 1}},
		"what is staged cannot be taken away": {&fickleSource{}, &awaySink{with: refused, times: 1, stays: errors.New("stays")}},
	} {
		t.Run(name, func(t *testing.T) {
			r, l, _ := plannable(t, c.source, c.sink)
			if _, err := r.begin(t.Context()); drover.KindOf(err) != drover.Refused {
				t.Error(err)
			}
			runs, err := l.Runs(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			want := 1 // that of publishable
			if c.sink.stays != nil {
				want++ // whose leftovers are to be found by it
			}
			if len(runs) != want {
				t.Errorf("runs %+v", runs)
			}
		})
	}
}

// TestARunThatIsPlannedAgainIsNotGivenUpForNew: --new gives up what was there when the command began.
func TestARunThatIsPlannedAgainIsNotGivenUpForNew(t *testing.T) {
	source := &fickleSource{with: drover.Errorf(drover.Transient, "lost"), chunks: 1}
	r, l, _ := plannable(t, source, &awaySink{})
	r.o.New = true
	r.ledger = overtaken{l, r}
	if role, err := r.begin(t.Context()); err != nil || role != ledger.Work {
		t.Fatal(role, err)
	}
	if run, err := l.Run(t.Context(), "j", ""); err != nil || run.State != ledger.Open || run.Engine != "other" {
		t.Errorf("%+v, %v", run, err)
	}
}

// overtaken is a ledger in which another driver has planned the run whenever r asks for it after its first time.
type overtaken struct {
	ledger.Ledger
	r *runner
}

func (o overtaken) Begin(ctx context.Context, req ledger.Request) (ledger.Run, ledger.Role, error) {
	if o.r.unplanned.tries == 0 {
		return o.Ledger.Begin(ctx, req)
	}
	theirs := req
	theirs.Driver, theirs.Engine = req.Driver, "other"
	run, role, err := o.Ledger.Begin(ctx, theirs)
	if err != nil || role != ledger.Plan {
		return run, role, err
	}
	data, err := json.Marshal(doc{Plan: o.r.plan})
	if err == nil {
		err = o.Start(ctx, run.UID, req.Driver, data)
	}
	if err != nil {
		return run, role, err
	}
	return o.Ledger.Begin(ctx, req)
}
