package cli

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/ledger/open"
)

// secret must not appear in anything that drover says.
const secret = "hunter2"

const goodJob = `name: trips
source: {files: {path: data/}}
sink: {files: {path: out/}}
`

// refusals are command lines and job files that are refused before anything runs.
var refusals = []struct {
	name string
	args []string
	// job is written to job.yaml.
	job string
	env []string
	// setup makes what the case needs.
	setup func(t *testing.T, d *dir)
	code  int
	// want are parts of the message.
	want []string
}{
	{name: "unknown verb", args: []string{"rum"}, code: 2, want: []string{`unknown command "rum"`, `Did you mean "run"?`}},
	{name: "job file instead of a verb", args: []string{"taxi.yaml"}, code: 2, want: []string{"drover run taxi.yaml"}},
	{name: "unknown flag of the root", args: []string{"--jsn"}, code: 2, want: []string{"drover has no flag --jsn"}},
	{name: "unknown flag", args: []string{"run", "job.yaml", "--worker", "2"}, code: 2, want: []string{"no flag --worker", "Did you mean --workers?"}},
	{name: "unknown short flag", args: []string{"run", "job.yaml", "-x"}, code: 2, want: []string{"no flag -x"}},
	{name: "flag without a value", args: []string{"run", "job.yaml", "--workers"}, code: 2, want: []string{"--workers needs a value"}},
	{name: "no job file", args: []string{"run"}, code: 2, want: []string{"needs a job file", "drover init"}},
	{name: "two job files", args: []string{"run", "a.yaml", "b.yaml"}, code: 2, want: []string{"one job file", "a.yaml b.yaml"}},
	{name: "missing job file", args: []string{"run", "nope.yaml"}, code: 2, want: []string{"there is no job file nope.yaml"}},
	{name: "job file that is a folder", args: []string{"run", "."}, code: 2, want: []string{"is a folder"}},
	{name: "workers of no number", args: []string{"run", "job.yaml", "--workers", "many"}, code: 2, want: []string{`"many" is not a whole number`}},
	{name: "no workers", args: []string{"run", "job.yaml", "--workers", "0"}, code: 2, want: []string{"at least 1"}},
	{name: "tolerance of no number", args: []string{"diff", "a", "b", "--key", "id", "--tolerance", "x"}, code: 2, want: []string{`"x" is not a number`}},
	{name: "memory without a unit", args: []string{"run", "job.yaml", "--memory", "4"}, code: 2, want: []string{`--memory: "4" is not a size`, "8GiB"}},
	{name: "memory too small", args: []string{"run", "job.yaml", "--memory", "1MiB"}, job: goodJob, code: 2, want: []string{"--memory: 1.0 MiB is too little", "at least 128 MiB"}},
	{name: "memory of the environment", args: []string{"run", "job.yaml"}, job: goodJob, env: []string{"DROVER_MEMORY=much"}, code: 2, want: []string{"DROVER_MEMORY", "not a size"}},
	{name: "lease without a unit", args: []string{"run", "job.yaml", "--lease", "30"}, code: 2, want: []string{"--lease", "30s"}},
	{name: "lease too short", args: []string{"run", "job.yaml", "--lease", "1ms"}, job: goodJob, code: 2, want: []string{"too short"}},
	{name: "lease of the environment", args: []string{"run", "job.yaml"}, job: goodJob, env: []string{"DROVER_LEASE=soon"}, code: 2, want: []string{"DROVER_LEASE"}},
	{name: "lease of zero", args: []string{"run", "job.yaml", "--lease", "0s"}, job: goodJob, code: 2, want: []string{"--lease: a lease of 0s is too short", "at least 1s"}},
	{name: "short lease of the environment", args: []string{"run", "job.yaml"}, job: goodJob, env: []string{"DROVER_LEASE=0s"}, code: 2, want: []string{"DROVER_LEASE: a lease of 0s is too short"}},
	{name: "small memory of the environment", args: []string{"run", "job.yaml"}, job: goodJob, env: []string{"DROVER_MEMORY=1KiB"}, code: 2, want: []string{"DROVER_MEMORY: 1.0 KiB is too little"}},
	{name: "small memory of the job file", args: []string{"run", "job.yaml"}, job: goodJob + "limits: {memory: 1KiB}\n", code: 2, want: []string{"job.yaml:4:18", "^^^^", "at least 128 MiB"}},
	{name: "unknown shell", args: []string{"completion", "nosuch"}, code: 2, want: []string{`unknown shell "nosuch"`, "bash, zsh, fish"}},
	{name: "no shell", args: []string{"completion"}, code: 2, want: []string{"needs a shell"}},
	{name: "too much for a shell", args: []string{"completion", "bash", "x"}, code: 2, want: []string{"takes no argument"}},
	{name: "help of an unknown verb", args: []string{"help", "rum"}, code: 2, want: []string{`unknown command "rum"`}},
	{name: "worker without a folder", args: []string{"worker"}, code: 2, want: []string{"drover run JOB.yaml"}},
	{name: "missing folder", args: []string{"run", "job.yaml"}, job: goodJob, code: 3, want: []string{"job.yaml:2:24", "^^^^^"}},
	{name: "JSON log", args: []string{"run", "job.yaml", "--log-format", "json"}, job: goodJob, code: 3, want: []string{`"event":"error","place":"job.yaml:2:24","error":{"kind":"refused"`}},
	{name: "unknown engine", args: []string{"run", "job.yaml", "--engine", "ray://head:8265"}, job: goodJob, code: 2, want: []string{"unknown engine"}},
	{name: "engine of the environment", args: []string{"run", "job.yaml"}, job: goodJob, env: []string{"DROVER_ENGINE=spark"}, code: 2, want: []string{`DROVER_ENGINE: unknown engine "spark"`}},
	{name: "unknown log format", args: []string{"run", "job.yaml", "--log-format", "xml"}, code: 2, want: []string{"neither text nor json"}},
	{name: "no chunks", args: []string{"run", "job.yaml", "--limit-chunks", "0"}, code: 2, want: []string{"--limit-chunks 0"}},
	{name: "empty run name", args: []string{"run", "job.yaml", "--run", ""}, code: 2, want: []string{"the name is empty"}},
	{name: "new and retry", args: []string{"run", "job.yaml", "--new", "--retry-errors"}, code: 2, want: []string{"exclude each other"}},
	{name: "new and a name", args: []string{"run", "job.yaml", "--new", "--run", "nightly"}, code: 2, want: []string{"--new and --run exclude each other"}},
	{name: "keep without new", args: []string{"run", "job.yaml", "--keep-committed"}, code: 2, want: []string{"needs --new"}},
	{name: "dry run of a name", args: []string{"run", "job.yaml", "--dry-run", "--run", "x"}, code: 2, want: []string{"--dry-run"}},
	{name: "set without a value", args: []string{"run", "job.yaml", "--set", secret}, code: 2, want: []string{"--set needs NAME=VALUE"}},
	{name: "set that is not used", args: []string{"run", "job.yaml", "--set", "stat=" + secret}, job: goodJob, code: 2, want: []string{"stat"}},
	{name: "run that is not there", args: []string{"status", "r-none"}, setup: withLedger, code: 2, want: []string{`no run "r-none"`, "drover status"}},
	{name: "errors of a run that is not there", args: []string{"errors", "r-none"}, setup: withLedger, code: 2, want: []string{`no run "r-none"`}},
	{name: "errors of an empty ledger", args: []string{"errors"}, setup: withLedger, code: 3, want: []string{"no runs yet"}},
	{name: "no ledger", args: []string{"status"}, code: 3, want: []string{"there is no ledger at .drover/ledger.db", "--ledger"}},
	{name: "ledger of the environment", args: []string{"status"}, env: []string{"DROVER_LEDGER=elsewhere.db"}, code: 3, want: []string{"there is no ledger at elsewhere.db"}},
	{name: "mistyped ledger", args: []string{"status", "--ledger", "postgres//u:" + secret + "@h/db"}, code: 2, want: []string{"neither a path nor a postgres:// URL"}},
	{name: "mistyped ledger of the environment", args: []string{"status"}, env: []string{"DROVER_LEDGER=postgres:/u:" + secret + "@h/db"}, code: 2, want: []string{"neither a path nor a postgres:// URL"}},
	{name: "mistyped ledger of the job file", args: []string{"run", "job.yaml"}, job: goodJob + "ledger: postgresql:h\n", code: 2, want: []string{"neither a path nor a postgres:// URL"}},
	{name: "two runs", args: []string{"status", "a", "b"}, code: 2, want: []string{"takes one run"}},
	{name: "limit of status", args: []string{"status", "--limit", "0"}, code: 2, want: []string{"--limit 0"}},
	{name: "ledger of another kind", args: []string{"status", "--ledger", "mysql://root:" + secret + "@host/db"}, code: 2, want: []string{"not mysql://"}},
	{
		name: "ledger that does not answer", args: []string{"status"}, code: 3, want: []string{"cannot reach"},
		setup: func(t *testing.T, d *dir) { d.env = append(d.env, "DROVER_LEDGER="+deadServer(t)) },
	},
	{name: "ledger that is no ledger", args: []string{"status", "--ledger", "job.yaml"}, job: goodJob, code: 3, want: []string{"job.yaml"}},
	{name: "key that nobody knows", args: []string{"run", "job.yaml"}, job: strings.Replace(goodJob, "{path: out/}", "{path: out/, partition_bye: [a]}", 1), code: 2, want: []string{
		"job.yaml:3:28: unknown key \"partition_bye\" in sink.files. Did you mean \"partition_by\"?", "   3 | sink:", "^^^^^^^^^^^^^",
	}},
	{name: "empty job file", args: []string{"plan", "job.yaml"}, job: "\n", code: 2, want: []string{"job.yaml"}},
	{name: "tab in YAML", args: []string{"plan", "job.yaml"}, job: "name: x\n\tsource: y\n", code: 2, want: []string{"job.yaml:2"}},
	{name: "variable without a value", args: []string{"plan", "job.yaml"}, job: strings.Replace(goodJob, "data/", "${NOWHERE}", 1), code: 2, want: []string{"job.yaml:2", "NOWHERE"}},
	{name: "no input files", args: []string{"plan", "job.yaml"}, job: goodJob, code: 3, want: []string{"data"}},
	{
		name: "source that does not answer", args: []string{"plan", "job.yaml"}, code: 3, want: []string{"job.yaml:4:10", "cannot connect"},
		job:   "name: x\nsource:\n  postgres:\n    url: ${URL}\n    table: t\nsink: {files: {path: out/}}\n",
		setup: func(t *testing.T, d *dir) { d.env = append(d.env, "URL="+deadServer(t)) },
	},
	{
		name: "password that is written in the job file", args: []string{"run", "job.yaml"}, code: 2, want: []string{"job.yaml:4", "tabel"},
		job: "name: x\nsource:\n  postgres:\n    tabel: t\n    url: postgres://u:" + secret + "@127.0.0.1:1/db?password=" + secret + "\nsink: {files: {path: out/}}\n",
	},
}

// withLedger makes an empty ledger.
func withLedger(t *testing.T, d *dir) {
	t.Helper()
	l, err := open.Open(t.Context(), d.path+"/.drover/ledger.db")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Shutdown(); err != nil {
		t.Fatal(err)
	}
}

// deadServer returns the URL of a Postgres server that is not there.
func deadServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return "postgres://u:" + secret + "@" + addr + "/db"
}

func TestRefusalsNameWhatIsWrongAndWriteNothing(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDir(t)
			d.env = append(d.env, c.env...)
			if c.job != "" {
				d.write(t, "job.yaml", c.job)
			}
			if c.setup != nil {
				c.setup(t, d)
			}
			before := d.files(t)
			r := d.drover(t, c.args...)
			if r.code != c.code {
				t.Errorf("exit code %d, want %d", r.code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("the message lacks %q", want)
				}
			}
			if r.stdout != "" {
				t.Errorf("standard output has %q", r.stdout)
			}
			if strings.Contains(r.stderr, secret) {
				t.Error("the message shows the password")
			}
			if strings.Contains(r.stderr, "goroutine ") {
				t.Error("the message shows a stack")
			}
			if t.Failed() {
				t.Logf("standard error:\n%s", r.stderr)
			}
			after := slices.DeleteFunc(d.files(t), func(name string) bool { return isState(name) })
			if before = slices.DeleteFunc(before, isState); !slices.Equal(before, after) {
				t.Errorf("files before: %q, after: %q", before, after)
			}
		})
	}
}

// isState says whether a file belongs to drover's own directory: a ledger that was opened, an empty scratch directory.
func isState(name string) bool { return name == stateDir || strings.HasPrefix(name, stateDir+"/") }
