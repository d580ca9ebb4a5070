package run

import (
	"errors"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
)

// TestAFailureCountsOnlyAgainstAChunkThatWasAlone is exactness.md 12.
func TestAFailureCountsOnlyAgainstAChunkThatWasAlone(t *testing.T) {
	one, many := make([]connector.Chunk, 1), make([]connector.Chunk, 7)
	for _, c := range []struct {
		name     string
		task     ledger.Task
		kind     drover.Kind
		code     string
		stopping bool
		want     ledger.Verdict
		counts   bool
		lost     bool
	}{
		{name: "bad data alone is final at once", task: ledger.Task{Chunks: one}, kind: drover.Data, want: ledger.Final, counts: true},
		{name: "bad data among others is narrowed down", task: ledger.Task{Chunks: many}, kind: drover.Data, want: ledger.Halve},
		{name: "a deadlock alone is tried again", task: ledger.Task{Chunks: one}, kind: drover.Transient, want: ledger.Retry, counts: true},
		{name: "a deadlock alone, the last attempt", task: ledger.Task{Chunks: one, Attempts: 2}, kind: drover.Transient, want: ledger.Final, counts: true},
		{name: "a server that is away is nobody's fault", task: ledger.Task{Chunks: one, Attempts: 2}, kind: drover.Unreachable, want: ledger.Retry},
		{name: "a lost worker alone", task: ledger.Task{Chunks: one}, kind: drover.Lost, want: ledger.Retry, lost: true},
		{name: "a lost worker alone, too often", task: ledger.Task{Chunks: one, Losses: 2}, kind: drover.Lost, want: ledger.Final, lost: true},
		{name: "a lost worker with many chunks", task: ledger.Task{Chunks: many, Losses: 2}, kind: drover.Lost, want: ledger.Halve},
		{name: "memory overrun with many chunks", task: ledger.Task{Chunks: many}, kind: drover.Overrun, want: ledger.Halve},
		{name: "fenced off", task: ledger.Task{Chunks: one, Attempts: 2}, kind: drover.Fenced, want: ledger.Retry},
		{name: "a split cut short among others", task: ledger.Task{Chunks: many}, kind: drover.Fenced, code: connector.Voided, want: ledger.Halve},
		{name: "the run stops", task: ledger.Task{Chunks: one}, kind: drover.Data, stopping: true, want: ledger.Release},
		{name: "the attempt was stopped", task: ledger.Task{Chunks: many}, kind: drover.Interrupted, want: ledger.Release},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &pool{runner: &runner{}}
			f := p.verdict(c.task, &drover.Error{Kind: c.kind, Code: c.code, Message: "x"}, c.stopping)
			if f.Verdict != c.want || f.Counts != c.counts || f.Lost != c.lost {
				t.Fatalf("got %+v", f)
			}
		})
	}
}

// TestAFullDiskIsNoFaultOfTheChunks: the machine rests, and gives up at last. Only where it wrote others meanwhile is the chunk to blame too.
func TestAFullDiskIsNoFaultOfTheChunks(t *testing.T) {
	var told []monitor.Event
	p := &pool{runner: &runner{events: newEvents(func(e monitor.Event) { told = append(told, e) })}, slots: 1}
	full := &drover.Error{Kind: drover.Disk, Message: "the disk of /data is full"}
	task := ledger.Task{Chunks: make([]connector.Chunk, 1), Attempts: 2}
	for range 20 {
		if p.stuck(task, full) {
			t.Fatal("given up at once")
		}
		if f := p.verdict(task, full, false); f.Verdict != ledger.Retry || f.Counts || f.Lost {
			t.Fatalf("got %+v", f)
		}
	}
	if !p.rests.After(time.Now()) || len(told) != 1 {
		t.Errorf("it rests until %s, and tells %+v", p.rests, told)
	}
	p.unstuck()
	p.unstuck()
	if b, ok := told[len(told)-1].(monitor.Back); !ok || b.For != theDisk || len(told) != 2 || p.inVain != 0 {
		t.Errorf("when there is room it tells %+v", told)
	}
	for range 20 {
		p.stuck(task, full)
	}
	p.vainSince = time.Now().Add(-2 * outage)
	if !p.stuck(task, full) || !errors.Is(p.stopped(), full) {
		t.Errorf("it never ends: %v", p.stopped())
	}
	p.wrote = true
	if f := p.verdict(task, full, false); f.Verdict != ledger.Final || !f.Counts || f.Error.Message != full.Message {
		t.Errorf("a chunk that fits nowhere: %+v", f)
	}
}

func TestBackoffStaysWithinItsBound(t *testing.T) {
	for n := range 40 {
		if d := backoff(n); d < 0 || d > maxDelay {
			t.Fatalf("backoff(%d) = %s", n, d)
		}
	}
}
