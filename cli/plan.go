package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/internal/bind"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/jobfile"
	"github.com/droverdata/drover/internal/ledger/open"
	"github.com/droverdata/drover/internal/plan"
	"github.com/droverdata/drover/internal/run"
	"github.com/spf13/cobra"
)

func (a *app) planCommand() *cobra.Command {
	var set []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:                   "plan JOB.yaml [FLAGS]",
		DisableFlagsInUseLine: true,
		Short:                 "show what would run; writes nothing",
		Long: `Show what a run of a job would do: its chunks with estimated rows and bytes, the columns and the SQL of each stage,
and how the result will be published. The source and the target are looked at; nothing is written, not even a ledger.`,
		Example: `  drover plan taxi.yaml
  drover plan companies.yaml --set state=NY --json`,
		Args:              oneJobFile,
		ValidArgsFunction: completeJobFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := a.load(args, set)
			if err != nil {
				return err
			}
			return file.Locate(a.plan(cmd.Context(), file, asJSON))
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "give a value to ${NAME} in the job file: `NAME=VALUE` (repeatable)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as one JSON object")
	return cmd
}

func (a *app) plan(ctx context.Context, file *jobfile.File, asJSON bool) (err error) {
	s, err := a.resolve(flags{}, file.Job)
	if err != nil {
		return err
	}
	ctx, stop := listen(ctx)
	defer stop.close()
	dir, err := os.MkdirTemp("", "drover-plan-")
	if err != nil {
		return drover.Errorf(drover.Refused, "create a scratch directory: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover does no harm
	env := connector.Env{
		Timezone: file.Job.Timezone, TempDir: dir, Application: "drover/plan", Connections: file.Job.Limits.SourceConnections,
		Warn: a.warn, Memory: s.memory,
	}
	bound, err := bind.Bind(ctx, all.All(), file.Job, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bound.Close()) }()
	p, err := plan.Make(bound.Bound)
	if err != nil {
		return err
	}
	past, err := loadedKeys(ctx, s.ledger, file.Job)
	if err != nil {
		return err
	}
	found, err := look(ctx, bound, past, env, s.workers)
	if err != nil {
		return err
	}
	totals := found.totals
	totals.Memory, totals.Workers = s.memory, s.workers
	if found.first != nil {
		if p, err = pushdown(ctx, bound, p, found, env); err != nil {
			return err
		}
	}
	if found.layout != nil {
		p = p.WithLayout(*found.layout)
	}
	if asJSON {
		return a.printJSON(plan.Document{Plan: p, Totals: totals})
	}
	var text bytes.Buffer
	if err := p.WriteText(&text, totals); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	_, _ = a.out.Write(text.Bytes())
	return nil
}

// loadedKeys reads which keys earlier runs of the job have loaded. It does not make a ledger.
func loadedKeys(ctx context.Context, target string, job drover.Job) (_ *run.Loaded, err error) {
	if !job.Frame.Chunk.NewKeys {
		return nil, nil // nil has loaded none
	}
	l, err := open.Existing(ctx, target)
	if err != nil || l == nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Shutdown()) }()
	return run.LoadedKeys(ctx, l, job, "")
}

// findings are what a look at the source adds to a plan.
type findings struct {
	totals plan.Totals
	layout *plan.Layout // nil where the sink has no partitions
	state  json.RawMessage
	first  *connector.Chunk // nil where there is none
}

// look cuts the source as a run would, adds up the chunks, and finds out how the tasks reach the sink where it has partitions. A source that a
// run spools is not cut: that would read all of it.
func look(ctx context.Context, b *bind.Bound, past *run.Loaded, env connector.Env, workers int) (f findings, err error) {
	chunking := b.Job.Frame.Chunk
	if chunking.Spool {
		return f, nil
	}
	if f.state, err = b.Source.Begin(ctx, chunking, nil); err != nil {
		return f, err
	}
	var sample run.Sample
	for c, err := range past.New(b.Source.Chunks(ctx, chunking, f.state)) {
		if err != nil {
			return f, fmt.Errorf("cut the source into chunks: %w", err)
		}
		if f.first == nil {
			f.first = &c
		}
		sample.Add(c)
	}
	f.totals = plan.Totals{Chunks: sample.Chunks, Rows: sample.Rows, Bytes: sample.Bytes, Loaded: past.Skipped()}
	layout, ok, err := run.Layout(ctx, b, env, f.state, &sample, int64(workers))
	if ok && err == nil {
		f.layout = &layout
	}
	return f, err
}

// pushdown opens the first chunk, reads nothing of it, and asks the source what it does by itself.
func pushdown(ctx context.Context, b *bind.Bound, p plan.Plan, f findings, env connector.Env) (_ plan.Plan, err error) {
	session, err := duck.Open(ctx, duck.Options{TempDir: env.TempDir, Now: time.Now(), Timezone: b.Job.Timezone})
	if err != nil {
		return p, fmt.Errorf("open a session to plan the source's part: %w", err)
	}
	defer session.Close()
	rel, err := b.Source.Open(ctx, session, b.Input, f.state, []connector.Chunk{*f.first})
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, rel.Close()) }()
	pusher, ok := rel.(connector.Pusher)
	if !ok {
		return p, nil
	}
	first := p.Stages[0]
	d, err := pusher.Pushdown(ctx, first.Program, first.Needs())
	if err != nil {
		return p, err
	}
	return p.WithPushdown(d), nil
}
