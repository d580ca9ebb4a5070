package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// numbersJob casts a column that in b.csv holds no number.
const numbersJob = `name: numbers
source: {files: {path: in/, format: csv}}
chunk: {files: 1}
steps:
  - set: {n: CAST(text AS INTEGER)}
sink: {files: {path: out/}}
`

// numbers is a directory with that job, and three chunks of which one fails.
func numbers(t *testing.T) *dir {
	t.Helper()
	d := newDir(t)
	d.write(t, "numbers.yaml", numbersJob)
	d.write(t, "in/a.csv", "id,text\n1,10\n2,20\n")
	d.write(t, "in/b.csv", "id,text\n3,thirty\n")
	d.write(t, "in/c.csv", "id,text\n4,40\n")
	return d
}

// decode reads the one JSON object of a result.
func decode(t *testing.T, r result) map[string]any {
	t.Helper()
	var v map[string]any
	dec := json.NewDecoder(strings.NewReader(r.stdout))
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %q\n%s", err, r.stdout, r.stderr)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Errorf("more than one object: %q", r.stdout)
	}
	return v
}

func TestFailedChunksAreListedAndRetried(t *testing.T) {
	d := numbers(t)
	r := d.drover(t, "run", "numbers.yaml", "--json")
	if r.code != exitErrors {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	summary := decode(t, r)
	chunks := fmt.Sprint(summary["chunks"])
	if summary["state"] != "failed" || chunks != "map[error:1 finished:2 pending:0 total:3]" {
		t.Errorf("%v", summary)
	}
	run := fmt.Sprint(summary["run"])
	for _, want := range []string{"1 of 3 chunks failed; 2 are safe, nothing is published", "b.csv", "thirty", "drover errors " + run, "drover run numbers.yaml --json --retry-errors"} {
		if !contains(r.stderr, want) {
			t.Errorf("run lacks %q:\n%s", want, r.stderr)
		}
	}
	// The same command lists them again.
	if again := d.drover(t, "run", "numbers.yaml"); again.code != exitErrors || !contains(again.stderr, "thirty") {
		t.Errorf("again: exit code %d\n%s", again.code, again.stderr)
	}
	r = d.drover(t, "errors", run)
	for _, want := range []string{"1 chunk failed", "thirty", "chunk     b.csv", "drover run numbers.yaml --retry-errors"} {
		if r.code != 0 || !contains(r.stdout, want) {
			t.Errorf("errors: exit code %d, lacks %q:\n%s", r.code, want, r.stdout)
		}
	}
	found := decode(t, d.drover(t, "errors", "--json"))
	if list, ok := found["errors"].([]any); !ok || len(list) != 1 || found["run"] != run || found["retry"] != "drover run numbers.yaml --retry-errors" {
		t.Errorf("%v", found)
	}
	if s := decode(t, d.drover(t, "status", run, "--json")); s["state"] != "failed" || fmt.Sprint(s["chunks"]) != "map[error:1 finished:2 pending:0 running:0 split:0 total:3]" {
		t.Errorf("%v", s)
	}
	// With the step mended, only the failed chunk runs again.
	d.write(t, "numbers.yaml", strings.Replace(numbersJob, "CAST(", "TRY_CAST(", 1))
	r = d.drover(t, "run", "numbers.yaml", "--retry-errors", "--json")
	if s := decode(t, r); r.code != 0 || s["state"] != "finished" || s["run"] != run || s["rows_out"] != 4.0 {
		t.Errorf("exit code %d, %v\n%s", r.code, s, r.stderr)
	}
	if r = d.drover(t, "status"); r.code != 0 || !contains(r.stdout, run) || !contains(r.stdout, "3/3") {
		t.Errorf("status: %d\n%s", r.code, r.stdout)
	}
	if r = d.drover(t, "__complete", "status", ""); !contains(r.stdout, run+"\tnumbers, finished") {
		t.Errorf("completion of runs: %s", r.stdout)
	}
}

// Without the variables of its command line a failed chunk would be made with the job file's own values, and its rows be others.
func TestTheCommandThatRetriesAsksForTheVariablesOfTheRun(t *testing.T) {
	d := numbers(t)
	d.write(t, "numbers.yaml", strings.Replace(numbersJob, "steps:\n", "vars: {tag: NY, other: x}\nsteps:\n  - set: {tag: \"'${tag}${other}'\"}\n", 1))
	if r := d.drover(t, "run", "numbers.yaml", "--set", "tag=CA", "--set=other=y"); r.code != exitErrors {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	const retry = `drover run numbers.yaml --retry-errors --set other="${other:?}" --set tag="${tag:?}"`
	if r := d.drover(t, "errors"); !contains(r.stdout, retry+"\n") {
		t.Errorf("errors lacks %q:\n%s", retry, r.stdout)
	}
	if found := decode(t, d.drover(t, "errors", "--json")); found["retry"] != retry {
		t.Errorf("%v", found["retry"])
	}
}

func TestAJobThatIsSimplyWrongStopsEarly(t *testing.T) {
	d := newDir(t)
	d.write(t, "numbers.yaml", numbersJob+"limits: {max_errors: 2, workers: 1}\n")
	for i := range 9 {
		d.write(t, fmt.Sprintf("in/%d.csv", i), "id,text\n1,ten\n")
	}
	r := d.drover(t, "run", "numbers.yaml", "--json")
	chunks := fmt.Sprint(decode(t, r)["chunks"])
	if r.code != exitErrors || chunks != "map[error:2 finished:0 pending:7 total:9]" {
		t.Errorf("exit code %d, %s", r.code, chunks)
	}
	early := []string{
		"2 of 9 chunks failed, and with them the run stopped early (limits.max_errors: 2); 7 were not tried; 0 are safe, nothing is published",
		"go on with all    drover run numbers.yaml --json --retry-errors",
	}
	for _, want := range early {
		if !contains(r.stderr, want) {
			t.Errorf("run lacks %q:\n%s", want, r.stderr)
		}
	}
	if r = d.drover(t, "run", "numbers.yaml", "--json"); r.code != exitErrors || !contains(r.stderr, early[0]) {
		t.Errorf("again: exit code %d\n%s", r.code, r.stderr)
	}
	if r = d.drover(t, "status", fmt.Sprint(decode(t, r)["run"])); !contains(r.stdout, "failed: 2 chunks failed, and limits.max_errors is 2") {
		t.Errorf("status: %s", r.stdout)
	}
	if r = d.drover(t, "errors"); !contains(r.stdout, "2 chunks failed, 7 were not tried") || !contains(r.stdout, "go on with all    drover run numbers.yaml --retry-errors") {
		t.Errorf("errors: %s", r.stdout)
	}
	// With the step mended the rest is done too.
	d.write(t, "numbers.yaml", strings.Replace(numbersJob, "CAST(", "TRY_CAST(", 1))
	if r = d.drover(t, "run", "numbers.yaml", "--retry-errors"); r.code != 0 {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
}

func good(t *testing.T) *dir {
	t.Helper()
	d := newDir(t)
	d.write(t, "numbers.yaml", numbersJob)
	for i := range 4 {
		d.write(t, fmt.Sprintf("in/%d.csv", i), "id,text\n1,10\n2,20\n")
	}
	return d
}

func TestQuietIsQuietAndLogsCanBeJSON(t *testing.T) {
	d := good(t)
	if r := d.drover(t, "run", "numbers.yaml", "--quiet"); r.code != 0 || r.stdout != "" || r.stderr != "" {
		t.Errorf("exit code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
	d = good(t)
	r := d.drover(t, "run", "numbers.yaml", "--log-format", "json")
	var last struct{ Event string }
	for line := range strings.Lines(r.stderr) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	if r.code != 0 || last.Event != "ended" {
		t.Errorf("exit code %d, the last event is %q", r.code, last.Event)
	}
}

func TestPlanAndDryRunWriteNothing(t *testing.T) {
	d := good(t)
	before := strings.Join(d.files(t), "\n")
	if r := d.drover(t, "plan", "numbers.yaml", "--json"); r.code != 0 || decode(t, r)["chunks"] != 4.0 {
		t.Errorf("plan: %d %s %s", r.code, r.stdout, r.stderr)
	}
	if after := strings.Join(d.files(t), "\n"); after != before {
		t.Errorf("plan left\n%s", after)
	}
	r := d.drover(t, "run", "numbers.yaml", "--dry-run", "--json")
	if s := decode(t, r); r.code != 0 || s["rows_out"] != 8.0 {
		t.Errorf("dry run: %d %v %s", r.code, s, r.stderr)
	}
	for _, name := range d.files(t) {
		if name == ".drover/ledger.db" || strings.HasPrefix(name, "out") {
			t.Errorf("the dry run left %s", name)
		}
	}
}

func TestADryRunThatBreaksAnExpectationFailed(t *testing.T) {
	d := good(t)
	job, err := os.ReadFile(filepath.Join(d.path, "numbers.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d.write(t, "numbers.yaml", string(job)+"\nexpect: [{rows: 5}]\n")
	r := d.drover(t, "run", "numbers.yaml", "--dry-run", "--json")
	if s := decode(t, r); r.code != exitErrors || s["state"] != "failed" || s["broken_expectations"] == nil {
		t.Errorf("%d %v %s", r.code, s, r.stderr)
	}
}

func TestLimitedRunsStayOpen(t *testing.T) {
	d := good(t)
	r := d.drover(t, "run", "numbers.yaml", "--limit-chunks", "1", "--json")
	if s := decode(t, r); r.code != 0 || s["state"] != "open" {
		t.Errorf("limit: %d %v\n%s", r.code, s, r.stderr)
	}
	r = d.drover(t, "run", "numbers.yaml", "--only", "2.csv", "--json")
	if s := decode(t, r); r.code != 0 || s["resumed"] != true || !contains(fmt.Sprint(s["chunks"]), "finished:2") {
		t.Errorf("only: %d %v\n%s", r.code, s, r.stderr)
	}
	r = d.drover(t, "run", "numbers.yaml", "--json")
	if s := decode(t, r); r.code != 0 || s["state"] != "finished" || s["rows_out"] != 8.0 {
		t.Errorf("rest: %d %v\n%s", r.code, s, r.stderr)
	}
}

func TestClosedStreamsDoNotStopARun(t *testing.T) {
	d := good(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := d.command(ctx, "run", "numbers.yaml", "--json")
	for _, stream := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		*stream = w
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("with closed streams: %v", err)
	}
	if s := d.drover(t, "status"); !contains(s.stdout, "finished") {
		t.Errorf("%s", s.stdout)
	}
}

func TestASignalDrainsAndTheSameCommandGoesOn(t *testing.T) {
	d := newDir(t)
	// Each chunk takes a while, so that the signal comes between two of them.
	d.write(t, "slow.yaml", strings.ReplaceAll(strings.Replace(numbersJob, "CAST(text AS INTEGER)",
		`"length(md5(repeat(text::VARCHAR, 8000000)))"`, 1), "numbers", "slow"))
	const chunks = 24
	for i := range chunks {
		d.write(t, fmt.Sprintf("in/%02d.csv", i), "id,text\n1,10\n")
	}
	cmd := d.command(t.Context(), "run", "slow.yaml", "--workers", "1", "--json", "--log-format", "json")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	signalled := false
	for dec := json.NewDecoder(io.TeeReader(stderr, &log)); ; {
		var e struct{ Event string }
		if err := dec.Decode(&e); err != nil {
			break
		}
		if e.Event == "opened" && !signalled {
			signalled = true
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Fatalf("exit code %d\n%s", code, log.String())
	}
	if s := decode(t, result{stdout: stdout.String()}); s["state"] != "open" {
		t.Errorf("%v", s)
	}
	r := d.drover(t, "run", "slow.yaml", "--json")
	if s := decode(t, r); r.code != 0 || s["state"] != "finished" || s["resumed"] != true || s["rows_out"] != float64(chunks) {
		t.Errorf("exit code %d, %v\n%s", r.code, s, r.stderr)
	}
}

func TestInitWritesAFileThatPlans(t *testing.T) {
	d := good(t)
	if err := os.Remove(d.path + "/numbers.yaml"); err != nil {
		t.Fatal(err)
	}
	r := d.drover(t, "init", "in/", "-o", "in.yaml")
	if r.code != 0 || strings.TrimSpace(r.stdout) != "in.yaml" {
		t.Fatalf("%d %q %s", r.code, r.stdout, r.stderr)
	}
	if r = d.drover(t, "plan", "in.yaml"); r.code != 0 {
		t.Errorf("plan: %d %s", r.code, r.stderr)
	}
	if r = d.drover(t, "init", "in/", "-o", "in.yaml"); r.code != exitUsage || !contains(r.stderr, "not overwritten") {
		t.Errorf("again: %d %s", r.code, r.stderr)
	}
	if r = d.drover(t, "init", "-o", "-"); r.code != 0 || !contains(r.stdout, "source:") {
		t.Errorf("general: %d %q %s", r.code, r.stdout, r.stderr)
	}
	for arg, want := range map[string]string{"nowhere/": "nowhere", "mysql://u:" + secret + "@h/d#t": "not mysql", "postgres://u:" + secret + "@h/d": "names no table"} {
		if r = d.drover(t, "init", arg, "-o", "other.yaml"); r.code < 2 || !contains(r.stderr, want) || contains(r.stderr, secret) {
			t.Errorf("init %s: %d %s", arg, r.code, r.stderr)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	d := newDir(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := d.drover(t, "completion", shell); r.code != 0 || !contains(r.stdout, "drover") {
			t.Errorf("%s: %d %s", shell, r.code, r.stderr)
		}
	}
	if r := d.drover(t, "__complete", "run", ""); !contains(r.stdout, "yaml\nyml\n:8") {
		t.Errorf("completion of job files: %s", r.stdout)
	}
}
