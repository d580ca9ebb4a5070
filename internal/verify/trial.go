package verify

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/bind"
)

// defaultSample is how many chunks of a job's own source are read where the test says nothing.
const defaultSample = 5

// TrialOptions say what to try.
type TrialOptions struct {
	Registry connector.Registry
	Job      drover.Job
	Env      connector.Env
	// Into takes the result; nil writes the truth. KeysInto takes the keys of the rows that were read, RejectsInto the job's rejects.
	Into, KeysInto, RejectsInto drover.Sink
}

// Trial is a job's test as jobs that the loop runs like any other: with the job's own steps, into another sink.
type Trial struct {
	// Job writes the result, as the job's sink would hold it.
	Job drover.Job
	// Keys writes the keys of the rows that Job reads, under the names that they have in the result. It is nil where the steps compute the
	// key, so that nobody can tell which rows of the truth belong to a sample.
	Keys *drover.Job
	// Sample is how many chunks of the source are read; 0 is all.
	Sample int
	// Texts is columns of the result that are written as texts because Into has no type for them.
	Texts []string
	// Moved is columns that no step can read and Into cannot hold. The steps move them as they are, so they are not tested.
	Moved []string

	test   *drover.Test
	accept bool
}

// NewTrial prepares a job's test. It writes nothing.
func NewTrial(ctx context.Context, o TrialOptions) (*Trial, error) {
	test := o.Job.Test
	if test == nil {
		return nil, drover.Errorf(drover.Invalid, "the job says nothing to test").
			WithHint("add test: {truth: {files: {path: truth/}}, key: [id]}; drover test JOB.yaml --accept then makes the truth of today's result")
	}
	t := &Trial{Job: o.Job, Sample: test.Sample, test: test}
	t.Job.Test, t.Job.Keep, t.Job.Frame.Chunk.NewKeys = nil, 0, false
	t.Job.Expect = nil // they are of the whole result
	if r := o.Job.Rejects; r != nil {
		t.Job.Rejects = &drover.Rejects{Sink: o.RejectsInto, Max: r.Max}
	}
	switch {
	case test.Source != nil:
		t.Job.Frame.Source = test.Source
	case t.Sample == 0:
		t.Sample = defaultSample
	}
	if t.Job.Sink = o.Into; t.Job.Sink != nil {
		return t, t.Relabel(t.prepare(ctx, o))
	}
	t.accept = true
	empty, write, err := sinksOf(test.Truth)
	if err != nil {
		return nil, err
	}
	t.Job.Sink = empty
	if err := t.prepare(ctx, o); err != nil {
		return nil, t.Relabel(err)
	}
	t.Job.Sink = write
	return t, nil
}

// sinksOf are what refuses a truth that is there, and what writes it.
func sinksOf(truth drover.Source) (empty, write drover.Sink, err error) {
	w, ok := truth.(interface {
		AsSink() (empty, write drover.Sink, err error)
	})
	if !ok {
		return nil, nil, drover.Errorf(drover.Invalid, "%s cannot be written", truth).WithField("test.truth")
	}
	empty, write, err = w.AsSink()
	var e *drover.Error
	if errors.As(err, &e) {
		named := *e
		named.Field = "test.truth." + truth.Connector() + "." + e.Field
		return nil, nil, &named
	}
	return empty, write, err
}

func (t *Trial) prepare(ctx context.Context, o TrialOptions) (err error) {
	t.Job.Frame.Steps = declared(ctx, o)
	b, err := bind.Bind(ctx, unchecked(o.Registry), t.Job, o.Env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	output := slices.Clone(b.Output)
	for _, k := range t.test.Key {
		if output.Index(k) < 0 {
			return drover.Errorf(drover.Invalid, "the key names column %q, which the result does not have", k).WithField("test.key").
				WithHint("its columns are %s", strings.Join(output.Names(), ", "))
		}
	}
	t.keys(o, output)
	steps := slices.Clip(slices.Clone(t.Job.Frame.Steps))
	if casts := assigned(ctx, o, output); len(casts) > 0 {
		steps = append(steps, drover.Step{Set: casts})
		t.Job.Frame.Steps = steps
		again, err := bind.Bind(ctx, unchecked(o.Registry), t.Job, o.Env)
		if err != nil {
			return err
		}
		output = slices.Clone(again.Output)
		if err := again.Close(); err != nil {
			return err
		}
	}
	if err := t.fit(ctx, o, b.Source, output); err != nil {
		return err
	}
	if len(t.Texts) > 0 {
		casts := make([]drover.Pair, len(t.Texts))
		for i, c := range t.Texts {
			casts[i] = drover.Pair{Key: c, Value: "VARCHAR"}
		}
		steps = append(steps, drover.Step{Cast: casts})
	}
	if len(t.Moved) > 0 {
		steps = append(steps, drover.Step{Drop: t.Moved})
	}
	t.Job.Frame.Steps = steps
	return nil
}

// fit finds the columns that the trial's sink cannot hold.
func (t *Trial) fit(ctx context.Context, o TrialOptions, source connector.Source, output drover.Schema) (err error) {
	sink, err := o.Registry.OpenSink(ctx, t.Job.Sink, o.Env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	if c, ok := sink.(connector.SourceChecker); ok {
		if err := c.CheckSource(source); err != nil {
			return err
		}
	}
	for {
		_, err := sink.Check(ctx, output)
		var e *drover.Error
		if !errors.As(err, &e) || e.Kind != drover.Invalid || e.Column == "" || output.Index(e.Column) < 0 {
			return err
		}
		i := output.Index(e.Column)
		switch output[i].Type {
		case "VARCHAR":
			return err
		case "":
			t.Moved = append(t.Moved, output[i].Name)
			output = slices.Delete(output, i, i+1)
		default:
			t.Texts = append(t.Texts, output[i].Name)
			output[i] = drover.Column{Name: output[i].Name, Type: "VARCHAR"}
		}
		if len(output) == 0 {
			return err
		}
	}
}

// declared is the job's steps. What a function at their end returns is what the job's sink has columns for (exactness.md 26), which the
// trial's sink cannot say.
func declared(ctx context.Context, o TrialOptions) []drover.Step {
	steps := slices.Clone(o.Job.Frame.Steps)
	if len(steps) == 0 {
		return steps
	}
	last := &steps[len(steps)-1]
	if last.Python == "" && last.Go == "" || last.Schema != nil {
		return steps
	}
	sink, err := o.Registry.OpenSink(ctx, o.Job.Sink, o.Env)
	if err != nil {
		return steps // assigned tells
	}
	defer sink.Close() //nolint:errcheck // it was only asked
	targeter, ok := sink.(connector.Targeter)
	if !ok {
		return steps
	}
	columns, err := targeter.Target(ctx)
	if err != nil || slices.ContainsFunc(columns, func(c drover.Column) bool { return c.Type == "" }) {
		return steps
	}
	for _, c := range columns {
		last.Schema = append(last.Schema, drover.Pair{Key: c.Name, Value: c.Type})
	}
	return steps
}

// assigned asks the job's sink how its target would cast the result. A sink that does not answer is no reason not to test.
func assigned(ctx context.Context, o TrialOptions, output drover.Schema) []drover.Pair {
	sink, err := o.Registry.OpenSink(ctx, o.Job.Sink, o.Env)
	if err == nil {
		defer sink.Close() //nolint:errcheck // it was only asked
		if a, ok := sink.(connector.Assigner); ok {
			var casts []drover.Pair
			if casts, err = a.Assigned(ctx, output); err == nil {
				return casts
			}
		}
	}
	if err != nil {
		o.Env.Warn("the sink does not say how it casts values, so they are compared as the steps make them: %v", err)
	}
	return nil
}

// keys makes the job that finds the keys of a sample.
func (t *Trial) keys(o TrialOptions, output drover.Schema) {
	if t.Sample == 0 {
		return
	}
	var selected []string
	var renamed []drover.Pair
	for _, k := range t.test.Key {
		c := output[output.Index(k)]
		if c.From == "" || c.Type == "" || contains(selected, c.From) {
			return
		}
		selected = append(selected, c.From)
		if c.From != c.Name {
			renamed = append(renamed, drover.Pair{Key: c.From, Value: c.Name})
		}
	}
	job := t.Job
	job.Sink, job.Rejects = o.KeysInto, nil
	job.Frame.Steps = []drover.Step{{Select: selected}}
	if len(renamed) > 0 {
		job.Frame.Steps = append(job.Frame.Steps, drover.Step{Rename: renamed})
	}
	t.Keys = &job
}

// Relabel gives an error about the trial its place in the job file.
func (t *Trial) Relabel(err error) error {
	var e *drover.Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	head, rest, _ := strings.Cut(e.Field, ".")
	switch {
	case head == "source" && t.test.Source != nil:
		named.Field = "test." + e.Field
	case head == "sink" && t.accept:
		named.Field = "test.truth"
		if strings.HasSuffix(rest, ".mode") {
			// The sink's words are about a mode, which nobody has written here.
			there, _, _ := strings.Cut(strings.NewReplacer(", and the mode is error", "", ", and mode is error", "").Replace(e.Message), "\n")
			named.Message = "there is a truth: " + there
			named.Hint = "a truth is never overwritten: remove it first, or test against it without --accept"
		}
	case head == "sink":
		named.Field = ""
	default:
		return err
	}
	return &named
}

// unchecked is a registry whose sinks refuse nothing: what the trial's sink cannot hold is found out later.
func unchecked(r connector.Registry) connector.Registry {
	r = maps.Clone(r)
	for name, d := range r {
		open := d.OpenSink
		if open == nil {
			continue
		}
		d.OpenSink = func(ctx context.Context, spec drover.Sink, env connector.Env) (connector.Sink, error) {
			s, err := open(ctx, spec, env)
			if err != nil {
				return nil, err
			}
			return uncheckedSink{s}, nil
		}
		r[name] = d
	}
	return r
}

type uncheckedSink struct{ connector.Sink }

// Check implements connector.Sink.
func (uncheckedSink) Check(context.Context, drover.Schema) (connector.Check, error) {
	return connector.Check{}, nil
}
