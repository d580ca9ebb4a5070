package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/postgres"
	"github.com/droverdata/drover/internal/jobfile"
	"github.com/droverdata/drover/internal/monitor"
)

func TestAgainRepeatsTheCommandWithoutSecrets(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "a b.yaml", "--new", "--quiet"}, "drover run 'a b.yaml' --quiet"},
		{[]string{"run", "a.yaml", "--retry-errors", "--only", "it's"}, `drover run a.yaml --only 'it'\''s'`},
		{[]string{"run", "a.yaml", "--set", "state=NY", "--set", "PASSWORD=hunter2", "--set=RAW_URL=x"}, `drover run a.yaml --set state=NY --set PASSWORD="${PASSWORD:?}" --set=RAW_URL="${RAW_URL:?}"`},
		{[]string{"run", "a.yaml", "--ledger", "postgres://u:hunter2@h/db"}, `drover run a.yaml --ledger postgres://u:"${PASSWORD:?}"@h/db`},
		{[]string{"run", "a.yaml", "--ledger", "postgres://u:hunt@er'2@h/db"}, `drover run a.yaml --ledger postgres://u:"${PASSWORD:?}"@h/db`},
	} {
		if got := (&app{args: c.args, getenv: func(string) string { return "" }}).again(); got != c.want {
			t.Errorf("%q: got %s, want %s", c.args, got, c.want)
		}
	}
}

func TestNextCommandsAreOnesThatWork(t *testing.T) {
	env := map[string]string{}
	a := &app{getenv: func(name string) string { return env[name] }, args: []string{
		"run", "a.yaml", "--memory", "256MiB", "--only", "10016", "--only=2", "--limit-chunks", "3", "--run", "nightly", "--set", "a=x", "--ledger", "postgres://u:hunter2@h/db",
	}}
	ledger := "postgres://u:hunter2@h/db"
	const end = ` --set a=x --ledger postgres://u:"${PASSWORD:?}"@h/db`
	got := a.next(ledger)
	want := monitor.Next{
		Again:  "drover run a.yaml --memory 256MiB --only 10016 --only=2 --limit-chunks 3 --run nightly" + end,
		Rest:   "drover run a.yaml --memory 256MiB --run nightly" + end,
		Retry:  "drover run a.yaml --memory 256MiB --only 10016 --only=2 --limit-chunks 3 --run nightly" + end + " --retry-errors",
		Wider:  "drover run a.yaml --only 10016 --only=2 --limit-chunks 3 --run nightly" + end + " --retry-errors --memory ",
		Afresh: "drover run a.yaml --memory 256MiB --only 10016 --only=2 --limit-chunks 3" + end + " --new",
		Errors: `drover errors --ledger postgres://u:"${PASSWORD:?}"@h/db`,
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	env["DROVER_LEDGER"] = ledger
	if got := a.next(ledger).Errors; got != "drover errors" {
		t.Errorf("the ledger of the environment is named: %s", got)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errChunksFailed, 1},
		{drover.Errorf(drover.Invalid, "x"), 2},
		{&jobfile.Error{File: "f", Err: drover.Errorf(drover.Invalid, "x")}, 2},
		{fmt.Errorf("open: %w", drover.Errorf(drover.Refused, "x")), 3},
		{drover.Errorf(drover.Unreachable, "x"), 3},
		{drover.Errorf(drover.Data, "x"), 3},
		{errors.New("x"), 3},
		{drover.Errorf(drover.Interrupted, "x"), 130},
		{fmt.Errorf("read: %w", context.Canceled), 130},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

// A stop is not a failure: what was being done when it came is of no use to the user.
func TestAnInterruptionSaysWhatIsSafeAndHowToGoOn(t *testing.T) {
	for _, begun := range []bool{false, true} {
		var out bytes.Buffer
		a := &app{err: &out, args: []string{"run", "job.yaml"}, begun: begun}
		code := a.end(fmt.Errorf("read the schema of the source.files: %w", context.Canceled))
		if text := out.String(); code != exitInterrupted || strings.Contains(text, "context canceled") || strings.Contains(text, "source.files") ||
			!strings.Contains(text, "drover run job.yaml") || !strings.Contains(text, map[bool]string{false: "nothing was begun", true: "safe"}[begun]) {
			t.Errorf("begun %v: exit code %d, %s", begun, code, text)
		}
	}
}

func TestAFlagWinsOverTheJobFileWhichWinsOverTheEnvironment(t *testing.T) {
	env := map[string]string{"DROVER_LEDGER": "env.db", "DROVER_MEMORY": "1GiB", "DROVER_LEASE": "1m"}
	a := &app{getenv: func(name string) string { return env[name] }}
	job := drover.Job{Ledger: "job.db", Limits: drover.Limits{Memory: 2 << 30, Workers: 3}}
	for _, c := range []struct {
		name string
		f    flags
		job  drover.Job
		want settings
	}{
		{"environment", flags{workers: 1}, drover.Job{}, settings{"env.db", time.Minute, 1 << 30, 1, true}},
		{"job file", flags{}, job, settings{"job.db", time.Minute, 2 << 30, 3, true}},
		{"flags", flags{ledger: "flag.db", memory: 4 << 30, workers: 5, lease: time.Second}, job, settings{"flag.db", time.Second, 4 << 30, 5, true}},
	} {
		got, err := a.resolve(c.f, c.job)
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestJobFileOfFindsTheOneFileWithTheName(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", "# a comment\nname: other\n")
	write("b.yml", "name: \"trips\" # mine\n")
	if got := jobFileOf(dir, "trips"); filepath.Base(got) != "b.yml" {
		t.Errorf("found %s", got)
	}
	write("c.yaml", "name: trips\n")
	if got := jobFileOf(dir, "trips"); got != "JOB.yaml" {
		t.Errorf("found %s of two", got)
	}
}

func TestTheFirstSignalDrainsAndTheSecondStops(t *testing.T) {
	ctx, s := listen(t.Context())
	defer s.close()
	s.begin()
	s.signals <- syscall.SIGTERM
	<-s.drain
	if ctx.Err() != nil {
		t.Fatal("the first signal stopped")
	}
	s.signals <- os.Interrupt
	<-ctx.Done()
}

func TestASignalBeforeThereIsWorkStops(t *testing.T) {
	ctx, s := listen(t.Context())
	defer s.close()
	s.signals <- os.Interrupt
	<-ctx.Done()
}

func TestEqualErrorsAreShownOnce(t *testing.T) {
	same := func(sample string) *drover.Error {
		return &drover.Error{Kind: drover.Data, Field: "steps[0].set.x", Column: "x", Message: "cannot convert", Sample: sample}
	}
	got := groups([]chunkError{{Chunk: 1, Error: same("a")}, {Chunk: 2, Error: &drover.Error{Message: "other"}}, {Chunk: 3, Error: same("b")}, {Chunk: 4}})
	if len(got) != 3 || len(got[0]) != 2 || got[0][1].Chunk != 3 {
		t.Errorf("%+v", got)
	}
}

func TestErrorsSayHowOftenAChunkWasTried(t *testing.T) {
	lost, overran := &drover.Error{Kind: drover.Lost}, &drover.Error{Kind: drover.Overrun}
	for want, c := range map[string]chunkError{
		"1 attempt":                                  {Attempts: 1},
		"3 attempts that lost the worker":            {Losses: 3, Error: lost},
		"1 attempt that overran the memory":          {Losses: 1, Error: overran},
		"2 attempts, 1 attempt that lost the worker": {Attempts: 2, Losses: 1, Error: lost},
	} {
		if got := monitor.Tries(c.Attempts, c.Losses, c.Error); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

func TestAPanicIsAShortMessageAndAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	var text buffer
	a := &app{err: &text}
	if code := a.reportPanic("boom postgres://u:hunter2@h/d"); code != 3 {
		t.Errorf("exit code %d", code)
	}
	files, err := filepath.Glob(".drover/crash-*.txt")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	stack, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(text), string(stack)} {
		if contains(s, "hunter2") || !contains(s, "boom") {
			t.Errorf("%s", s)
		}
	}
	if contains(string(text), "goroutine") || !contains(string(stack), "goroutine") {
		t.Errorf("the stack is in the wrong place:\n%s", text)
	}
}

func TestLinesAreCutToTheTerminalSoThatNoneWraps(t *testing.T) {
	if got := cut("abcdef\nabc\nüüüüüü\n", 5); got != "abcd\nabc\nüüüü\n" {
		t.Errorf("%q", got)
	}
	if got := cut("abcdef\n", 0); got != "abcdef\n" {
		t.Errorf("not a terminal: %q", got)
	}
}

func TestTheTargetOfAStarterIsATablesName(t *testing.T) {
	for table, want := range map[string]string{
		`raw`:                        `clean-raw clean_raw`,
		`sales.raw`:                  `clean-raw clean_raw`,
		`"Raw"`:                      `clean-Raw "clean_Raw"`,
		`sales."Raw"`:                `clean-Raw "clean_Raw"`,
		`"Odd schema"."My ""Table'"`: `clean-My "Table' "clean_My ""Table'"`,
		`"a.b"."c.d"`:                `clean-c.d "clean_c.d"`,
		`"Sales".raw`:                `clean-raw clean_raw`,
	} {
		name, _, sink, err := starterSource("postgres://host/db#" + table)
		if err != nil {
			t.Fatal(err)
		}
		if got := name + " " + sink.(*postgres.Sink).Table; got != want {
			t.Errorf("%s: %s, want %s", table, got, want)
		}
	}
}
