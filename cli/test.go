package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/jobfile"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/run"
	"github.com/droverdata/drover/internal/verify"
	"github.com/spf13/cobra"
)

// testFlags are the flags of test.
type testFlags struct {
	flags
	set     []string
	accept  bool
	seed    uint64
	samples int
	json    bool
}

func (a *app) testCommand() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:                   "test JOB.yaml [FLAGS]",
		DisableFlagsInUseLine: true,
		Short:                 "run a job's sample and compare it with the truth",
		Long: `Run the job's steps over test.source, or over a sample of the job's own chunks, into a scratch folder, and compare the
result with test.truth by test.key. The steps run as drover run would run them; the job's sink is never written to,
and the ledger is thrown away.

--accept writes the result as the truth, where there is none yet.

Exit codes: 0 the result is the truth; 4 it differs; 1 chunks failed; 2 and 3 as for drover run.`,
		Example: `  drover test companies.yaml --accept    make the truth of today's result
  drover test companies.yaml             compare with it from now on
  drover test companies.yaml --json`,
		Args:              oneJobFile,
		ValidArgsFunction: completeJobFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case cmd.Flags().Changed("workers") && f.workers < 1:
				return usage(cmd, "--workers %d: it must be at least 1", f.workers)
			case f.samples < 0:
				return usage(cmd, "--samples %d: it must be 0 or more", f.samples)
			}
			file, err := a.load(args, f.set)
			if err != nil {
				return err
			}
			return file.Locate(a.test(cmd.Context(), file.Name, file, f))
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVar(&f.accept, "accept", false, "write the result as the truth; there must be none yet")
	fs.Uint64Var(&f.seed, "seed", 0, "choose another sample of the chunks")
	fs.IntVar(&f.samples, "samples", 5, "how many rows to show of each of missing, extra and changed")
	fs.IntVar(&f.workers, "workers", 0, "how many worker processes (default: one a core, as far as memory goes)")
	fs.Var(&f.memory, "memory", "the memory of all processes together, such as 4GiB (default 70 % of the machine; or DROVER_MEMORY)")
	fs.StringArrayVar(&f.set, "set", nil, "give a value to ${NAME} in the job file: `NAME=VALUE` (repeatable)")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

// tested is what test --json prints.
type tested struct {
	Job string `json:"job"`
	// Chunks of Total were read.
	Chunks int `json:"chunks"`
	Total  int `json:"chunks_total"`
	// Rejected is how many rows the steps rejected, which the result lacks.
	Rejected int64 `json:"rows_rejected"`
	// NotTested are columns that no step reads and no file can hold.
	NotTested []string `json:"not_tested"`
	// KeysKnown says whether it is known which rows of the truth belong to the chunks that were read. Else none can be missing.
	KeysKnown bool `json:"missing_known"`
	*verify.Result
}

// trial is one drover test at work.
type trial struct {
	*app
	flags    testFlags
	settings settings
	dir      string
	registry connector.Registry
	job      drover.Job
	*verify.Trial
	sampler *verify.Sampler
}

func (a *app) test(ctx context.Context, path string, file *jobfile.File, f testFlags) (err error) {
	t := &trial{app: a, flags: f, job: file.Job, registry: all.All()}
	if t.settings, err = a.resolve(f.flags, file.Job); err != nil {
		return err
	}
	ctx, stop := listen(ctx)
	defer stop.close()
	shared, err := scratch()
	if err != nil {
		return err
	}
	if t.dir, err = os.MkdirTemp(shared, "test-"); err != nil {
		return drover.Errorf(drover.Refused, "create a scratch directory: %w", err)
	}
	defer func() {
		for _, remove := range []func() error{
			func() error { return os.RemoveAll(t.dir) },
			func() error { return os.Remove(shared) }, func() error { return os.Remove(stateDir) }, // only if they are empty
		} {
			_ = remove()
		}
	}()
	o := verify.TrialOptions{
		Registry: t.registry, Job: t.job, KeysInto: files.Out(filepath.Join(t.dir, "keys")), RejectsInto: files.Out(filepath.Join(t.dir, "rejects")),
		Env: connector.Env{
			Timezone: t.job.Timezone, TempDir: t.dir, Application: "drover/test", Warn: a.warn,
			Connections: t.job.Limits.SourceConnections, Memory: t.settings.memory,
		},
	}
	if !f.accept {
		o.Into = files.Out(filepath.Join(t.dir, "result"))
	}
	if t.Trial, err = verify.NewTrial(ctx, o); err != nil {
		return err
	}
	t.sampler = &verify.Sampler{Chunks: t.Sample, Seed: f.seed}
	summary, err := t.run(ctx, t.Job, "result")
	if err != nil {
		return err
	}
	if f.accept {
		if err := t.Accept(ctx, t.sampler); err != nil {
			return fmt.Errorf("the truth is written: %w", err)
		}
		return t.accepted(summary)
	}
	return t.compare(ctx, path, summary)
}

// run runs a job with a ledger of its own that is thrown away.
func (t *trial) run(ctx context.Context, job drover.Job, name string) (run.Summary, error) {
	s := t.settings
	s.ledger = filepath.Join(t.dir, name+".db")
	summary, err := t.runWith(ctx, run.Options{
		Registry: t.sampler.Registry(t.registry), EngineName: "local", Job: job, Once: true, Lease: s.lease, Memory: s.memory, TempDir: filepath.Join(t.dir, name+"-tmp"),
		Events: func(e monitor.Event) {
			switch e := e.(type) {
			case monitor.Warning:
				t.warn("%s", e.Text)
			case monitor.ChunkFailed:
				if e.Final {
					t.errorf("%s", block("error", "chunk "+human.Key(e.Key)+": "+e.Error.Error()))
				}
			}
		},
	}, s, runFlags{})
	if err != nil {
		return summary, t.Relabel(err)
	}
	if summary.Failed() {
		return summary, errChunksFailed
	}
	return summary, nil
}

func (t *trial) accepted(s run.Summary) error {
	_, total := t.sampler.Partial()
	if t.flags.json {
		return t.printJSON(struct {
			Job      string `json:"job"`
			Accepted string `json:"accepted"`
			Rows     int64  `json:"rows"`
			Chunks   int64  `json:"chunks"`
			Total    int    `json:"chunks_total"`
		}{t.job.Name, t.job.Test.Truth.String(), s.RowsOut, s.Chunks.Total, max(total, int(s.Chunks.Total))})
	}
	t.printf("%s", block("accepted", fmt.Sprintf("%s: %s of %s", t.job.Test.Truth, human.Plural(s.RowsOut, "row"), t.read(s))))
	t.rejected(s.RowsRejected)
	return nil
}

// read says which part of the source was read.
func (t *trial) read(s run.Summary) string {
	if partial, total := t.sampler.Partial(); partial {
		return fmt.Sprintf("%s of %s", human.Count(s.Chunks.Total), human.Plural(int64(total), "chunk"))
	}
	return human.Plural(s.Chunks.Total, "chunk")
}

// compare compares the result with the truth.
func (t *trial) compare(ctx context.Context, path string, s run.Summary) error {
	test := t.job.Test
	partial, total := t.sampler.Partial()
	out := tested{Job: t.job.Name, Chunks: int(s.Chunks.Total), Total: max(total, int(s.Chunks.Total)), Rejected: s.RowsRejected, NotTested: append([]string{}, t.Moved...), KeysKnown: true}
	o := verify.Options{
		Registry: t.registry, Left: test.Truth, LeftName: "truth, " + test.Truth.String(), LeftField: "test.truth",
		Right: files.In(filepath.Join(t.dir, "result")), RightName: "result of " + t.read(s), RightTexts: t.Texts,
		Key: test.Key, Ignore: test.Ignore, Skip: t.Moved, Tolerance: test.Tolerance, Samples: t.flags.samples,
		Memory: t.settings.memory, TempDir: t.dir, Timezone: t.job.Timezone, Warn: t.warn,
	}
	accepted, err := t.Accepted(ctx, t.sampler)
	switch {
	case err != nil:
		return err
	case partial && t.Keys == nil && accepted:
	case partial && t.Keys == nil:
		o.Within, out.KeysKnown = o.Right, false
		o.LeftName += ", the rows of the result's keys"
	case partial:
		if _, err := t.run(ctx, *t.Keys, "keys"); err != nil {
			return err
		}
		o.Within = files.In(filepath.Join(t.dir, "keys"))
	}
	memory.LimitGo(memory.Divide(t.settings.memory).Go) // the workers are gone
	if out.Result, err = verify.Diff(ctx, o); err != nil {
		return t.missingTruth(path, err)
	}
	out.Part = !out.KeysKnown
	if t.flags.json {
		if err := t.printJSON(out); err != nil {
			return err
		}
		if !out.Equal {
			return errDifferent
		}
		return nil
	}
	err = t.showDifferences(out.Result, false)
	t.rejected(out.Rejected)
	if len(out.NotTested) > 0 {
		t.printf("%s", block("not tested", strings.Join(out.NotTested, ", ")+": no step reads them, and they are copied as they are"))
	}
	if !out.KeysKnown {
		t.printf("%s", block("not tested", "missing rows: the steps compute the key, so nobody can tell which rows of the truth belong to the sample. "+
			"They are tested against files that --accept made of this sample, and with a test.source"))
	}
	return err
}

// rejected says that the result lacks rows.
func (t *trial) rejected(rows int64) {
	if rows > 0 {
		t.printf("%s", block("rejected", human.Plural(rows, "row")+" that a run would send to "+t.job.Rejects.String()))
	}
}

// missingTruth says how to make a truth that is not there.
func (t *trial) missingTruth(path string, err error) error {
	e, ok := errors.AsType[*drover.Error](err)
	if !ok || e.Kind != drover.Refused || !slices.Contains([]string{"test.truth.files.path", "test.truth.postgres.table"}, e.Field) {
		return err
	}
	named := *e
	return named.WithHint("drover test %s --accept makes it of the job's result", quote(path))
}
