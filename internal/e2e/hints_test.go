package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/pgtest"
)

// TestTheCommandsThatRunOffersWork runs each command that the closing lines and drover errors print, as it is printed.
func TestTheCommandsThatRunOffersWork(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	offered := func(r result, label string) []string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + label + ` +drover (.*)$`).FindStringSubmatch(r.stdout + r.stderr)
		if m == nil {
			t.Fatalf("no command %q in:\n%s%s", label, r.stdout, r.stderr)
		}
		return strings.Fields(m[1])
	}
	broken := strings.Replace(brokenJob, "mode: append", "mode: replace", 1)
	p.write(t, "job.yaml", broken)
	// The ledger is not where the verbs without a job file look for it.
	failed := p.drover(t, nil, "run", "job.yaml", "--ledger", "here.db", "--run", "nightly")
	listed := p.must(t, offered(failed, "see them")...)
	says(t, listed.stdout, "run nightly", "chunk     00001")
	for _, r := range []result{failed, listed} {
		if again := p.drover(t, nil, offered(r, "retry only these")...); again.code != 1 || !strings.Contains(again.stderr, "1 of 4 chunks failed") {
			t.Errorf("the retry: exit %d\n%s", again.code, again.stderr)
		}
	}
	shown := p.must(t, "status", "nightly", "--ledger", "here.db")
	says(t, p.must(t, offered(shown, "see the errors")...).stdout, "run nightly")

	p.write(t, "job.yaml", strings.Replace(broken, "CAST(name AS INTEGER)", "7", 1))
	part := p.must(t, append(offered(failed, "or start afresh"), "--only", "00002")...)
	rest := p.must(t, offered(part, "go on")...)
	says(t, rest.stderr, "published")

	// A named run that is not the job's newest.
	p.write(t, "job.yaml", broken)
	p.drover(t, nil, "run", "job.yaml", "--run", "first")
	p.drover(t, nil, "run", "job.yaml", "--run", "second")
	retry := offered(p.must(t, "errors", "first"), "retry only these")
	if again := p.drover(t, nil, append(retry, "--json")...); again.summary(t).Run != "first" {
		t.Errorf("%q retries %s", retry, again.summary(t).Run)
	}
}

// TestCommandsWorkWhenPasted: into a shell, with a ledger whose URL has a password, which no command shows.
func TestCommandsWorkWhenPasted(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	url := strings.Replace(database, "postgres@", "postgres:hunter2@", 1)
	if url == database {
		t.Fatal(url)
	}
	for name, c := range map[string]struct {
		env, pasted []string // of the run, and what is set in addition before its commands are pasted
		ledger      string   // in the job file; else it is a flag
		words       string   // by which the commands name the ledger
	}{
		"a flag":                        {pasted: []string{"PASSWORD=hunter2"}, words: `://postgres:"${PASSWORD:?}"`},
		"a flag from a variable":        {env: []string{"LEDGER_URL=" + url}, words: `--ledger "${LEDGER_URL:?}"`},
		"a flag, and PGPASSWORD":        {env: []string{"PGPASSWORD=hunter2"}, words: "--ledger 'postgres://postgres@"},
		"the job file, from a variable": {env: []string{"LEDGER_URL=" + url}, ledger: "\nledger: ${LEDGER_URL}\n", words: `errors --ledger "${LEDGER_URL:?}"`},
	} {
		p := newPlace(t)
		firmsData(t, p)
		p.write(t, "job.yaml", strings.Replace(brokenJob, "mode: append", "mode: replace", 1)+c.ledger)
		args := []string{"run", "job.yaml", "--new"}
		if c.ledger == "" {
			args = append(args, "--ledger", url)
		}
		failed := p.drover(t, c.env, args...)
		commands := regexp.MustCompile(`(?m)^(?:see them|retry only these) +(drover .*)$`).FindAllStringSubmatch(failed.stderr, -1)
		if failed.code != 1 || len(commands) != 2 || strings.Contains(failed.stderr, "hunter2") || !strings.Contains(failed.stderr, c.words) {
			t.Fatalf("%s: exit %d\n%s", name, failed.code, failed.stderr)
		}
		if err := os.Symlink(binary, filepath.Join(p.dir, "drover")); err != nil {
			t.Fatal(err)
		}
		for _, command := range commands {
			shell := exec.CommandContext(t.Context(), "sh", "-c", command[1])
			shell.Dir = p.dir
			shell.Env = append(append(append(slices.Clone(p.env), c.env...), c.pasted...), "PATH="+p.dir+":"+os.Getenv("PATH"))
			out, err := shell.CombinedOutput()
			if !strings.Contains(string(out), "Conversion Error") || strings.Contains(string(out), "hunter2") {
				t.Errorf("%s: %s: %v\n%s", name, command[1], err, out)
			}
		}
	}
}

// TestARunIsOneJobs: where several jobs have a run of one name, nothing is shown of any before it is said which.
func TestARunIsOneJobs(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	broken := strings.Replace(brokenJob, "mode: append", "mode: replace", 1)
	for _, job := range []string{"firms", "others"} {
		p.write(t, "job.yaml", strings.Replace(broken, "name: firms", "name: "+job, 1))
		if r := p.drover(t, nil, "run", "job.yaml", "--run", "r1"); r.code != 1 {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
		says(t, p.must(t, "status", "r1", "--job", job).stdout, job, "drover errors r1 --job "+job)
		says(t, p.must(t, "errors", "r1", "--job", job).stdout, job+": 1 chunk failed")
	}
	for _, verb := range []string{"status", "errors"} {
		r := p.drover(t, nil, verb, "r1")
		if r.code != 2 {
			t.Errorf("%s: exit %d\n%s", verb, r.code, r.stdout)
		}
		says(t, r.stderr, "2 jobs have a run", "firms, others", "r1 --job firms")
	}
}

// TestErrorsGroupsWhatDiffersInValuesAlone: three chunks that fail by their own values are one error.
func TestErrorsGroupsWhatDiffersInValuesAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", strings.Replace(brokenJob, "zip = '00001'", "zip IS NOT NULL", 1))
	if r := p.drover(t, nil, "run", "job.yaml"); r.code != 1 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	listed := p.must(t, "errors").stdout
	says(t, listed, "3 chunks failed", "values    differ from chunk to chunk", "chunk     00000", "chunk     00001", "chunk     00002")
	if n := strings.Count(listed, "Conversion Error"); n != 1 {
		t.Errorf("%d errors are shown:\n%s", n, listed)
	}
}
