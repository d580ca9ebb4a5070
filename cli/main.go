// Package cli is drover's command line: one file per verb. Results go to standard output; progress and errors go to standard error.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	_ "time/tzdata" // a job's timezone must not depend on the machine's files

	"github.com/droverdata/drover/internal/redact"
	"github.com/spf13/cobra"

	"github.com/droverdata/drover"
)

// Main runs the command line of the process and ends it with one of drover's exit codes.
//
// With a job the program has every verb of drover for that job, in the place of a job file, and is its own worker: the run starts it again for
// that. Main must then be the first thing that the program does, and what the functions of the job need must be made before it, the same way
// every time.
func Main(job ...drover.Job) {
	os.Exit(execute(os.Args[0], os.Args[1:], job))
}

// app is what all verbs share.
type app struct {
	in        io.Reader
	out, err  io.Writer
	getenv    func(string) string
	lookupEnv func(string) (string, bool)
	environ   func() []string
	// args are the process's own, for the commands that messages suggest.
	args []string
	// job is the one that this program was made for, and name how the user calls it; nil where it is drover itself.
	job  *drover.Job
	name string
	// shown says that the user has been told already how the run ended.
	shown bool
	// begun says that a run was opened, and logJSON that standard error is to hold JSON lines only.
	begun, logJSON bool
}

func execute(program string, args []string, jobs []drover.Job) (code int) {
	keepWritingToClosedPipes()
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, lookupEnv: os.LookupEnv, environ: os.Environ, args: args}
	defer func() {
		if r := recover(); r != nil {
			code = a.reportPanic(r)
		}
	}()
	if len(jobs) > 0 {
		a.job, a.name = &jobs[0], program
	}
	result := &resultWriter{Writer: a.out}
	a.out = result
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil && result.err != nil {
		err = drover.Errorf(drover.Refused, "write the result: %w", result.err).WithHint("what ran has run; drover status shows it")
	}
	return a.end(err)
}

// program is how the user calls this program.
func (a *app) program() string {
	if a.job == nil {
		return "drover"
	}
	return quote(a.name)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   filepath.Base(a.program()),
		Short: "run data-frame jobs in chunks, side by side, each exactly once",
		Long: `drover reads a source (files, a Postgres table), transforms it with SQL expressions and writes a sink.
It cuts the job into chunks, runs them side by side inside a memory budget, and keeps a ledger of every
chunk: a job that was interrupted goes on where it stopped, and every row lands exactly once.`,
		Example: `  drover init data/trips/ -o trips.yaml   write a starter job file
  drover plan trips.yaml                  see what would run
  drover run trips.yaml                   run it; again after a crash: resume it
  drover status                           what ran, and how it went`,
		Version:       buildVersion(),
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(a.runCommand(), a.planCommand(), a.testCommand(), a.profileCommand(), a.diffCommand(), a.statusCommand(), a.errorsCommand(), a.pruneCommand(), a.initCommand(), a.schemaCommand(),
		a.workerCommand(), a.versionCommand())
	if a.job != nil {
		a.describe(root)
	}
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	addCompletion(root)
	return root
}

const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`

const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

drover COMMAND --help tells more about a command.{{end}}
`

// printJSON writes one result object.
func (a *app) printJSON(v any) error {
	data, err := marshalJSON(v)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	_, _ = a.out.Write(data)
	return nil
}

func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format, args...) }

func (a *app) warn(format string, args ...any) {
	a.errorf("%s", redact.Passwords(block("warning", fmt.Sprintf(format, args...))))
}

func (a *app) errorf(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format, args...) }
