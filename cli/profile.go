package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/internal/bind"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/jobfile"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/profile"
	"github.com/spf13/cobra"
)

// profileFlags are the flags of profile.
type profileFlags struct {
	flags
	set    []string
	chunks int
	only   []string
	json   bool
	chart  string
	write  bool
}

func (a *app) profileCommand() *cobra.Command {
	var f profileFlags
	cmd := &cobra.Command{
		Use:                   "profile JOB.yaml [FLAGS]",
		DisableFlagsInUseLine: true,
		Short:                 "measure a few chunks without writing",
		Long: `Measure a spread of a job's chunks in a worker: bytes at the source, received, in memory and written, the time of
reading, of the steps and of writing, what bounds it, and how many workers fit the budget. For each column it says
how much memory its values would take in the smallest types that hold them, and prints the cast step that makes it so.

Nothing is kept: files are written to a scratch folder and removed, rows are copied into a temporary table and rolled
back.`,
		Example: `  drover profile companies.yaml
  drover profile companies.yaml --only 10016 --memory 2GiB
  drover profile taxi.yaml --chart taxi.html
  drover profile taxi.yaml --chunks 100 --write       add the cast step to the job file`,
		Args:              oneJobFile,
		ValidArgsFunction: completeJobFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			if f.write && a.job != nil {
				return usage(cmd, "--write changes a job file, and this job is a program").WithHint("add the cast step to the program")
			}
			file, err := a.load(args, f.set)
			if err != nil {
				return err
			}
			return file.Locate(a.profile(cmd.Context(), file.Name, file, f))
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.IntVar(&f.chunks, "chunks", 5, "how many chunks to measure")
	fs.StringArrayVar(&f.only, "only", nil, "measure the chunks with this `key` instead (repeatable)")
	fs.Var(&f.memory, "memory", "the memory of all processes of a run together, such as 4GiB (default 70 % of the machine; or DROVER_MEMORY)")
	fs.StringArrayVar(&f.set, "set", nil, "give a value to ${NAME} in the job file: `NAME=VALUE` (repeatable)")
	fs.BoolVar(&f.json, "json", false, "print the report as one JSON object")
	fs.StringVar(&f.chart, "chart", "", "draw memory and time into a `FILE.svg` or FILE.html")
	fs.BoolVar(&f.write, "write", false, "add the cast step to the job file")
	return cmd
}

func (f profileFlags) check(cmd *cobra.Command) error {
	switch {
	case f.chunks < 1:
		return usage(cmd, "--chunks %d: it must be at least 1", f.chunks)
	case len(f.only) > 0 && cmd.Flags().Changed("chunks"):
		return usage(cmd, "--only and --chunks exclude each other")
	case cmd.Flags().Changed("chart") && !strings.HasSuffix(f.chart, ".svg") && !strings.HasSuffix(f.chart, ".html"):
		return usage(cmd, "--chart %s: the name must end in .svg or .html", f.chart)
	}
	return nil
}

func (a *app) profile(ctx context.Context, path string, file *jobfile.File, f profileFlags) (err error) {
	f.workers = 1 // side by side they would measure each other
	s, err := a.resolve(f.flags, file.Job)
	if err != nil {
		return err
	}
	ctx, stop := listen(ctx)
	defer stop.close()
	dir, err := os.MkdirTemp("", "drover-profile-")
	if err != nil {
		return drover.Errorf(drover.Refused, "create a scratch directory: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover does no harm
	registry := all.All()
	engine, err := a.engine(ctx, registry, s, dir, false, func(e monitor.Event) {
		if w, ok := e.(monitor.Warning); ok {
			a.warn("%s", w.Text)
		}
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	report, err := profile.Run(ctx, profile.Options{
		Registry: registry, Job: file.Job, Engine: engine, Memory: s.memory, Cores: runtime.GOMAXPROCS(0),
		Chunks: f.chunks, Only: f.only, TempDir: dir, Warn: a.warn,
		Measured: func(done, of int, key string) {
			_, _ = fmt.Fprintf(a.err, "measured %d of %d chunks: %s\n", done, of, human.Key(key))
		},
	})
	if err != nil {
		return err
	}
	if f.chart != "" {
		if err := drawChart(f.chart, report); err != nil {
			return err
		}
		a.errorf("%s", block("wrote", f.chart))
	}
	if f.write {
		if err := a.writeCast(ctx, path, file, f.set, report, dir); err != nil {
			return err
		}
	}
	if f.json {
		return a.printJSON(report)
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, _ = a.out.Write(text.Bytes())
	return nil
}

func drawChart(path string, r profile.Report) error {
	var b bytes.Buffer
	draw := r.WriteSVG
	if strings.HasSuffix(path, ".html") {
		draw = r.WriteHTML
	}
	if err := draw(&b); err != nil {
		return fmt.Errorf("draw the chart: %w", err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return drover.Errorf(drover.Refused, "write the chart: %w", err)
	}
	return nil
}

// writeCast adds the report's cast step to the job file, if the job can still be planned with it.
func (a *app) writeCast(ctx context.Context, path string, file *jobfile.File, set []string, r profile.Report, dir string) error {
	if len(r.Cast) == 0 {
		a.warn("every column has the smallest type already, or one that only a look at all chunks could narrow: %s stays as it is", path)
		return nil
	}
	values, err := assignments(set)
	if err != nil {
		return err
	}
	data, err := readJobFile(path)
	if err != nil {
		return err
	}
	edited, err := jobfile.AddStep(path, data, jobfile.Options{Connectors: all.All(), Set: values, Env: a.lookupEnv}, drover.Step{Cast: r.Cast},
		func(indent string) string { return profile.CastStep(r.Cast, indent) })
	if err != nil {
		return err
	}
	job := file.Job
	job.Frame.Steps = append(job.Frame.Steps[:len(job.Frame.Steps):len(job.Frame.Steps)], drover.Step{Cast: r.Cast})
	bound, err := bind.Bind(ctx, all.All(), job, connector.Env{
		Timezone: job.Timezone, TempDir: dir, Application: "drover/profile", Connections: job.Limits.SourceConnections, Warn: a.warn, Resume: true,
	})
	if err != nil {
		return fmt.Errorf("plan the job with the cast step, which %s did not get: %w", path, err)
	}
	if err := bound.Close(); err != nil {
		return err
	}
	if err := replaceFile(path, edited); err != nil {
		return err
	}
	a.errorf("%s", block("wrote", path+": the cast step is its last now"))
	return nil
}

// replaceFile writes a file anew, whole or not at all.
func replaceFile(path string, data []byte) (err error) {
	path, err = filepath.EvalSymlinks(path) // a link stays one
	if err != nil {
		return drover.Errorf(drover.Refused, "write the job file: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return drover.Errorf(drover.Refused, "write the job file: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".drover-*")
	if err != nil {
		return drover.Errorf(drover.Refused, "write the job file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error tells of the write
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return drover.Errorf(drover.Refused, "write the job file: %w", err)
	}
	return nil
}
