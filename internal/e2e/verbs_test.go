package e2e

import (
	"database/sql"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// object decodes what a command with --json printed: one object, and nothing else on stdout.
func (r result) object(t *testing.T) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatalf("stdout is no JSON: %v\n%s", err, r.stdout)
	}
	return v
}

// TestStatusAndErrors: status shows the runs, or one run's chunks by state; errors each failed chunk and the command that retries.
func TestStatusAndErrors(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", firmsJob)
	done := p.must(t, "run", "job.yaml", "--json").summary(t).Run
	p.write(t, "broken.yaml", strings.Replace(brokenJob, "name: firms", "name: broken", 1))
	p.sql(t, `TRUNCATE clean`)
	failed := p.drover(t, nil, "run", "broken.yaml", "--json").summary(t).Run
	p.write(t, "open.yaml", strings.Replace(firmsJob, "name: firms", "name: half", 1))
	p.sql(t, `TRUNCATE clean`)
	open := p.must(t, "run", "open.yaml", "--limit-chunks", "1", "--json").summary(t).Run

	list := p.must(t, "status")
	says(t, list.stdout, done, failed, open, "firms", "broken", "half", "finished", "failed", "open")
	says(t, p.must(t, "status", failed).stdout, failed, "broken", "3", "1", "error")
	p.must(t, "status", "--json").object(t)
	one, ok := p.must(t, "status", open, "--json").object(t).(map[string]any)
	if !ok || one["state"] != "open" || one["run"] != open {
		t.Errorf("status --json: %v", one)
	}
	chunks, ok := one["chunks"].(map[string]any)
	if !ok || chunks["finished"] != 1.0 || chunks["pending"] != 3.0 {
		t.Errorf("status --json: chunks %v", chunks)
	}
	if r := p.drover(t, nil, "status", "r-none"); r.code != 2 || !strings.Contains(r.stderr, "r-none") {
		t.Errorf("status of no run: exit %d, %s", r.code, r.stderr)
	}
	errs := p.drover(t, nil, "errors", failed)
	says(t, errs.stdout, "00001", "Conversion Error", "drover run broken.yaml --retry-errors")
	p.drover(t, nil, "errors", failed, "--json").object(t)
	p.drover(t, nil, "errors", done, "--json").object(t)
}

// TestPlan: plan shows stages, chunks, rows, bytes and the SQL, and writes nothing, not even a ledger.
func TestPlan(t *testing.T) {
	t.Parallel()
	for name, job := range map[string]string{"files": tripsJob, "postgres": strings.Replace(firmsJob, "mode: append", "mode: replace", 1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			tripsData(t, p)
			firmsData(t, p)
			p.write(t, "job.yaml", job)
			before := p.tree(t) + p.relations(t)
			text := p.must(t, "plan", "job.yaml").stdout
			if name == "files" {
				says(t, text, "trips", "in", "out", "trip_distance > 1", "payment_type", "SELECT")
			} else {
				says(t, text, "firms", "raw", "clean", "replace", "zip", "upper(", "SELECT", "4 chunks")
			}
			object, ok := p.must(t, "plan", "job.yaml", "--json").object(t).(map[string]any)
			if !ok || len(object) == 0 {
				t.Errorf("plan --json: %v", object)
			}
			if after := p.tree(t) + p.relations(t); after != before {
				t.Errorf("plan changed\n%s\ninto\n%s", before, after)
			}
			if left, err := filepath.Glob(filepath.Join(p.dir, ".drover/*")); err != nil || len(left) > 0 {
				t.Errorf("plan left %v, %v", left, err)
			}
		})
	}
}

// TestSchema: the JSON Schema takes the job files that run takes, and refuses unknown keys.
func TestSchema(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("job.json", p.must(t, "schema").object(t)); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("job.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, job := range map[string]string{
		"trips": tripsJob, "firms": firmsJob, "taxi": taxiJob("chunk: {rows: 100}", "append"), "held": heldJob,
		"companies": companiesJob("table: t", "chunk: {by: z, keys: SELECT 1, others: ignore}", "replace"),
	} {
		if err := schema.Validate(yamlValue(t, job)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := schema.Validate(yamlValue(t, strings.Replace(job, "sink:", "snik:", 1))); err == nil {
			t.Errorf("%s with an unknown key is valid", name)
		}
	}
}

func yamlValue(t *testing.T, text string) any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// commentedKey is a key or step of a starter that its reader may take the # from.
var commentedKey = regexp.MustCompile(`(?m)^( *)# (- [a-z]+:|[a-z_]+:)`)

// TestInit: the starter job that init writes from a real source can be planned as it is.
func TestInit(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	tripsFolder(t, p)
	firmsData(t, p)
	for name, text := range map[string]string{
		"words.csv": "order,select,End,plain\n1,a,2026-01-01,x\n", "two.csv": "user name,limit\nann,3\n", "one.csv": "new_name\n1\n",
		"odd.csv": "\"a\"\"b\",${HOME},\"c,d\",NEW_NAME\n1,2,3,4\n", "nested.json": `{"items":[1,2],"at":{"x":1},"name":"n"}`, "lists.json": `{"items":[1,2]}`,
	} {
		p.write(t, name, text)
	}
	p.sql(t, `CREATE TABLE odd ("where" inet, "User" jsonb, "from" point, x int4range, n numeric, at timestamptz)`)
	for _, c := range []struct {
		source string
		alone  int // how many of the commented keys are tried alone too; -1 is all
		says   []string
	}{
		{source: "words.csv", alone: -1},
		{source: "two.csv"},
		{source: "one.csv"},
		{source: "odd.csv"},
		{source: "nested.json"},
		{source: "lists.json"},
		{source: p.envValue("DB") + "#odd", alone: -1},
		{source: "in/", says: []string{"trip_distance", "DOUBLE", "fare amount", "DECIMAL(12,2)"}},
		{source: p.envValue("DB") + "#public.raw", says: []string{"amount", "DECIMAL(12,2)"}},
	} {
		p.must(t, "init", c.source, "-o", "made.yaml")
		made, err := os.ReadFile(filepath.Join(p.dir, "made.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		text := string(made)
		says(t, text, append(c.says, "name:", "source:", "sink:", "#")...)
		// As it is, with all of its commented keys, and with each alone.
		texts := []string{text, commentedKey.ReplaceAllString(text, "$1$2")}
		for _, at := range commentedKey.FindAllStringSubmatchIndex(text, c.alone) {
			texts = append(texts, text[:at[3]]+text[at[4]:])
		}
		for _, text := range texts {
			p.write(t, "made.yaml", text)
			if r := p.drover(t, []string{"RAW_URL=" + p.envValue("DB"), "CLEAN_URL=" + p.envValue("DB"), "POSTGRES_URL=" + p.envValue("DB")}, "plan", "made.yaml"); r.code != 0 {
				t.Errorf("init %s wrote a job that cannot be planned: exit %d\n%s\n%s", filepath.Base(c.source), r.code, r.stderr, text)
			}
		}
		if err := os.Remove(filepath.Join(p.dir, "made.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	p.must(t, "init", "in/", "-o", "trips.yaml")
	p.must(t, "plan", "trips.yaml")
	before := p.tree(t)
	if r := p.drover(t, nil, "init", "in/", "-o", "trips.yaml"); r.code == 0 {
		t.Error("init wrote over a file")
	}
	if p.tree(t) != before {
		t.Error("init changed a file that was there")
	}
}

// TestCompletion: the shells' own parsers take the completion scripts, and completion knows verbs, flags and job files.
func TestCompletion(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		script := p.must(t, "completion", shell).stdout
		if !strings.Contains(script, "drover") {
			t.Errorf("completion %s: %d bytes", shell, len(script))
		}
		if path, err := exec.LookPath(shell); err == nil && shell != "powershell" {
			p.write(t, "script", script)
			if out, err := exec.Command(path, "-n", filepath.Join(p.dir, "script")).CombinedOutput(); err != nil {
				t.Errorf("completion %s: %v\n%s", shell, err, out)
			}
		}
	}
	says(t, p.must(t, "__complete", "").stdout, "run", "plan", "status", "errors", "init", "schema")
	says(t, p.must(t, "__complete", "run", "--").stdout, "--retry-errors", "--dry-run", "--only", "--lease")
	if hidden := p.must(t, "--help").stdout; strings.Contains(hidden, "worker DIR") {
		t.Errorf("worker is hidden:\n%s", hidden)
	}
}

// TestNewerLedger: a ledger that a newer drover made is refused and left as it is.
func TestNewerLedger(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	tripsData(t, p)
	p.write(t, "job.yaml", tripsJob)
	p.must(t, "run", "job.yaml")
	db, err := sql.Open("sqlite3", filepath.Join(p.dir, ".drover", "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE ledger SET version = version + 1`); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "job.yaml"}, {"status"}, {"errors"}} {
		r := p.drover(t, nil, args...)
		if r.code != 3 {
			t.Errorf("%v: exit %d, want 3", args, r.code)
		}
		says(t, r.stderr, "ledger.db", "version")
	}
	if got := p.ledger(t, `SELECT count(*) FROM run`); got != "1" {
		t.Errorf("the ledger has %s runs", got)
	}
}

// TestVariables: --set wins over vars, which win over the environment; ${NAME:-default}; $${ is a literal ${ (surface.md).
func TestVariables(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	tripsData(t, p)
	p.write(t, "job.yaml", `
name: vars
vars: {a: from vars, b: from vars}
source: {files: {path: in}}
steps:
  - set:
      v: "'${a}, ${b}, ${ENV_C}, ${none:-default}, $${a}'"
  - select: [v]
sink: {files: {path: out}}
`)
	p.setenv("ENV_C", "from env")
	p.setenv("a", "from env")
	p.must(t, "run", "job.yaml", "--set", "b=from set")
	if got := p.query(t, `SELECT DISTINCT v FROM read_parquet('out/*.parquet')`); got != "from vars, from set, from env, default, ${a}" {
		t.Errorf("v is %s", got)
	}
}
