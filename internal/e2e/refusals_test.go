package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusal is one thing that drover must not do: how it ends, and what it must say.
type refusal struct {
	name string
	// old and text change the good job: old becomes text. With an empty old, text is the whole job.
	old, text string
	prepare   func(t *testing.T, p *place)
	args      []string // instead of run job.yaml
	code      int
	says      []string
}

// tripsJob is a good job over tripsData; the refusals change one thing about it.
const tripsJob = `name: trips
source:
  files:
    path: in
    format: parquet
steps:
  - filter: trip_distance > 1
  - drop: [vendor_id]
sink:
  files:
    path: out
    partition_by: [payment_type]
`

func tripsData(t *testing.T, p *place) {
	p.write(t, "in/.keep", "")
	p.exec(t, `COPY (SELECT range AS id, 'v' || range AS vendor_id, (range % 7)::DOUBLE AS trip_distance, (range % 3)::INTEGER AS payment_type,
		TIMESTAMP '2026-01-01' + INTERVAL (range) MINUTE AS at, [1, 2] AS list FROM range(100)) TO '{dir}/in/a.parquet'`)
}

// check runs the refusal and looks at everything that it must leave alone.
func (r refusal) check(t *testing.T, job string, p *place) {
	t.Helper()
	if r.old != "" {
		if !strings.Contains(job, r.old) {
			t.Fatalf("the job has no %q", r.old)
		}
		job = strings.Replace(job, r.old, r.text, 1)
	} else if r.text != "" {
		job = r.text
	}
	p.write(t, "job.yaml", job)
	if r.prepare != nil {
		r.prepare(t, p)
	}
	args := r.args
	if args == nil {
		args = []string{"run", "job.yaml"}
	}
	look := func() string {
		if p.admin == "" {
			return p.tree(t)
		}
		return p.tree(t) + "\n" + p.relations(t)
	}
	before := look()
	got := p.drover(t, nil, args...)
	if got.code != r.code {
		t.Errorf("exit %d, want %d", got.code, r.code)
	}
	if got.stdout != "" {
		t.Errorf("a refusal belongs on stderr, not on stdout:\n%s", got.stdout)
	}
	says(t, got.stderr, r.says...)
	if after := look(); after != before {
		t.Errorf("the refusal changed\n%s\ninto\n%s", before, after)
	}
	if t.Failed() {
		t.Logf("stderr:\n%s", got.stderr)
	}
}

func checkRefusals(t *testing.T, job string, data func(t *testing.T, p *place), cases []refusal) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			if data != nil {
				data(t, p)
			}
			c.check(t, job, p)
		})
	}
}

// TestJobFileRefusals: unknown keys, unknown columns, wrong types and impossible combinations are refused before anything runs, with
// file:line:column and the line (surface.md).
func TestJobFileRefusals(t *testing.T) {
	t.Parallel()
	filter := "  - filter: trip_distance > 1\n"
	checkRefusals(t, tripsJob, tripsData, []refusal{
		{name: "unknown key", old: "partition_by", text: "partition_bye", code: 2, says: []string{
			`job.yaml:12:5: unknown key "partition_bye" in sink.files. Did you mean "partition_by"?`, "  12 |     partition_bye: [payment_type]", "^^^^^^^^^^^^^",
		}},
		{name: "unknown step", old: "filter:", text: "fliter:", code: 2, says: []string{"job.yaml:7:5", `"filter"`}},
		{name: "unknown connector", old: "files:", text: "flies:", code: 2, says: []string{"job.yaml:3:3", `"files"`}},
		{name: "two sources", old: "steps:", text: "  postgres: {url: x, table: y}\nsteps:", code: 2, says: []string{"job.yaml:6:3", "two"}},
		{name: "no sink", old: tripsJob[strings.Index(tripsJob, "sink:"):], text: "", code: 2, says: []string{"job.yaml", "sink is missing"}},
		{name: "number as text", old: "name: trips", text: "name: trips\nlimits: {workers: many}", code: 2, says: []string{"job.yaml:2:19", "many"}},
		{name: "bad size", old: "name: trips", text: "name: trips\nlimits: {memory: lots}", code: 2, says: []string{"job.yaml:2:18", "lots"}},
		{name: "bad mode", old: "    path: out\n", text: "    path: out\n    mode: overwite\n", code: 2, says: []string{"job.yaml:12:11", `"overwrite"`}},
		{name: "bad format", old: "format: parquet", text: "format: parket", code: 2, says: []string{"job.yaml:5:13", "parquet"}},
		{name: "bad compression", old: "    path: out\n", text: "    path: out\n    compression: zsdt\n", code: 2, says: []string{"job.yaml:12:18", "zstd"}},
		{name: "bad timezone", old: "name: trips", text: "name: trips\ntimezone: Mars/Olympus", code: 2, says: []string{"job.yaml:2:11", "Mars/Olympus"}},
		{name: "variable without value", old: "path: in", text: "path: ${NOWHERE_SET}", code: 2, says: []string{"job.yaml:4:11", "NOWHERE_SET", "--set"}},
		{name: "unquoted variable in a flow map", old: "steps:", text: "vars: {a: ${HOME}}\nsteps:", code: 2, says: []string{"job.yaml:6:11", "quotes"}},
		{name: "comma in a flow expression", old: filter, text: "  - set: {d: coalesce(trip_distance, 0)}\n", code: 2, says: []string{"job.yaml:7:14", "quotes"}},
		{name: "duplicate key", old: "name: trips", text: "name: trips\nname: tours", code: 2, says: []string{"job.yaml:2:1", `"name"`}},
		{name: "overwrite_partitions without partitions", old: "    partition_by: [payment_type]", text: "    mode: overwrite_partitions", code: 2, says: []string{"job.yaml:12:11", "partition_by"}},
		{name: "not YAML", old: "name: trips", text: "name: \"trips", code: 2, says: []string{"job.yaml:1:7"}},
		{name: "empty file", text: "# nothing\n", code: 2, says: []string{"job.yaml", "empty", "drover init"}},

		// What only the source's schema can tell.
		{name: "unknown column in filter", old: "trip_distance > 1", text: "trip_distanse > 1", code: 2, says: []string{
			"job.yaml:7:13", "trip_distanse", "trip_distance", "   7 |   - filter: trip_distanse > 1",
		}},
		{name: "unknown column in drop", old: "[vendor_id]", text: "[vendorid]", code: 2, says: []string{"job.yaml:8:12", "vendorid", "vendor_id"}},
		{name: "unknown column in select", old: filter, text: "  - select: [id, nope]\n", code: 2, says: []string{"job.yaml:7:18", "nope"}},
		{name: "unknown column in rename", old: filter, text: "  - rename: {idd: x}\n", code: 2, says: []string{"job.yaml:7:", "idd"}},
		{name: "unknown column in cast", old: filter, text: "  - cast: {idd: BIGINT}\n", code: 2, says: []string{"job.yaml:7:", "idd"}},
		{name: "unknown column in set", old: filter, text: "  - set: {x: idd + 1}\n", code: 2, says: []string{"job.yaml:7:14", "idd"}},
		{name: "dropped column used later", old: "  - drop: [vendor_id]\n", text: "  - drop: [vendor_id]\n  - filter: vendor_id = 'v1'\n", code: 2, says: []string{"job.yaml:9:13", "vendor_id"}},
		{name: "unknown partition column", old: "[payment_type]", text: "[payment]", code: 2, says: []string{"job.yaml:12:", "payment"}},
		{name: "partition by a list", old: "[payment_type]", text: "[list]", code: 2, says: []string{"job.yaml:12", "list"}},
		{name: "rename onto a column", old: filter, text: "  - rename: {id: trip_distance}\n", code: 2, says: []string{"job.yaml:7", "trip_distance"}},
		{name: "unknown type in cast", old: filter, text: "  - cast: {id: BIGNIT}\n", code: 2, says: []string{"job.yaml:7:16", "BIGNIT"}},
		{name: "type error", old: "trip_distance > 1", text: "vendor_id * 2 > 1", code: 2, says: []string{"job.yaml:7:23"}},
		{name: "filter that is no condition", old: "trip_distance > 1", text: "vendor_id || 'x'", code: 2, says: []string{"job.yaml:7:13", "VARCHAR"}},
		{name: "syntax error", old: "trip_distance > 1", text: "trip_distance >", code: 2, says: []string{"job.yaml:7:28"}},
		{name: "two expressions", old: "trip_distance > 1", text: "trip_distance > 1; DROP TABLE chunk", code: 2, says: []string{"job.yaml:7"}},
		{name: "unknown function", old: "trip_distance > 1", text: "frobnicate(id) > 1", code: 2, says: []string{"job.yaml:7:13", "frobnicate"}},
		{name: "no column left", old: "[vendor_id]", text: "[id, vendor_id, trip_distance, payment_type, at, list]", code: 2, says: []string{"job.yaml"}},
		{name: "no column left beside the partitions", old: "  - drop: [vendor_id]\n", text: "  - select: [payment_type]\n", code: 2, says: []string{"job.yaml"}},

		// filter and set are row-wise (exactness.md 24); what is not names chunk: (25).
		{name: "rule 24 aggregate in filter", old: "trip_distance > 1", text: "sum(trip_distance) > 1", code: 2, says: []string{"job.yaml:7:13", "sum"}},
		{name: "rule 24 window in set", old: filter, text: "  - set:\n      n: row_number() OVER ()\n", code: 2, says: []string{"job.yaml:8:10"}},
		{name: "rule 24 unnest in set", old: filter, text: "  - set:\n      n: unnest(list)\n", code: 2, says: []string{"job.yaml:8:10", "unnest"}},
		{name: "rule 24 random in filter", old: "trip_distance > 1", text: "random() > 0.5", code: 2, says: []string{"job.yaml:7:13", "random"}},
		{name: "rule 24 subquery in filter", old: "trip_distance > 1", text: "id IN (SELECT 1)", code: 2, says: []string{"job.yaml:7:16", "subquery"}},
		{name: "rule 24 table function in filter", old: "trip_distance > 1", text: "EXISTS (FROM read_parquet('in/a.parquet'))", code: 2, says: []string{"job.yaml:7:13"}},
		{name: "rule 25 grouping sql without chunk", old: filter, text: "  - sql: SELECT payment_type, vendor_id, count(*) AS n FROM chunk GROUP BY ALL\n", code: 2, says: []string{"job.yaml:7:10", "chunk:"}},
		{name: "rule 25 sorting sql without chunk", old: filter, text: "  - sql: SELECT * FROM chunk ORDER BY id\n", code: 2, says: []string{"job.yaml:7:10", "chunk:"}},
		{name: "sql of two statements", old: filter, text: "  - sql: SELECT * FROM chunk; SELECT 1\n", code: 2, says: []string{"job.yaml:7"}},
		{name: "sql that writes", old: filter, text: "  - sql: COPY chunk TO 'stolen.parquet'\n", code: 2, says: []string{"job.yaml:7:10"}},
		{name: "sql of another relation", old: filter, text: "  - sql: SELECT * FROM chonk\n", code: 2, says: []string{"job.yaml:7", "chonk"}},
		{name: "sql that gives a name twice", old: filter, text: "  - sql: SELECT *, id AS ID FROM chunk\n", code: 2, says: []string{"job.yaml:7", "ID"}},

		// Words of later versions are refused, never ignored.
		{name: "s3 source", old: "path: in", text: "path: s3://bucket/in/", code: 2, says: []string{"job.yaml:4:11", "s3"}},
		{name: "s3 sink", old: "path: out", text: "path: s3://bucket/out/", code: 2, says: []string{"job.yaml:11:11", "s3"}},
		{name: "table", old: "[payment_type]\n", text: "[payment_type]\n  table: nyc.trips\n", code: 2, says: []string{"job.yaml:13:3", "table"}},
		{name: "group", old: filter, text: "  - group: {by: [id], agg: {n: count(*)}}\n", code: 2, says: []string{"job.yaml:7:5", "group"}},
	})
}

// TestNoRunOfARefusedJobFile: a job file that is wrong in itself, or that does not fit its source, leaves nothing at all.
func TestNoRunOfARefusedJobFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	tripsData(t, p)
	for _, r := range []refusal{
		{old: "partition_by", text: "partition_bye", code: 2},
		{old: "trip_distance > 1", text: "trip_distanse > 1", code: 2},
	} {
		r.check(t, tripsJob, p)
		if _, err := os.Stat(filepath.Join(p.dir, ".drover")); !os.IsNotExist(err) {
			t.Errorf("%s: a refused job file left .drover: %v", r.text, err)
		}
	}
}

// TestCommandLineRefusals: what is wrong on the command line ends with 2 and says what would be right.
func TestCommandLineRefusals(t *testing.T) {
	t.Parallel()
	checkRefusals(t, tripsJob, tripsData, []refusal{
		{name: "unknown verb", args: []string{"rnu", "job.yaml"}, code: 2, says: []string{`"rnu"`, `"run"`}},
		{name: "job file as verb", args: []string{"job.yaml"}, code: 2, says: []string{"drover run job.yaml"}},
		{name: "unknown flag", args: []string{"run", "job.yaml", "--jsn"}, code: 2, says: []string{"--jsn", "--json"}},
		{name: "no job file", args: []string{"run"}, code: 2, says: []string{"job file"}},
		{name: "two job files", args: []string{"run", "job.yaml", "job.yaml"}, code: 2, says: []string{"one job file"}},
		{name: "missing job file", args: []string{"run", "jbo.yaml"}, code: 2, says: []string{"jbo.yaml"}},
		{name: "a folder as job file", args: []string{"run", "in"}, code: 2, says: []string{"in"}},
		{name: "no workers", args: []string{"run", "job.yaml", "--workers", "0"}, code: 2, says: []string{"--workers"}},
		{name: "workers in words", args: []string{"run", "job.yaml", "--workers", "two"}, code: 2, says: []string{"--workers", "two"}},
		{name: "bad memory", args: []string{"run", "job.yaml", "--memory", "lots"}, code: 2, says: []string{"lots", "GiB"}},
		{name: "tiny memory", args: []string{"run", "job.yaml", "--memory", "1MiB"}, code: 2, says: []string{"--memory"}},
		{name: "bad lease", args: []string{"run", "job.yaml", "--lease", "soon"}, code: 2, says: []string{"--lease", "soon"}},
		{name: "no chunks", args: []string{"run", "job.yaml", "--limit-chunks", "0"}, code: 2, says: []string{"--limit-chunks"}},
		{name: "set without value", args: []string{"run", "job.yaml", "--set", "state"}, code: 2, says: []string{"--set", "state"}},
		{name: "empty run name", args: []string{"run", "job.yaml", "--run", ""}, code: 2, says: []string{"--run"}},
		{name: "new and retry", args: []string{"run", "job.yaml", "--new", "--retry-errors"}, code: 2, says: []string{"--new", "--retry-errors"}},
		{name: "unknown engine", args: []string{"run", "job.yaml", "--engine", "spark"}, code: 2, says: []string{"spark", "local"}},
		{name: "log format", args: []string{"run", "job.yaml", "--log-format", "xml"}, code: 2, says: []string{"xml", "json"}},
		{name: "ledger of another kind", args: []string{"run", "job.yaml", "--ledger", "mysql://root:" + secret + "@db/x"}, code: 2, says: []string{"mysql", "postgres://"}},
		{name: "retry nothing", args: []string{"run", "job.yaml", "--retry-errors"}, code: 2, says: []string{"retry"}},
		{name: "status without ledger", args: []string{"status"}, code: 3, says: []string{".drover/ledger.db", "--ledger"}},
		{name: "errors without ledger", args: []string{"errors"}, code: 3, says: []string{".drover/ledger.db"}},
		{name: "init of nothing", args: []string{"init", "nowhere/"}, code: 3, says: []string{"nowhere"}},
		{name: "plan of nothing", args: []string{"plan", "nowhere.yaml"}, code: 2, says: []string{"nowhere.yaml"}},
	})
}

// TestSourceRefusals: what cannot be read is refused with 3 before a run begins, and the file is named.
func TestSourceRefusals(t *testing.T) {
	t.Parallel()
	write := func(name, text string) func(t *testing.T, p *place) {
		return func(t *testing.T, p *place) { p.write(t, name, text) }
	}
	checkRefusals(t, tripsJob, tripsData, []refusal{
		{name: "missing folder", old: "path: in", text: "path: nowhere", code: 3, says: []string{"nowhere"}},
		{name: "missing file", old: "path: in", text: "path: in/b.parquet", code: 3, says: []string{"in/b.parquet"}},
		{name: "glob that matches nothing", old: "path: in", text: "path: in/*.pq", code: 3, says: []string{"in/*.pq"}},
		{name: "empty folder", old: "path: in", text: "path: empty", prepare: func(t *testing.T, p *place) {
			if err := os.Mkdir(filepath.Join(p.dir, "empty"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, code: 3, says: []string{"empty"}},
		{name: "only 0-byte files", old: "path: in", text: "path: nil", prepare: write("nil/a.parquet", ""), code: 3, says: []string{"nil"}},
		{name: "corrupt parquet", prepare: write("in/b.parquet", "PAR1 this is no parquet file PAR1"), code: 3, says: []string{"in/b.parquet"}},
		{name: "cut off parquet", prepare: func(t *testing.T, p *place) {
			data, err := os.ReadFile(filepath.Join(p.dir, "in/a.parquet"))
			if err != nil {
				t.Fatal(err)
			}
			p.write(t, "in/b.parquet", string(data[:len(data)/2]))
		}, code: 3, says: []string{"in/b.parquet"}},
		{name: "another format than said", prepare: func(t *testing.T, p *place) {
			p.write(t, "csv/a.parquet", "id,vendor_id\n1,x\n")
		}, old: "path: in", text: "path: csv", code: 3, says: []string{"csv/a.parquet"}},
		{name: "dangling link", prepare: func(t *testing.T, p *place) {
			if err := os.Symlink("gone.parquet", filepath.Join(p.dir, "in/b.parquet")); err != nil {
				t.Fatal(err)
			}
		}, code: 3, says: []string{"in/b.parquet"}},
		{name: "type conflict", prepare: func(t *testing.T, p *place) {
			p.exec(t, `COPY (SELECT 'text' AS id, 2.0::DOUBLE AS trip_distance, 1 AS payment_type, 'v' AS vendor_id) TO '{dir}/in/b.parquet'`)
		}, code: 3, says: []string{"in/b.parquet", "id", "VARCHAR", "BIGINT"}},
	})
}

// TestFilesSinkRefusals: mode error is the default, and over an existing target it is refused with 3 (surface.md).
func TestFilesSinkRefusals(t *testing.T) {
	t.Parallel()
	old := func(t *testing.T, p *place) { p.write(t, "out/payment_type=1/old.parquet", "anything") }
	checkRefusals(t, tripsJob, tripsData, []refusal{
		{name: "mode error by default", prepare: old, code: 3, says: []string{"out", "mode", "append", "overwrite"}},
		{name: "mode error", old: "    path: out\n", text: "    path: out\n    mode: error\n", prepare: old, code: 3, says: []string{"out", "mode"}},
		{name: "plan says it too", prepare: old, args: []string{"plan", "job.yaml"}, code: 3, says: []string{"out", "mode"}},
		{name: "target is a file", prepare: func(t *testing.T, p *place) { p.write(t, "out", "a file") }, code: 3, says: []string{"out"}},
		{name: "target below a file", old: "path: out", text: "path: f/out", prepare: func(t *testing.T, p *place) { p.write(t, "f", "a file") }, code: 3, says: []string{"f"}},
	})
}

// TestLedgerRefusals: a ledger that cannot be used is left as it is, and nothing runs.
func TestLedgerRefusals(t *testing.T) {
	t.Parallel()
	checkRefusals(t, tripsJob, tripsData, []refusal{
		{name: "below a file", args: []string{"run", "job.yaml", "--ledger", "job.yaml/ledger.db"}, code: 3, says: []string{"job.yaml"}},
		{name: "a folder", args: []string{"run", "job.yaml", "--ledger", "in"}, code: 3, says: []string{"in"}},
		{
			name: "garbage", prepare: func(t *testing.T, p *place) { p.write(t, "my.db", strings.Repeat("garbage ", 1000)) },
			args: []string{"run", "job.yaml", "--ledger", "my.db"}, code: 3, says: []string{"my.db"},
		},
		{name: "nobody there", args: []string{"run", "job.yaml", "--ledger", "postgres://me:" + secret + "@127.0.0.1:1/db"}, code: 3, says: []string{"127.0.0.1:1"}},
		{
			name: "from the environment", prepare: func(_ *testing.T, p *place) { p.setenv("DROVER_LEDGER", "postgres://me:"+secret+"@127.0.0.1:1/db") },
			code: 3, says: []string{"127.0.0.1:1"},
		},
		{
			name: "from the job file", old: "name: trips", text: "name: trips\nledger: ${DB_LEDGER}", prepare: func(_ *testing.T, p *place) { p.setenv("DB_LEDGER", "postgres://me:"+secret+"@127.0.0.1:1/db") },
			code: 3, says: []string{"127.0.0.1:1"},
		},
	})
}
