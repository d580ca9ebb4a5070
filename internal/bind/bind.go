// Package bind asks a job's source for its schema, its sink for its target and DuckDB for the types in between, before anything
// runs.
package bind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/plan"
	"github.com/droverdata/drover/internal/reject"
	"github.com/droverdata/drover/internal/vocabulary"
)

// Bound is a bound job with its source and its sink open.
type Bound struct {
	plan.Bound
	Source connector.Source
	Sink   connector.Sink
	// Rejects takes the rows that Sink does not; nil where the job has none.
	Rejects connector.Sink
}

// Close closes source and sinks.
func (b *Bound) Close() error {
	var errs []error
	if b.Source != nil {
		errs = append(errs, b.Source.Close())
	}
	if b.Sink != nil {
		errs = append(errs, b.Sink.Close())
	}
	if b.Rejects != nil {
		errs = append(errs, b.Rejects.Close())
	}
	return errors.Join(errs...)
}

// Bind opens the job's source and sink with reg, compiles its steps and has the sink check the outcome. Nothing is written. Errors are
// *drover.Error wherever the user can act on them, with their place in the job; those of a source or a sink keep their kind. On
// success the caller closes the answer.
func Bind(ctx context.Context, reg connector.Registry, job drover.Job, env connector.Env) (*Bound, error) {
	b := &Bound{Bound: plan.Bound{Job: job}}
	if err := b.bind(ctx, reg, env); err != nil {
		if closeErr := b.Close(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
		return nil, err
	}
	return b, nil
}

func (b *Bound) bind(ctx context.Context, reg connector.Registry, env connector.Env) (err error) {
	job := b.Job
	if err := job.Validate(); err != nil {
		return err // a Go program's job comes here unseen
	}
	source, sink := "source."+job.Frame.Source.Connector(), "sink."+job.Sink.Connector()
	if b.Source, err = reg.OpenSource(ctx, job.Frame.Source, env); err != nil {
		return at(err, source, "open")
	}
	if b.Input, err = b.Source.Schema(ctx); err != nil {
		return at(err, source, "read the schema of")
	}
	if d, ok := b.Source.(connector.Describer); ok {
		b.Reading = d.Reading()
	}
	if b.SourceIdentity, err = b.Source.Identity(ctx); err != nil {
		return at(err, source, "identify")
	}
	if err := checkKey(job.Frame.Chunk.By, b.Input); err != nil {
		return err
	}
	if err := b.compile(ctx, reg, env); err != nil {
		return err
	}
	if err := b.openSink(ctx, reg, env); err != nil {
		return err
	}
	if _, ok := b.Sink.(connector.Stager); !ok && len(job.Expect) > 0 {
		return drover.Errorf(drover.Invalid, "%s cannot read back what it stages, which expect needs", job.Sink).WithField("expect")
	}
	if c, ok := b.Sink.(connector.SourceChecker); ok {
		if err := c.CheckSource(b.Source); err != nil {
			return err
		}
	}
	if b.Check, err = b.Sink.Check(ctx, b.Output); err != nil {
		return at(err, sink, "check")
	}
	if err := at(b.checkUnique(ctx), sink, "check"); err != nil {
		return err
	}
	return b.openRejects(ctx, reg, env)
}

// openRejects opens the rejects' sink and has it and its neighbours check each other.
func (b *Bound) openRejects(ctx context.Context, reg connector.Registry, env connector.Env) error {
	if b.Job.Rejects == nil {
		return nil
	}
	into, err := b.Job.Rejects.Into()
	if err != nil {
		return err // Validate has seen it
	}
	field := "rejects." + into.Connector()
	if b.Rejects, err = reg.OpenSink(ctx, into, env); err != nil {
		return reject.At(err, into)
	}
	if c, ok := b.Rejects.(connector.SourceChecker); ok {
		if err := c.CheckSource(b.Source); err != nil {
			return reject.At(err, into)
		}
	}
	if c, ok := b.Rejects.(connector.SinkChecker); ok {
		if err := c.CheckSink(b.Sink); err != nil {
			return reject.At(err, into)
		}
	}
	if b.RejectsCheck, err = b.Rejects.Check(ctx, reject.Schema()); err != nil {
		return at(reject.At(err, into), field, "check")
	}
	return nil
}

// needsUnique is a sink to which two rows of one key are a question that nobody answered.
type needsUnique interface{ NeedsUnique() []string }

// checkUnique refuses rows of one key in any order (exactness.md 28): the key must repeat columns that the source proves unique.
func (b *Bound) checkUnique(ctx context.Context) error {
	s, ok := b.Job.Sink.(needsUnique)
	if !ok || len(s.NeedsUnique()) == 0 {
		return nil
	}
	var keys [][]string
	if u, ok := b.Source.(connector.Uniquer); ok && b.Program.RowWise {
		var err error
		if keys, err = u.UniqueKeys(ctx); err != nil {
			return err
		}
	}
	var from []string
	for _, name := range s.NeedsUnique() {
		if i := b.Output.Index(name); i >= 0 {
			from = append(from, b.Output[i].From)
		}
	}
	for _, key := range keys {
		if !slices.ContainsFunc(key, func(column string) bool { return !slices.Contains(from, column) }) {
			return nil
		}
	}
	return drover.Errorf(drover.Refused, "no unique index of the source proves that the key (%s) is unique, so the row that wins would be left to chance",
		strings.Join(s.NeedsUnique(), ", ")).WithField("key").
		WithHint("say which row of a key wins with latest: COLUMN, or read a table with a unique index on columns of the key that are NOT NULL and that no step changes")
}

// openSink opens the sink, once.
func (b *Bound) openSink(ctx context.Context, reg connector.Registry, env connector.Env) (err error) {
	if b.Sink != nil {
		return nil
	}
	b.Sink, err = reg.OpenSink(ctx, b.Job.Sink, env)
	return at(err, "sink."+b.Job.Sink.Connector(), "open")
}

// inStep gives an error its step where it has no place in the job.
func inStep(err error, i int) error {
	var e *drover.Error
	if !errors.As(err, &e) || e.Field != "" {
		return err
	}
	named := *e
	named.Field, named.Cause = fmt.Sprintf("steps[%d]", i), err
	return &named
}

// checkKey refuses a chunk.by that is not a column of the source. The connectors take its spelling as it is.
func checkKey(by string, schema drover.Schema) error {
	if by == "" {
		return nil
	}
	names := schema.Names()
	if slices.Contains(names, by) {
		return nil
	}
	err := drover.Errorf(drover.Invalid, "column %q does not exist in the source", by).WithField("chunk.by")
	if near := vocabulary.Nearest(by, names); near != "" {
		return err.WithHint("Did you mean %q?", near)
	}
	return err.WithHint("its columns are %s", strings.Join(names, ", "))
}

// at gives an error its place in the job where it has none, or one within field, and says what was being done where nothing does.
func at(err error, field, doing string) error {
	if err == nil {
		return nil
	}
	var e *drover.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s the %s: %w", doing, field, err)
	}
	head, _, _ := strings.Cut(e.Field, ".")
	if slices.Contains([]string{"source", "sink", "rejects", "chunk", "timezone"}, head) {
		return err
	}
	named := *e
	named.Field, named.Cause = strings.TrimSuffix(field+"."+e.Field, "."), err
	return &named
}
