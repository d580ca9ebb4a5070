// Package bind asks a job's source for its schema, its sink for its target and DuckDB for the types in between, before anything
// runs.
package bind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/plan"
	sqlstep "github.com/droverdata/drover/internal/step/sql"
)

// Bound is a bound job with its source and its sink open.
type Bound struct {
	plan.Bound
	Source connector.Source
	Sink   connector.Sink
}

// Close closes source and sink.
func (b *Bound) Close() error {
	var errs []error
	if b.Source != nil {
		errs = append(errs, b.Source.Close())
	}
	if b.Sink != nil {
		errs = append(errs, b.Sink.Close())
	}
	return errors.Join(errs...)
}

// Bind opens the job's source and sink with reg, compiles its steps and has the sink check the outcome. Nothing is written. Errors are
// *drover.Error with their place in the job wherever the user can act on them.
func Bind(ctx context.Context, reg connector.Registry, job drover.Job, env connector.Env) (_ *Bound, err error) {
	b := &Bound{Bound: plan.Bound{Job: job}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.Source, err = reg.OpenSource(ctx, job.Frame.Source, env); err != nil {
		return nil, at(err, "source."+job.Frame.Source.Connector())
	}
	if b.Input, err = b.Source.Schema(ctx); err != nil {
		return nil, at(err, "source."+job.Frame.Source.Connector())
	}
	if b.SourceIdentity, err = b.Source.Identity(ctx); err != nil {
		return nil, at(err, "source."+job.Frame.Source.Connector())
	}
	session, err := duck.Open(ctx, duck.Options{Timezone: job.Timezone, TempDir: env.TempDir, Now: time.Now()})
	if err != nil {
		return nil, fmt.Errorf("open a session to compile the steps: %w", err)
	}
	defer session.Close()
	c, err := sqlstep.Compile(ctx, session, job.Frame.Steps, b.Input)
	if err != nil {
		return nil, err
	}
	b.Program, b.Output, b.Reads = c.Program, c.Output, c.Reads
	if b.Sink, err = reg.OpenSink(ctx, job.Sink, env); err != nil {
		return nil, at(err, "sink."+job.Sink.Connector())
	}
	if b.Check, err = b.Sink.Check(ctx, b.Output); err != nil {
		return nil, at(err, "sink."+job.Sink.Connector())
	}
	return b, nil
}

// at gives an error its place in the job where it has none.
func at(err error, field string) error {
	var e *drover.Error
	if !errors.As(err, &e) || e.Field != "" {
		return err
	}
	named := *e
	named.Field = field
	named.Cause = err
	return &named
}
