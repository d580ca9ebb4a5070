package bind

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/plan"
	"github.com/droverdata/drover/internal/step"
)

// The run cuts the source into chunks itself, and says then what there is to say of it: once.
func TestASampleSaysNothingOfItsSource(t *testing.T) {
	m := fresh()
	reg := m.registry()
	c := reg["memory"]
	c.OpenSource = func(_ context.Context, _ drover.Source, env connector.Env) (connector.Source, error) {
		env.Warn("no index")
		return source{m}, nil
	}
	reg["memory"] = c
	said := 0
	b := &Bound{Bound: plan.Bound{Job: job(m, nil)}}
	if err := b.sample(t.Context(), reg, connector.Env{Warn: func(string, ...any) { said++ }}, nil, nil); err != nil || said > 0 {
		t.Errorf("said %d times, %v", said, err)
	}
}

func TestAFunctionThatFailsWithASampleSaysThatThePlanCalledIt(t *testing.T) {
	functions := []step.Call{{Step: 1, Function: step.Function{Python: "clean.py:clean"}}}
	raised := &drover.Error{Kind: drover.Data, Field: "steps[1].python", Message: "step 2 (python): clean.py:clean raised ValueError: no"}
	var e *drover.Error
	if err := failedSample(raised, functions, "7"); !errors.As(err, &e) || e.Kind != drover.Invalid || e.Field != raised.Field || !strings.HasPrefix(e.Message, raised.Message) ||
		!strings.Contains(e.Message, "the plan called the function with chunk 7") || !strings.Contains(e.Hint, "schema: {COLUMN: TYPE, ...}") {
		t.Errorf("got %+v", e)
	}
	for _, other := range []*drover.Error{{Kind: drover.Data, Field: "source.postgres"}, {Kind: drover.Interrupted, Field: raised.Field}} {
		if err := failedSample(other, functions, "7"); !errors.Is(err, other) || drover.KindOf(err) != other.Kind {
			t.Errorf("got %+v", err)
		}
	}
}
