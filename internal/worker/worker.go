// Package worker executes one task at a time: it opens the task's source and sink, has the sink write the stage's program over the
// source's chunks, and answers with receipts. Every engine runs it.
package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/calls"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/protocol"
)

// tellEvery is how often progress is told.
const tellEvery = 200 * time.Millisecond

// Worker executes tasks. It keeps the session and the connections of the last task's stage for the next one.
type Worker struct {
	registry connector.Registry
	tempDir  string
	program  map[string]drover.Func
	aside    protocol.Aside
	stage    *stage
	// functions are the stage's, for whoever measures memory meanwhile; nil where it has none.
	functions atomic.Pointer[calls.Runner]
	// overrun ends the process when a task has passed its share; nil where the process is not the worker's own.
	overrun func(protocol.Overrun)
}

// stage is what all tasks of one stage of one run share.
type stage struct {
	key     []byte
	session *duck.Session
	source  reader
	sink    writer
	rejects connector.Sink // nil where the stage has none
	closers []func() error
	// sessions are closed after all closers ran.
	sessions []*duck.Session
	// reading is the session that the source is read in: session, unless functions stand between source and sink.
	reading *duck.Session
	calls   *calls.Runner
}

// reader is what a worker needs of a source.
type reader interface {
	Open(ctx context.Context, session *duck.Session, schema drover.Schema, state json.RawMessage, chunks []connector.Chunk) (connector.Relation, error)
}

// writer is what a worker needs of a sink.
type writer interface {
	Write(ctx context.Context, attempt connector.Attempt, open func(ctx context.Context, chunks []connector.Chunk) (connector.Input, error)) ([]connector.Receipt, error)
}

// New returns a worker. Scratch files go below tempDir; program is the Go functions of this program, by their names.
func New(registry connector.Registry, tempDir string, program map[string]drover.Func, aside protocol.Aside) *Worker {
	return &Worker{registry: registry, tempDir: tempDir, program: program, aside: aside}
}

// Close releases what the worker keeps between tasks.
func (w *Worker) Close() error {
	s := w.stage
	w.stage = nil
	if s == nil {
		return nil
	}
	var errs []error
	w.functions.Store(nil)
	for _, c := range s.closers {
		errs = append(errs, c())
	}
	for _, session := range s.sessions {
		session.Close()
	}
	return errors.Join(errs...)
}

// Execute runs one task to its end. Progress is called from one goroutine. A failure is in the Result.
func (w *Worker) Execute(ctx context.Context, task protocol.Task, progress func(protocol.Progress)) protocol.Result {
	w.makeRoom(task)
	m := startMeter(w.watch(task), progress)
	var receipts []connector.Receipt
	var judged *protocol.Judged
	var err error
	if task.Expect != nil {
		judged, err = w.judge(ctx, task)
	} else {
		receipts, err = w.execute(ctx, task, m)
	}
	peak := m.stop()
	for i := range receipts {
		if receipts[i].Token == task.Token {
			receipts[i].PeakMemory = peak
		}
	}
	result := protocol.Result{Receipts: receipts, Judged: judged, Error: protocol.AsError(err)}
	if w.stage != nil {
		switch sink := w.stage.sink.(type) {
		case *profiler:
			result.Profile = sink.measured
		case *discard:
			result.Judged = &protocol.Judged{Broken: sink.broken}
		}
	}
	return result
}

func (w *Worker) execute(ctx context.Context, task protocol.Task, m *meter) ([]connector.Receipt, error) {
	if err := w.enter(ctx, task); err != nil {
		return nil, err
	}
	s := w.stage
	var relations []connector.Relation
	defer func() {
		for _, r := range relations {
			_ = r.Close() // the rows are written or given up; nothing depends on it
		}
	}()
	open := func(ctx context.Context, chunks []connector.Chunk) (connector.Input, error) {
		rel, err := s.source.Open(ctx, s.reading, task.Stage.Input, task.Stage.SourceState, chunks)
		if err != nil {
			return connector.Input{}, err
		}
		relations = append(relations, rel)
		if c, ok := rel.(connector.Checker); ok {
			if err := c.Check(ctx, kept(task.Stage)); err != nil {
				return connector.Input{}, err
			}
		}
		var sums *connector.Sums
		if len(task.Stage.Sums) > 0 {
			if sums, err = connector.ReadSums(ctx, s.reading, rel, len(chunks), task.Stage.Sums); err != nil {
				return connector.Input{}, err
			}
		}
		if n, ok := rel.(connector.Narrower); ok {
			n.Narrow(task.Stage.Program.Where)
		}
		in := connector.Input{
			Session: s.session, Relation: rel, Program: task.Stage.Program.Tail(),
			Source: task.Stage.Input, Output: task.Stage.Output,
			Progress: m.set, PeakMemory: m.watch.Peak, Sums: sums,
		}
		if s.calls != nil {
			in.Relation = s.calls.Over(ctx, s.session, rel, chunks)
			in.Source = s.calls.Output()
			relations[len(relations)-1] = in.Relation
		}
		return in, nil
	}
	attempt := connector.Attempt{Run: task.Run, Token: task.Token, Chunks: task.Chunks}
	receipts, err := s.write(ctx, attempt, open)
	if trier, ok := s.separates(task, err); ok {
		receipts, err = w.writeRest(ctx, task, attempt, trier, open)
	}
	if err == nil {
		receipts, err = w.restoreRejects(ctx, task, attempt, receipts, open)
	}
	if err != nil {
		return nil, w.explain(ctx, task, err)
	}
	return receipts, nil
}

// write has the sink write an input, and adds its rows up on the way.
func (s *stage) write(ctx context.Context, attempt connector.Attempt, open opener) ([]connector.Receipt, error) {
	var free []func()
	defer func() {
		for _, f := range free {
			f()
		}
	}()
	return s.sink.Write(ctx, attempt, func(ctx context.Context, chunks []connector.Chunk) (connector.Input, error) {
		in, err := open(ctx, chunks)
		if err != nil || in.Sums == nil {
			return in, err
		}
		in, done, err := in.Sums.Tap(in, len(chunks))
		if err == nil {
			free = append(free, done)
		}
		return in, err
	})
}

// kept returns the source columns that a stage reads or moves.
func kept(st protocol.Stage) []string {
	names := slices.Clone(st.Reads)
	for _, c := range st.Output {
		if c.From != "" && !slices.Contains(names, c.From) {
			names = append(names, c.From)
		}
	}
	return names
}

// enter makes w.stage the task's stage.
func (w *Worker) enter(ctx context.Context, task protocol.Task) error {
	key, err := json.Marshal(struct {
		Stage    protocol.Stage
		Run      connector.Run
		Memory   int64
		Threads  int
		Timezone string
		DryRun   bool
		Profile  protocol.Finding
	}{task.Stage, task.Run, task.Memory, task.Threads, task.Timezone, task.DryRun, task.Profile})
	if err != nil {
		return fmt.Errorf("encode the stage: %w", err)
	}
	if w.stage != nil && bytes.Equal(w.stage.key, key) {
		return nil
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("leave the last stage: %w", err)
	}
	w.stage = &stage{key: key}
	if err := w.openStage(ctx, task); err != nil {
		return errors.Join(err, w.Close())
	}
	return nil
}

func (w *Worker) openStage(ctx context.Context, task protocol.Task) error {
	s := w.stage
	env := w.env(task)
	if err := w.openSessions(ctx, task); err != nil {
		return err
	}
	if !task.Stage.FromSpools {
		if err := s.openSource(ctx, w.registry, task.Stage.Source, env); err != nil {
			return err
		}
	}
	if err := s.openRejects(ctx, w.registry, task, env); err != nil {
		return err
	}
	if task.DryRun {
		s.sink = &discard{expect: task.Stage.Rehearse, source: task.Stage.Input}
		return nil
	}
	return s.openSink(ctx, w.registry, task, env)
}

// openSessions opens the stage's session, and where functions stand between source and sink another one for the source, and the functions.
func (w *Worker) openSessions(ctx context.Context, task protocol.Task) error {
	s := w.stage
	shares := memory.Divide(task.Memory)
	share, functions := shares.Duck, int64(0)
	program := task.Stage.Program
	if len(program.Calls) > 0 {
		share, functions = shares.WithFunctions()
	}
	open := func() (*duck.Session, error) {
		session, err := duck.Open(ctx, duck.Options{Memory: share, Threads: task.Threads, TempDir: w.tempDir, Timezone: task.Timezone, Now: task.Now})
		if err == nil {
			s.sessions = append(s.sessions, session)
		}
		return session, err
	}
	var err error
	if s.session, err = open(); err != nil {
		return err
	}
	s.reading = s.session
	if len(program.Calls) == 0 {
		return nil
	}
	if s.reading, err = open(); err != nil {
		return err
	}
	f := task.Stage.Functions
	s.calls, err = calls.New(s.reading, program.Calls, task.Run.ID, task.Run.Job, calls.Env{
		Dir: f.Dir, Bin: f.Bin, Rejects: task.Stage.Rejects != nil, Timeout: f.Timeout, Program: w.program, Timezone: task.Timezone, TempDir: w.tempDir, Memory: functions, Threads: task.Threads,
		Log: func(chunk, line string) { w.aside.Printed(protocol.Printed{Chunk: chunk, Line: line}) },
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.calls.Close)
	w.functions.Store(s.calls)
	return nil
}

// children are the processes whose memory counts with the worker's.
func (w *Worker) children() []int {
	if f := w.functions.Load(); f != nil {
		return f.PIDs()
	}
	return nil
}

// env is what the task's connectors may use.
func (w *Worker) env(task protocol.Task) connector.Env {
	return connector.Env{
		Timezone:    task.Timezone,
		TempDir:     w.tempDir,
		Application: fmt.Sprintf("drover/%s/%d", task.Run.ID, os.Getpid()),
		Warn:        func(format string, args ...any) { w.aside.Warn(fmt.Sprintf(format, args...)) },
		Connections: task.Connections,
		Memory:      task.Memory,
	}
}

// session opens DuckDB with the task's share.
func (w *Worker) session(ctx context.Context, task protocol.Task) (*duck.Session, error) {
	return duck.Open(ctx, duck.Options{
		Memory: memory.Divide(task.Memory).Duck, Threads: task.Threads, TempDir: w.tempDir, Timezone: task.Timezone, Now: task.Now,
	})
}

func (s *stage) openSource(ctx context.Context, registry connector.Registry, spec protocol.Spec, env connector.Env) error {
	decoded, err := registry.DecodeSource(spec.Connector, spec.Value)
	if err != nil {
		return err
	}
	source, err := registry.OpenSource(ctx, decoded, env)
	if err != nil {
		return err
	}
	s.source = source
	s.closers = append(s.closers, source.Close)
	return nil
}

// openSink opens the sink, and its spools in the place of whichever end they are.
func (s *stage) openSink(ctx context.Context, registry connector.Registry, task protocol.Task, env connector.Env) error {
	st := task.Stage
	decoded, err := registry.DecodeSink(st.Sink.Connector, st.Sink.Value)
	if err != nil {
		return err
	}
	sink, err := registry.OpenSink(ctx, decoded, env)
	if err != nil {
		return err
	}
	s.sink = sink
	s.closers = append(s.closers, sink.Close)
	if task.Profile != "" {
		s.sink = &profiler{Sink: sink, finding: task.Profile, kept: kept(task.Stage), stage: s, spec: task.Stage}
	}
	if !st.ToSpools && !st.FromSpools {
		return nil
	}
	spooler, ok := sink.(connector.Spooler)
	if !ok {
		return fmt.Errorf("%s has no spools", st.Sink.Connector)
	}
	spools, err := spooler.Spools(st.Output)
	if err != nil {
		return err
	}
	if st.ToSpools {
		s.sink = spools
	} else {
		s.source = spools
	}
	return nil
}
