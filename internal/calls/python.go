package calls

import (
	"context"
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/droverdata/drover/internal/step"
	"github.com/droverdata/drover/internal/step/function"
	"github.com/droverdata/drover/internal/step/python"
)

func startPython(c step.Call, in, out *arrow.Schema, env Env) (function.Function, error) {
	options, err := pythonOptions(c.Function, in, env)
	if err != nil {
		return nil, err
	}
	options.Output, options.Narrow, options.Rejects, options.Timeout = out, c.Narrow, env.Rejects, env.Timeout
	return python.Start(options), nil
}

// inspectPython loads the function, so that what keeps it from running is known before anything runs.
func inspectPython(ctx context.Context, f step.Function, in *arrow.Schema, env Env, requirements []string) (step.Function, json.RawMessage, error) {
	options, err := pythonOptions(f, in, env)
	if err != nil {
		return f, nil, err
	}
	info, err := python.Inspect(ctx, options, requirements)
	if err != nil {
		return f, nil, err
	}
	f.Frame = info.Frame
	meaning, err := json.Marshal(info)
	return f, meaning, err
}

func pythonOptions(f step.Function, in *arrow.Schema, env Env) (python.Options, error) {
	interpreter, err := python.Resolve(env.Bin, env.Dir)
	return python.Options{
		Interpreter: interpreter, Dir: env.Dir, Spec: python.Spec{Function: f.Python, Frame: f.Frame, DTypes: f.DTypes},
		Input: in, Log: env.Log, Memory: env.Memory, Threads: max(env.Threads, 1), Timezone: env.Timezone,
	}, err
}
