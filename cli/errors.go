package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/redact"
	"github.com/droverdata/drover/internal/run"
	"github.com/spf13/cobra"
)

// mostKeys is how many chunks of equal errors are named in text.
const mostKeys = 10

func (a *app) errorsCommand() *cobra.Command {
	var name, job string
	var asJSON bool
	cmd := &cobra.Command{
		Use:                   "errors [RUN] [FLAGS]",
		DisableFlagsInUseLine: true,
		Short:                 "show each failed chunk with its error",
		Long: `Show the chunks of a run that failed, with their errors and the command that retries just those. Errors that are equal but
for the values in them are shown once, with all their chunks. Without a run, it is the newest one of the ledger.`,
		Example: `  drover errors
  drover errors r-k3f9 --json`,
		Args:              atMostOne("run"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := readLedger(cmd.Context(), a.ledgerName(name, ""))
			if err != nil {
				return err
			}
			defer l.Shutdown() //nolint:errcheck // nothing was written
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			return a.showErrors(cmd.Context(), l, job, id, name, asJSON)
		},
	}
	ledgerFlag(cmd, &name)
	jobFlag(cmd, &job)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// chunkError is one failed chunk as errors --json prints it.
type chunkError struct {
	Stage    int    `json:"stage"`
	Chunk    int64  `json:"chunk"`
	Key      string `json:"key"`
	Attempts int    `json:"attempts"`
	// Losses is how often it lost its worker, or overran its memory, alone.
	Losses int           `json:"losses,omitempty"`
	Worker string        `json:"worker,omitempty"`
	Error  *drover.Error `json:"error"`
}

// runErrors is what errors --json prints.
type runErrors struct {
	Run    string          `json:"run"`
	Job    string          `json:"job"`
	State  ledger.RunState `json:"state"`
	Errors []chunkError    `json:"errors"`
	// Broken are the expectations for which the run failed.
	Broken []expect.Broken `json:"broken_expectations,omitempty"`
	// Message is why a run failed that has neither.
	Message string `json:"message,omitempty"`
	// NotTried is how many chunks were left when the run stopped early (limits.max_errors).
	NotTried int64 `json:"not_tried,omitempty"`
	// Retry is the command that tries just these again, and those that were not tried; empty if there are none.
	Retry string `json:"retry,omitempty"`
}

func (a *app) showErrors(ctx context.Context, l ledger.Ledger, job, id, ledgerFlag string, asJSON bool) error {
	r, err := findRun(ctx, l, job, id)
	if err != nil {
		return err
	}
	if !r.PrunedAt.IsZero() {
		return drover.Errorf(drover.Invalid, "run %s of job %s was pruned on %s: nothing is known of its chunks", r.ID, r.Job, r.PrunedAt.Local().Format("2006-01-02")).
			WithHint("drover status %s shows how it ended", quote(r.ID)+ofJob(r))
	}
	found := runErrors{Run: r.ID, Job: r.Job, State: r.State, Errors: []chunkError{}}
	for c, err := range l.Chunks(ctx, r.UID, ledger.ChunkError) {
		if err != nil {
			return fmt.Errorf("read the failed chunks of run %s: %w", r.ID, err)
		}
		found.Errors = append(found.Errors, chunkError{c.Stage, c.ID, c.Key, c.Attempts, c.Losses, c.Worker, c.Error})
	}
	kept, err := run.KeptOf(r)
	if err != nil {
		return err
	}
	if r.State == ledger.Failed {
		t, err := l.Totals(ctx, r.UID, 0)
		if err != nil {
			return fmt.Errorf("read the totals of run %s: %w", r.ID, err)
		}
		found.NotTried = t.Chunks[ledger.Pending]
		found.Broken = kept.Broken
	}
	if r.State == ledger.Failed && len(found.Errors)+len(found.Broken) == 0 {
		found.Message = r.Message
	}
	if (len(found.Errors)+len(found.Broken) > 0 || found.Message != "") && r.State != ledger.Abandoned && r.State != ledger.Finished {
		if found.Retry, err = a.retryCommand(ctx, l, r); err != nil {
			return err
		}
		if needs := found.needs(); needs > 0 {
			found.Retry += fmt.Sprintf(" --memory %dMiB", memory.Budget(needs)>>20)
		}
		for _, name := range kept.Set {
			found.Retry += " --set " + name + "=" + reference(name)
		}
		if ledgerFlag != "" {
			found.Retry += " --ledger " + a.paste(ledgerFlag)
		}
	}
	if asJSON {
		return a.printJSON(found)
	}
	a.printf("%s", redact.Passwords(found.text()))
	return nil
}

// retryCommand tries the failed chunks of a run again, once the words for the ledger are added. Without a name that is the job's newest
// run that is not over.
func (a *app) retryCommand(ctx context.Context, l ledger.Ledger, r ledger.Run) (string, error) {
	command := "drover run " + quote(jobFileOf(".", r.Job)) + " --retry-errors"
	if a.job != nil && a.job.Name == r.Job {
		command = a.program() + " run --retry-errors"
	}
	unfinished := ledger.Past{Job: r.Job, States: []ledger.RunState{ledger.Planned, ledger.Open, ledger.Publishing, ledger.Failed}}
	for newest, err := range l.History(ctx, unfinished) {
		if err != nil {
			return "", fmt.Errorf("look for the newest run of job %s: %w", r.Job, err)
		}
		if newest.UID != r.UID {
			command += " --run " + quote(r.ID)
		}
		break
	}
	return command, nil
}

// needs is the largest share of memory that a failed chunk needs, or 0.
func (f runErrors) needs() int64 {
	var most int64
	for _, c := range f.Errors {
		if c.Error != nil && c.Error.Kind == drover.Overrun {
			most = max(most, c.Error.Needs)
		}
	}
	return most
}

func (f runErrors) text() string {
	var b strings.Builder
	if len(f.Broken) > 0 {
		return f.brokenText()
	}
	if f.Message != "" {
		return fmt.Sprintf("%s\n%s\n", human.Line("run "+f.Run, f.Job+": no chunk failed, the run did: "+human.Printable(f.Message)), human.Line("once that is mended", f.Retry))
	}
	if len(f.Errors) == 0 {
		return fmt.Sprintf("run %s of %s has no failed chunks\n", f.Run, f.Job)
	}
	what, retry := human.Plural(int64(len(f.Errors)), "chunk")+" failed", "retry only these"
	if f.NotTried > 0 {
		what, retry = fmt.Sprintf("%s, %s were not tried", what, human.Count(f.NotTried)), "go on with all"
	}
	fmt.Fprintf(&b, "%s\n", human.Line("run "+f.Run, f.Job+": "+what))
	for _, group := range groups(f.Errors) {
		first := group[0]
		text, hint := "unknown error", ""
		if first.Error != nil {
			text, hint = monitor.OneLine(first.Error), first.Error.Hint
		}
		fmt.Fprintf(&b, "\n%s\n", text)
		if hint != "" {
			fmt.Fprintf(&b, "  hint      %s\n", human.Printable(hint))
		}
		if differ(group) {
			b.WriteString("  values    differ from chunk to chunk (--json has each)\n")
		}
		for i, c := range group {
			if i == mostKeys {
				fmt.Fprintf(&b, "  and %s more (--json has them all)\n", human.Plural(int64(len(group)-i), "chunk"))
				break
			}
			fmt.Fprintf(&b, "  chunk     %s · %s\n", human.Key(c.Key), monitor.Tries(c.Attempts, c.Losses, c.Error))
		}
	}
	if f.Retry != "" {
		fmt.Fprintf(&b, "\n%s\n", human.Line(retry, f.Retry))
	}
	return b.String()
}

// brokenText is about a run that has no failed chunks, as all that were staged were needed to find out.
func (f runErrors) brokenText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", human.Line("run "+f.Run, fmt.Sprintf("%s: %s failed on what is staged", f.Job, human.Plural(int64(len(f.Broken)), "expectation"))))
	for _, e := range f.Broken {
		lines := monitor.BrokenExpectation(monitor.ExpectationFailed{Expectation: e.Expectation, Message: e.Message, Rows: e.Rows, Samples: e.Samples})
		fmt.Fprintf(&b, "%s\n", strings.Join(lines, "\n"))
	}
	fmt.Fprintf(&b, "\n%s\n", human.Line("check them again", f.Retry))
	return b.String()
}

// values are what differs between messages that say the same of several chunks: 'n/a', 10016.
var values = regexp.MustCompile(`'[^']*'|[0-9]+`)

// groups puts errors together that are equal but for the values in them, in the order of their first chunks.
func groups(errs []chunkError) [][]chunkError {
	index := map[string]int{}
	var out [][]chunkError
	for _, e := range errs {
		key := ""
		if e.Error != nil {
			// A sample differs from chunk to chunk where the error is one.
			key = strings.Join([]string{string(e.Error.Kind), e.Error.Field, e.Error.Code, e.Error.Column, values.ReplaceAllString(e.Error.Message, "?")}, "\x00")
		}
		i, known := index[key]
		if !known {
			i = len(out)
			index[key] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], e)
	}
	return out
}

// differ reports whether the messages of a group hold different values.
func differ(group []chunkError) bool {
	return slices.ContainsFunc(group, func(c chunkError) bool {
		return c.Error != nil && (c.Error.Message != group[0].Error.Message || c.Error.Sample != group[0].Error.Sample)
	})
}

var nameLine = regexp.MustCompile(`(?m)^name:[ \t]*["']?([^"'#\r\n]*[^"'#\s])`)

// jobFileOf returns the one job file in dir that has this name, or else a placeholder.
func jobFileOf(dir, job string) string {
	const unknown = "JOB.yaml"
	found := unknown
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return unknown
		}
		for _, path := range paths {
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() || info.Size() > mostJobFile {
				continue
			}
			data, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			if m := nameLine.FindSubmatch(data); m == nil || string(m[1]) != job {
				continue
			}
			if found != unknown {
				return unknown
			}
			found = path
		}
	}
	return found
}
