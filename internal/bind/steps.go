package bind

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/calls"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/step"
	sqlstep "github.com/droverdata/drover/internal/step/sql"
)

// compile compiles the steps in a session with the job's time zone, which decides the types of some expressions.
func (b *Bound) compile(ctx context.Context, reg connector.Registry, env connector.Env) error {
	session, err := duck.Open(ctx, duck.Options{TempDir: env.TempDir, Now: time.Now()})
	if err != nil {
		return fmt.Errorf("open a session to compile the steps: %w", err)
	}
	defer session.Close()
	if zone := b.Job.Timezone; zone != "" {
		if err := session.Exec(ctx, "SET TimeZone = "+duck.Literal(zone)); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("set the time zone: %w", err)
			}
			return drover.Errorf(drover.Invalid, "%q is not a time zone", zone).WithField("timezone").
				WithHint("write a name of the tz database, for example Europe/Berlin or UTC")
		}
	}
	steps := b.Job.Frame.Steps
	functions, columns, start := []step.Call(nil), b.Input, 0
	for i, st := range steps {
		if !st.Calls() {
			continue
		}
		if b.Job.Frame.Chunk.IsZero() {
			return needsChunk(fmt.Sprintf("step %d (%s): a function sees whole chunks", i+1, st.Kind()), i, st.Kind())
		}
		c, err := sqlstep.Compile(ctx, session, steps[start:i], start, columns)
		if err != nil {
			return err
		}
		call, err := b.call(ctx, reg, env, session, functions, i, c)
		if err != nil {
			return err
		}
		functions, columns, start = append(functions, call), call.Output, i+1
	}
	c, err := sqlstep.Compile(ctx, session, steps[start:], start, columns)
	if err != nil {
		return err
	}
	if len(functions) == 0 {
		b.Program, b.Output, b.Reads = c.Program, c.Output, c.Reads
		if !c.Program.RowWise && b.Job.Frame.Chunk.IsZero() {
			return needsChunk(c.Program.Why, c.Opaque, "sql")
		}
		return b.bindExpect(ctx, session)
	}
	last := functions[len(functions)-1].Step
	b.Output = computed(c.Output)
	b.Program = step.Program{
		SQL: c.Program.SQL, RowWiseTail: c.Program.RowWise, Calls: functions,
		Why: fmt.Sprintf("step %d (%s): a function sees whole chunks", last+1, steps[last].Kind()), Where: functions[0].Before.Where,
	}
	for i := range functions {
		before := &functions[i].Before
		b.Program.Rest = append(b.Program.Rest, before.Rest...)
		if i > 0 {
			b.Program.Rest = append(b.Program.Rest, texts(before.Where)...)
		}
		before.Where = nil
	}
	b.Program.Rest = slices.Concat(b.Program.Rest, c.Program.Rest, texts(c.Program.Where))
	return b.bindExpect(ctx, session)
}

// texts writes out conditions on what a function returned, which no source can apply.
func texts(conditions []step.Condition) []string {
	out := make([]string, len(conditions))
	for i, c := range conditions {
		out[i] = c.String()
	}
	return out
}

// bindExpect holds the expectations against the columns of the output.
func (b *Bound) bindExpect(ctx context.Context, session *duck.Session) (err error) {
	b.Expect, err = expect.Bind(ctx, session, b.Job.Expect, b.Input, b.Output)
	return err
}

// needsChunk refuses a job that sees one chunk at a time and does not say what a chunk is: what it holds is part of such a job's answer
// (exactness.md 25).
func needsChunk(why string, i int, kind string) error {
	return drover.Errorf(drover.Invalid, "%s, so it sees one chunk at a time, and the job does not say what a chunk is", why).
		WithField(fmt.Sprintf("steps[%d].%s", i, kind)).
		WithHint("add one clause: chunk: {by: COLUMN} for one chunk a value, chunk: {files: 1} for one a file, or chunk: {rows: N}")
}

// call binds the function of step i, whose rows c makes of what the functions before it return.
func (b *Bound) call(ctx context.Context, reg connector.Registry, env connector.Env, session *duck.Session, before []step.Call, i int, c sqlstep.Compiled) (step.Call, error) {
	st := b.Job.Frame.Steps[i]
	call := step.Call{Step: i, Before: c.Program, Input: computed(c.Output)}
	for _, col := range c.Output {
		if col.Type == "" {
			return call, drover.Errorf(drover.Invalid, "column %s is %s, which no function can receive exactly", col.Name, col.Native).
				WithField(fmt.Sprintf("steps[%d].%s", i, st.Kind())).WithHint("drop it before this step, or read it as text with a query")
		}
		if inexactInArrow(col.Type) {
			return call, drover.Errorf(drover.Invalid, "column %s is %s, which no function can receive exactly: Arrow has no such type", col.Name, col.Type).
				WithField(fmt.Sprintf("steps[%d].%s", i, st.Kind())).WithHint("drop it before this step, or make it text: cast: {%s: VARCHAR}", col.Name)
		}
		if len(before) == 0 {
			b.reads(col.From)
		}
	}
	if len(before) == 0 {
		for _, name := range c.Reads {
			b.reads(name)
		}
	}
	var err error
	var meaning []byte
	if call.Function, meaning, err = calls.Inspect(ctx, session, st, call.Input, b.functionEnv(env), b.Job.PythonEnv.Requirements); err != nil {
		return call, inStep(err, i)
	}
	b.Functions = append(b.Functions, meaning)
	if err := b.narrow(ctx, reg, env, before, &call); err != nil {
		return call, inStep(err, i)
	}
	switch {
	case st.Schema != nil:
		call.Output, err = declaredSchema(ctx, session, st.Schema, i)
		call.Told = "schema:"
	case i == len(b.Job.Frame.Steps)-1:
		if call.Output, err = b.targetColumns(ctx, reg, env); call.Output != nil {
			call.Told = "the table that the sink writes to"
		}
	}
	if err != nil || call.Output != nil {
		return call, err
	}
	call.Output, call.Told, err = b.learn(ctx, reg, env, append(slices.Clone(before), call))
	return call, inStep(err, i)
}

// inexactInArrow says whether DuckDB's export to Arrow loses something of a type: an offset, digits beyond 38, what kind of bytes they are.
func inexactInArrow(typ string) bool {
	return slices.ContainsFunc([]string{"TIME WITH TIME ZONE", "UHUGEINT", "BIGNUM"}, func(t string) bool { return strings.Contains(typ, t) })
}

func (b *Bound) functionEnv(env connector.Env) calls.Env {
	return calls.Env{
		Dir: b.Job.Dir, Bin: b.Job.PythonEnv.Bin, Timezone: b.Job.Timezone, TempDir: env.TempDir, Timeout: b.Job.Limits.ChunkTimeout,
		Memory: env.Memory, Threads: 1, Program: b.Job.Functions(),
		Log: func(string, string) {}, // the run shows what they print
	}
}

// reads notes that steps need a source column.
func (b *Bound) reads(name string) {
	if name != "" && !slices.Contains(b.Reads, name) {
		b.Reads = append(b.Reads, name)
	}
}

// computed is columns that repeat nothing of the source.
func computed(columns drover.Schema) drover.Schema {
	out := make(drover.Schema, len(columns))
	for i, c := range columns {
		out[i] = drover.Column{Name: c.Name, Type: c.Type, NotNull: c.NotNull}
	}
	return out
}

// declaredSchema is the columns of a step's schema, in DuckDB's spelling of their types.
func declaredSchema(ctx context.Context, session *duck.Session, pairs []drover.Pair, i int) (drover.Schema, error) {
	columns := make(drover.Schema, len(pairs))
	for k, p := range pairs {
		described, err := session.Describe(ctx, "SELECT NULL::"+p.Value+" AS v")
		if err != nil || len(described) != 1 {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, drover.Errorf(drover.Invalid, "%q is not a type", p.Value).WithField(fmt.Sprintf("steps[%d].schema.%s", i, p.Key)).
				WithHint("write a type of DuckDB, such as BIGINT, DOUBLE, VARCHAR, DATE, TIMESTAMP or DECIMAL(12,2)")
		}
		columns[k] = drover.Column{Name: p.Key, Type: described[0].Type}
	}
	return columns, nil
}

// targetColumns are those of the sink's table; nil where it has none, or one that no function can return.
func (b *Bound) targetColumns(ctx context.Context, reg connector.Registry, env connector.Env) (drover.Schema, error) {
	if err := b.openSink(ctx, reg, env); err != nil {
		return nil, err
	}
	t, ok := b.Sink.(connector.Targeter)
	if !ok {
		return nil, nil
	}
	columns, err := t.Target(ctx)
	if err != nil {
		return nil, at(err, "sink."+b.Job.Sink.Connector(), "look at")
	}
	if len(columns) == 0 || slices.ContainsFunc(columns, func(c drover.Column) bool { return c.Type == "" }) {
		return nil, nil
	}
	return computed(columns), nil
}
