// Package calls runs the functions of a program on one chunk at a time: it makes their rows in a DuckDB session of its own, hands them over, and
// yields what comes back as a relation of another session.
package calls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
	"github.com/droverdata/drover/internal/step/function"
	"github.com/droverdata/drover/internal/step/golang"
)

// Env is what functions are started with.
type Env struct {
	// Dir is the job's folder, and Bin the interpreter that the job names.
	Dir, Bin string
	Timezone string
	TempDir  string
	// Memory is the share of all functions of a worker in bytes; 0 means no bound.
	Memory  int64
	Threads int
	// Timeout is how long one call may take; 0 means for ever.
	Timeout time.Duration
	// Rejects says that the sink rejects rows with a NULL where an answer's column is NOT NULL, one by one.
	Rejects bool
	// Program is the Go functions of this program, by their names.
	Program map[string]drover.Func
	// Log receives each line that a function prints, with its chunk's key. It is called from any goroutine. Never nil.
	Log func(chunk, line string)
}

// Runner keeps the functions of one program ready. Its methods are called from one goroutine at a time.
type Runner struct {
	session   *duck.Session
	calls     []step.Call
	functions []function.Function
	// converters make the functions' rows. They are made before any query streams.
	converters []*duck.ArrowWriter
	// answers are the columns of the functions' answers as DuckDB reads them from Arrow, where some types look like others: a UUID is a text.
	answers  []drover.Schema
	run, job string
	// took is the time that the functions have had, without that of making their rows.
	took time.Duration
}

// New starts what calls need. session is the one that the source is opened in and that makes the functions' rows; nothing else may run
// in it while a relation of the runner is scanned. It stays the caller's. A call without Output learns it (Learn). run and job are what functions
// are told.
func New(session *duck.Session, calls []step.Call, run, job string, env Env) (*Runner, error) {
	r := &Runner{session: session, calls: calls, run: run, job: job}
	env.Memory /= int64(len(calls))
	for _, c := range calls {
		f, err := r.start(c, env)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.functions = append(r.functions, f)
	}
	return r, nil
}

func (r *Runner) start(c step.Call, env Env) (function.Function, error) {
	convert, err := r.session.NewArrowWriter(tagged(c.Input))
	if err != nil {
		return nil, fmt.Errorf("describe a function's columns: %w", err)
	}
	r.converters = append(r.converters, convert)
	in := declared(convert.Schema(), c.Input)
	var out *arrow.Schema
	var answer drover.Schema
	if c.Output != nil {
		if out, err = arrowSchema(r.session, c.Output); err != nil {
			return nil, err
		}
		if answer, err = duck.ArrowColumns(out); err != nil {
			return nil, fmt.Errorf("describe a function's answer: %w", err)
		}
	}
	r.answers = append(r.answers, answer)
	if name := c.Function.Go; name != "" {
		fn := env.Program[name]
		if fn == nil {
			return nil, drover.Errorf(drover.Refused, "this program has no function %q, which step %d calls", name, c.Step+1).
				WithHint("start the driver and its workers from one program")
		}
		return golang.New(fn, answer, c.Narrow, env.Timeout, func(line string) { env.Log("", line) }), nil
	}
	return startPython(c, in, out, env)
}

// Output is the columns of the last function's answers.
func (r *Runner) Output() drover.Schema { return r.calls[len(r.calls)-1].Output }

// Took is the time of all calls until now, handing over included, without that of making the rows. Nothing may be scanned meanwhile.
func (r *Runner) Took() time.Duration { return r.took }

// PIDs are the processes whose memory counts with the worker's. It may be called from any goroutine.
func (r *Runner) PIDs() []int {
	var pids []int
	for _, f := range r.functions {
		if pid := f.PID(); pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Close ends the functions.
func (r *Runner) Close() error {
	var errs []error
	for _, f := range r.functions {
		errs = append(errs, f.Close())
	}
	for _, c := range r.converters {
		c.Close()
	}
	return errors.Join(errs...)
}

// arrowSchema is a schema as functions see it.
func arrowSchema(s *duck.Session, columns drover.Schema) (*arrow.Schema, error) {
	w, err := s.NewArrowWriter(columns)
	if err != nil {
		return nil, fmt.Errorf("describe a function's columns: %w", err)
	}
	defer w.Close()
	return declared(w.Schema(), columns), nil
}

// declared is the part of an Arrow schema that columns describe, with what they say about NULLs.
func declared(schema *arrow.Schema, columns drover.Schema) *arrow.Schema {
	fields := schema.Fields()[:len(columns)]
	for i := range fields {
		fields[i].Nullable = !columns[i].NotNull
	}
	return arrow.NewSchema(fields, nil)
}

func tagged(columns drover.Schema) drover.Schema {
	return append(slices.Clone(columns), drover.Column{Name: step.Tag, Type: "BIGINT"})
}

// failed gives a function's error its step.
func failed(ctx context.Context, c step.Call, err error) error {
	var cause *drover.Error
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &cause) {
		err = cause
	}
	var e *drover.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("step %d (%s): %w", c.Step+1, c.Function.Kind(), err)
	}
	named := *e
	named.Field = c.Field()
	named.Message = fmt.Sprintf("step %d (%s): %s", c.Step+1, c.Function.Kind(), e.Message)
	named.Cause = err
	return &named
}
