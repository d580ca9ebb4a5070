package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// markName is the hidden file by which machines find out that they see the same folders (exactness.md 19).
func (r *runner) markName() string { return markName(r.run.UID) }

func markName(uid string) string { return ".drover-mark-" + uid }

// mark leaves the run's mark beside a local source, a local sink and local rejects, where other machines may join.
func (r *runner) mark(ctx context.Context, d *doc) (err error) {
	if !r.o.Shared || r.o.DryRun {
		return nil
	}
	if l, ok := r.bound.Source.(connector.Local); ok {
		if d.SourceMarks, err = l.Mark(ctx, r.markName()); err != nil {
			return fmt.Errorf("mark the source: %w", err)
		}
	}
	if l, ok := r.bound.Sink.(connector.Local); ok {
		if d.SinkMarks, err = l.Mark(ctx, r.markName()); err != nil {
			return fmt.Errorf("mark the sink: %w", err)
		}
	}
	if l, ok := r.bound.Rejects.(connector.Local); ok {
		if d.RejectsMarks, err = l.Mark(ctx, r.markName()); err != nil {
			return fmt.Errorf("mark the rejects: %w", err)
		}
	}
	return nil
}

// checkMarks refuses to work on a run whose folders this machine does not see.
func (r *runner) checkMarks(ctx context.Context) error {
	for end, places := range r.ends(r.doc) {
		missing, err := end.Unmarked(ctx, r.markName(), places)
		if err != nil {
			return drover.Errorf(drover.Refused, "%w", err)
		}
		if len(missing) > 0 {
			return drover.Errorf(drover.Refused, "run %s was planned on %s, and this machine does not see the same %s", r.run.ID, r.doc.Host, strings.Join(missing, ", ")).
				WithHint("mount the same folder here, or run drover on %s", r.doc.Host)
		}
	}
	return nil
}

// unmark removes the marks of a run that is over.
func (r *runner) unmark(ctx context.Context) error { return r.unmarkOf(ctx, r.run.UID, r.doc) }

// unmarkOf removes the marks of a run from the places of a doc.
func (r *runner) unmarkOf(ctx context.Context, uid string, d doc) error {
	var errs []error
	for end, places := range r.ends(d) {
		errs = append(errs, end.Unmark(ctx, markName(uid), places))
	}
	return errors.Join(errs...)
}

// ends are the marked ends of a run with their folders.
func (r *runner) ends(d doc) map[connector.Local][]string {
	ends := map[connector.Local][]string{}
	if l, ok := r.bound.Source.(connector.Local); ok && len(d.SourceMarks) > 0 {
		ends[l] = d.SourceMarks
	}
	if l, ok := r.bound.Sink.(connector.Local); ok && len(d.SinkMarks) > 0 {
		ends[l] = d.SinkMarks
	}
	if l, ok := r.bound.Rejects.(connector.Local); ok && len(d.RejectsMarks) > 0 {
		ends[l] = d.RejectsMarks
	}
	return ends
}
