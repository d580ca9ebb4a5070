package bind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/calls"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// mostSamples is how many chunks are tried to learn what a function returns, or how small its columns' values are.
const mostSamples = 5

// sample visits chunks of the source, which it reads in a session, until visit has seen enough. visit closes the relation.
func (b *Bound) sample(
	ctx context.Context, reg connector.Registry, env connector.Env, session *duck.Session,
	visit func(relation connector.Relation, chunk connector.Chunk) (enough bool, err error),
) error {
	// Another source than b's, so that nothing of the sample's reading stays with the run, which says itself what there is to say of its source.
	env.Warn = func(string, ...any) {}
	source, err := reg.OpenSource(ctx, b.Job.Frame.Source, env)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // it was only read
	chunking := b.Job.Frame.Chunk
	chunking.Spool = false
	state, err := source.Begin(ctx, chunking, nil)
	if err != nil {
		return err
	}
	for chunk, err := range source.Chunks(ctx, chunking, state) {
		if err != nil {
			return fmt.Errorf("cut the source into chunks: %w", err)
		}
		relation, err := source.Open(ctx, session, b.Input, state, []connector.Chunk{chunk})
		if err != nil {
			return err
		}
		if enough, err := visit(relation, chunk); err != nil || enough {
			return err
		}
	}
	return nil
}

// sampleSession is one that a sample is read in.
func (b *Bound) sampleSession(ctx context.Context, env connector.Env) (*duck.Session, error) {
	session, err := duck.Open(ctx, duck.Options{TempDir: env.TempDir, Timezone: b.Job.Timezone, Now: time.Now()})
	if err != nil {
		return nil, fmt.Errorf("open a session for a sample: %w", err)
	}
	return session, nil
}

// learn calls functions with chunks of the source, and returns the columns of the last one's answer.
func (b *Bound) learn(ctx context.Context, reg connector.Registry, env connector.Env, functions []step.Call) (_ drover.Schema, told string, err error) {
	session, err := b.sampleSession(ctx, env)
	if err != nil {
		return nil, "", err
	}
	defer session.Close()
	runner, err := calls.New(session, functions, "plan", b.Job.Name, b.functionEnv(env))
	if err != nil {
		return nil, "", err
	}
	defer runner.Close() //nolint:errcheck // its process is of no more use
	var learned drover.Schema
	var keys []string
	err = b.sample(ctx, reg, env, session, func(relation connector.Relation, chunk connector.Chunk) (bool, error) {
		columns, err := runner.Learn(ctx, relation, chunk)
		if err != nil {
			return false, failedSample(err, functions, chunk.Key)
		}
		if columns != nil {
			learned = merge(learned, columns)
			keys = append(keys, chunk.Key)
		}
		return len(keys) == mostSamples || learned != nil && len(unknown(learned)) == 0, nil
	})
	switch {
	case err != nil:
		return nil, "", err
	case learned == nil:
		return nil, "", drover.Errorf(drover.Refused, "the source has no rows, so what the function returns cannot be learned from a sample").
			WithHint("say it: schema: {COLUMN: TYPE, ...} beside the step")
	case len(unknown(learned)) > 0:
		return nil, "", drover.Errorf(drover.Refused, "the function returned no value in column %s for %s, so its type is not known", unknown(learned)[0], strings.Join(keys, ", ")).
			WithHint("say it: schema: {COLUMN: TYPE, ...} beside the step, with all columns that it returns")
	}
	widen(learned, functions[len(functions)-1])
	return learned, "learned: the function was called with chunk " + strings.Join(keys, ", "), nil
}

// failedSample says of a function that failed with a sample that the plan called it. Other errors, of the source or of the steps before it, stay as they are.
func failedSample(err error, functions []step.Call, chunk string) error {
	var e *drover.Error
	if !errors.As(err, &e) || !slices.ContainsFunc(functions, func(c step.Call) bool { return e.Field == c.Field() }) || e.Kind == drover.Interrupted {
		return err
	}
	named := *e
	named.Kind, named.Cause = drover.Invalid, err
	named.Message = fmt.Sprintf("%s\nthe plan called the function with chunk %s, to learn which columns it returns", e.Message, chunk)
	if named.Hint == "" {
		named.Hint = "mend the function; or say what it returns, and the plan does not call it: schema: {COLUMN: TYPE, ...} beside the step"
	}
	return &named
}

// widen gives columns that a function returned in the smaller types that it received them in their own types back: the sink's stay
// (exactness.md 33).
func widen(learned drover.Schema, call step.Call) {
	for i, c := range learned {
		if k := call.Narrow.Index(c.Name); k >= 0 && call.Narrow[k].Type == c.Type {
			learned[i].Type = call.Input[call.Input.Index(c.Name)].Type
		}
	}
}

// unknownType is the type of a column of NULLs alone.
const unknownType = `"NULL"`

func unknown(columns drover.Schema) []string {
	var names []string
	for _, c := range columns {
		if c.Type == unknownType {
			names = append(names, c.Name)
		}
	}
	return names
}

// merge fills in the types that an earlier sample left open.
func merge(learned, more drover.Schema) drover.Schema {
	if learned == nil {
		return more
	}
	for i, c := range learned {
		if k := more.Index(c.Name); k >= 0 && c.Type == unknownType {
			learned[i].Type = more[k].Type
		}
	}
	return learned
}
