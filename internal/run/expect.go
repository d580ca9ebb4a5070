package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/protocol"
	"github.com/droverdata/drover/internal/redact"
)

// judge holds the job's expectations against what is staged, and reports whether the run may be published. A run that breaks one fails. Once
// they have passed that is kept, as publish may begin then: its data is not judged a second time, by other expectations.
func (r *runner) judge(ctx context.Context) (pass bool, err error) {
	if len(r.o.Job.Expect) == 0 {
		return true, nil
	}
	if err := r.readDoc(ctx); err != nil || r.doc.Passed {
		return err == nil, err
	}
	r.events.send(monitor.Checking{Expectations: len(r.o.Job.Expect)})
	found, err := r.readStaged(ctx)
	if err != nil {
		return false, err
	}
	fault.Point(ctx)
	r.doc.Passed, r.doc.Broken = len(found.Broken) == 0, found.Broken
	if err := r.writeDoc(ctx); err != nil {
		return false, fmt.Errorf("record what the expectations found: %w", err)
	}
	fault.Point(ctx)
	if r.doc.Passed {
		return true, nil
	}
	if err := r.ledger.Close(ctx, r.run.UID, ledger.Failed, redact.Passwords(brokenText(found.Broken))); err != nil {
		return false, fmt.Errorf("record that the run failed: %w", err)
	}
	fault.Point(ctx)
	return false, nil
}

// readStaged has a worker check what the last stage has staged.
func (r *runner) readStaged(ctx context.Context) (*protocol.Judged, error) {
	stager, ok := r.bound.Sink.(connector.Stager)
	if !ok {
		return nil, drover.Errorf(drover.Invalid, "%s cannot read back what it stages", r.o.Job.Sink).WithField("expect")
	}
	last := r.last()
	run := r.runOf(last)
	state, err := stager.StagedState(run, r.ledger.Receipts(ctx, r.run.UID, last))
	if err != nil {
		return nil, fmt.Errorf("list what is staged: %w", err)
	}
	stage, err := protocol.StageOf(r.o.Job, r.plan.Stages[last], nil)
	if err != nil {
		return nil, err
	}
	task := protocol.Task{
		Run: run, Stage: stage, Timezone: r.o.Job.Timezone, Now: r.run.StartedAt, Connections: r.o.Job.Limits.SourceConnections,
		Memory: r.o.Engine.Largest(), // nothing else runs here
		Expect: &protocol.Expect{Expectations: r.o.Job.Expect, Input: r.plan.Stages[0].Input, State: state},
	}
	if task.Expect.Sources, err = r.sources(ctx); err != nil {
		return nil, err
	}
	found, err := r.execute(ctx, task)
	if err != nil {
		return nil, fmt.Errorf("check the expectations: %w", err)
	}
	t, err := r.ledger.Totals(ctx, r.run.UID, last)
	if err != nil {
		return nil, fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	if t.RowsOut != found.Rows {
		return nil, drover.Errorf(drover.Refused, "the expectations cannot be checked: %s were staged, and %s are read back from %s",
			human.Plural(t.RowsOut, "row"), human.Count(found.Rows), r.o.Job.Sink).WithHint("start afresh with --new, and please report this")
	}
	return found, nil
}

// execute runs a task that writes nothing, and again where its worker was lost.
func (r *runner) execute(ctx context.Context, task protocol.Task) (*protocol.Judged, error) {
	for try := 1; ; try++ {
		result, err := r.o.Engine.Execute(ctx, task, func(protocol.Progress) {})
		if err == nil && result.Error != nil {
			err = result.Error
		}
		if err == nil {
			return result.Judged, nil
		}
		kind := drover.KindOf(err)
		if ctx.Err() != nil || try >= checkTries || kind != drover.Lost && kind != drover.Transient {
			return nil, err
		}
	}
}

// checkTries is how often a check is tried that loses its worker, or a connection.
const checkTries = 3

// judgeRehearsed is judge for a dry run, which has nothing to look at but what its tasks found in their own rows. part says that
// chunks were left out.
func (r *runner) judgeRehearsed(ctx context.Context, part bool) error {
	t, err := r.ledger.Totals(ctx, r.run.UID, 0)
	if err != nil {
		return fmt.Errorf("read the run's totals from the ledger: %w", err)
	}
	sources, err := r.sources(ctx)
	if err != nil {
		return err
	}
	broken, left, err := expect.Totals{Rows: t.RowsOut, Sources: sources, Broken: r.rehearsed, Part: part}.Check(r.bound.Expect)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		why := "a dry run never has all rows together: "
		if part {
			why = "chunks were left out: "
		}
		r.events.send(monitor.Warning{Text: "not checked, because " + why + strings.Join(left, "; ")})
	}
	if len(broken) == 0 {
		return nil
	}
	r.doc.Broken = broken
	if err := r.writeDoc(ctx); err != nil {
		return fmt.Errorf("record what the expectations found: %w", err)
	}
	return nil
}

// forgetJudgement is for a run whose rows change once more.
func (r *runner) forgetJudgement(ctx context.Context) error {
	if err := r.readDoc(ctx); err != nil {
		return err
	}
	if !r.doc.Passed && len(r.doc.Broken) == 0 {
		return nil
	}
	r.doc.Passed, r.doc.Broken = false, nil
	if err := r.writeDoc(ctx); err != nil {
		return fmt.Errorf("record that the expectations are to be checked again: %w", err)
	}
	return nil
}

// readDoc reads what other drivers may have written since this one began.
func (r *runner) readDoc(ctx context.Context) error {
	run, err := r.ledger.Run(ctx, "", r.run.UID)
	if err != nil {
		return fmt.Errorf("read the run from the ledger: %w", err)
	}
	var kept doc
	if len(run.Doc) > 0 {
		if err := json.Unmarshal(run.Doc, &kept); err != nil {
			return fmt.Errorf("decode the plan of run %s: %w", run.ID, err)
		}
	}
	r.doc.Passed, r.doc.Broken, r.doc.Publishing = kept.Passed, kept.Broken, kept.Publishing
	return nil
}

func (r *runner) writeDoc(ctx context.Context) error {
	data, err := json.Marshal(r.doc)
	if err != nil {
		return fmt.Errorf("encode the run's plan: %w", err)
	}
	return r.ledger.SetDoc(ctx, r.run.UID, r.plan.Fingerprint, data)
}

// brokenText is what the ledger says of a run that broke expectations.
func brokenText(broken []expect.Broken) string {
	parts := make([]string, len(broken))
	for i, b := range broken {
		parts[i] = b.Expectation + ": " + b.Message
	}
	return human.Plural(int64(len(broken)), "expectation") + " failed: " + strings.Join(parts, "; ")
}

func (r *runner) tellBroken(broken []expect.Broken) {
	for _, b := range broken {
		r.events.send(monitor.ExpectationFailed{Expectation: b.Expectation, Message: b.Message, Rows: b.Rows, Samples: b.Samples})
	}
}
