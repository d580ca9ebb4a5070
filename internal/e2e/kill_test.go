package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/droverdata/drover/internal/pgtest"
)

// scenario is a job whose end state is compared between an undisturbed run and one that was killed.
type scenario struct {
	name string
	job  string
	// prepare makes the source and the target as they are before the run.
	prepare func(t *testing.T, p *place)
	// state describes everything that a reader of the target can see, and what must not be left behind.
	state func(t *testing.T, p *place) string
}

func filesScenario(mode string) scenario {
	return scenario{
		name: "files " + mode,
		job: `
name: taxi
source: {files: {path: in}}
steps:
  - filter: trip_distance > 1
  - drop: [vendor_id]
sink:
  files: {path: out, partition_by: [payment_type], mode: ` + mode + `}
limits: {workers: 2}
`,
		prepare: func(t *testing.T, p *place) {
			for i := range 4 {
				p.write(t, "in/.keep", "")
				p.exec(t, fmt.Sprintf(`COPY (SELECT range + %[1]d AS id, 'v' AS vendor_id, (range %% 7)::DOUBLE AS trip_distance,
					CASE WHEN range %% 11 = 0 THEN NULL ELSE range %% 3 END AS payment_type FROM range(500)) TO '{dir}/in/f%[1]d.parquet'`, i*1000))
			}
			if mode == "error" {
				return
			}
			p.exec(t, `COPY (SELECT -range AS id, 2.5 AS trip_distance, 2 AS payment_type FROM range(1, 11) UNION ALL SELECT -100, 3.5, 77)
				TO '{dir}/out' (FORMAT parquet, PARTITION_BY (payment_type), FILENAME_PATTERN 'old_{i}')`)
		},
		state: func(t *testing.T, p *place) string {
			rows := p.query(t, `SELECT payment_type, count(*), sum(id), count(DISTINCT id), sum(trip_distance)
				FROM read_parquet('out/**/*.parquet', hive_partitioning=true, union_by_name=true) GROUP BY ALL ORDER BY ALL`)
			var stray []string
			err := filepath.WalkDir(filepath.Join(p.dir, "out"), func(path string, _ os.DirEntry, err error) error {
				if name := filepath.Base(path); strings.Contains(name, "drover_staging") || strings.HasSuffix(name, ".staged") {
					stray = append(stray, path)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%s\nstray files: %v", rows, stray)
		},
	}
}

// mergedScenario is filesScenario with a file budget that every run passes, so that it spools and merges (exactness.md 18).
func mergedScenario(mode string) scenario {
	s := filesScenario(mode)
	s.name = "merged files " + mode
	s.job = strings.Replace(s.job, "mode: "+mode, "max_files: 1, mode: "+mode, 1)
	return s
}

func postgresScenario(mode string) scenario {
	key := ""
	if mode == "upsert" {
		key = ", key: [id]"
	}
	return scenario{
		name: "postgres " + mode,
		job: `
name: companies
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: zip}
steps:
  - filter: active
  - set: {name: upper(name)}
sink:
  postgres: {url: "${DB}", table: clean, mode: ` + mode + key + `}
limits: {workers: 2}
`,
		prepare: func(t *testing.T, p *place) {
			url := pgtest.Database(t)
			p.setenv("DB", url)
			p.write(t, "url", url)
			p.sql(t, `
CREATE TABLE raw (id bigint PRIMARY KEY, zip text, name text, active boolean, amount numeric(12,2));
INSERT INTO raw SELECT g, CASE WHEN g % 9 = 0 THEN NULL ELSE lpad((g % 8)::text, 5, '0') END, 'name ' || g, g % 5 <> 0, g * 1.25 FROM generate_series(1, 400) g;
CREATE INDEX ON raw (zip);
CREATE TABLE clean (LIKE raw INCLUDING ALL);
COMMENT ON TABLE clean IS 'kept';`)
			switch mode {
			case "replace":
				p.sql(t, `INSERT INTO clean SELECT -g, 'old', 'old', true, 1 FROM generate_series(1, 10) g`)
			case "upsert":
				p.sql(t, `INSERT INTO clean SELECT g, 'old', 'old', true, 1 FROM generate_series(1, 10) g UNION ALL SELECT -5, 'old', 'stays', true, 2`)
			case "append":
				p.sql(t, `INSERT INTO clean SELECT -g, 'old', 'stays', true, 1 FROM generate_series(1, 10) g`)
			}
		},
		state: func(t *testing.T, p *place) string {
			return p.sql(t, `SELECT count(*) || ' ' || sum(id) || ' ' || count(DISTINCT id) || ' ' || sum(amount) || ' ' || md5(string_agg(name, ',' ORDER BY id)) || ' ' ||
				coalesce(obj_description('clean'::regclass), 'no comment') FROM clean
				UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE tablename = 'clean'
				UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1`)
		},
	}
}

// sql runs statements in the place's Postgres database and returns the first column of the last one's rows.
func (p *place) sql(t *testing.T, text string) string {
	t.Helper()
	url, err := os.ReadFile(filepath.Join(p.dir, "url"))
	if err != nil {
		t.Fatal(err)
	}
	return rowsOf(t, string(url), text)
}

// rowsOf runs statements in a database and returns the first column of the last one's rows.
func rowsOf(t *testing.T, url, text string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	results, err := conn.PgConn().Exec(t.Context(), text).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var out []string
	for _, row := range results[len(results)-1].Rows {
		out = append(out, string(row[0]))
	}
	return strings.Join(out, "\n")
}

// killStride is how far apart the points are at which TestKillNine kills, unless $DROVER_KILL_STRIDE says: modes that pass the same points
// begin one after the other, so that together they take each.
const killStride = 3

// TestKillNine kills the driver, and a worker, at points at which a ledger or a target changes, then reruns the same command: the end
// state must be that of an undisturbed run (exactness.md 1-19). The run is named, so that a driver killed after its last change left a
// finished run, which the rerun finds.
//
//	DROVER_KILL_STRIDE=1 go test ./internal/e2e -run TestKillNine -count=1 -v
func TestKillNine(t *testing.T) {
	stride := killStride
	if text := os.Getenv("DROVER_KILL_STRIDE"); text != "" {
		stride = number(t, "DROVER_KILL_STRIDE", text)
	}
	for i, s := range []scenario{
		filesScenario("error"), filesScenario("append"), filesScenario("overwrite"), filesScenario("overwrite_partitions"),
		mergedScenario("error"), mergedScenario("append"), mergedScenario("overwrite"), mergedScenario("overwrite_partitions"),
		postgresScenario("error"), postgresScenario("append"), postgresScenario("replace"), postgresScenario("upsert"),
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.killedEverywhere(t, 1+i%stride, stride)
		})
	}
}

// killedEverywhere kills each process at its first point and each stride-th after it, one after the other.
func (s scenario) killedEverywhere(t *testing.T, first, stride int) {
	t.Helper()
	calm := s.place(t)
	whole := calm.must(t, "run", "job.yaml", "--run", "once", "--json").summary(t)
	want := s.state(t, calm)
	for _, role := range []string{"driver", "worker"} {
		n := first
		for ; s.killedAt(t, role, n, want, whole.RowsOut); n += stride {
			if n > 500 {
				t.Fatal("the process passes more points than it can have")
			}
		}
		if n < 4 {
			t.Fatalf("%s passed only %d points: the test does not test", role, n-1)
		}
		t.Logf("killed the %s at %d points", role, (n-first)/stride)
	}
}

func (s scenario) place(t *testing.T) *place {
	p := newPlace(t)
	p.write(t, "job.yaml", s.job)
	s.prepare(t, p)
	return p
}

// killedAt kills a process of role at its n-th point, reruns, and compares. It returns false when the process has fewer points.
func (s scenario) killedAt(t *testing.T, role string, n int, want string, rowsOut int64) bool {
	t.Helper()
	p := s.place(t)
	marker := filepath.Join(p.dir, "killed")
	fault := fmt.Sprintf("DROVER_FAULT=%s:%d:%s", role, n, marker)
	first := p.drover(t, []string{fault}, "run", "job.yaml", "--run", "once", "--json")
	_, err := os.Stat(marker)
	killed := err == nil
	switch {
	case !killed && first.code != 0:
		t.Fatalf("%s point %d: nothing was killed, and the run ended with %d\n%s", role, n, first.code, first.stderr)
	case killed && role == "driver" && first.code != -1:
		t.Fatalf("point %d: the driver was killed and still ended with %d", n, first.code)
	case killed && role == "worker" && first.code != 0:
		t.Fatalf("point %d: a worker was killed, and the run did not get over it: exit %d\n%s", n, first.code, first.stderr)
	}
	if killed && role == "driver" {
		r := p.drover(t, nil, "run", "job.yaml", "--run", "once", "--json")
		if r.code != 0 {
			t.Fatalf("driver point %d: the rerun ended with %d\n%s", n, r.code, r.stderr)
		}
		if got := r.summary(t); got.RowsOut != rowsOut {
			t.Fatalf("driver point %d: the ledger counts %d rows out, want %d", n, got.RowsOut, rowsOut)
		}
	}
	if got := s.state(t, p); got != want {
		t.Fatalf("%s point %d: after the rerun the target is\n%s\nwant\n%s\nfirst run: %s", role, n, got, want, first.stderr)
	}
	if out := orphans(t, p.dir); out != "" {
		t.Fatalf("%s point %d: processes stayed behind:\n%s", role, n, out)
	}
	return killed
}

// orphans lists the processes whose working directory is dir; a worker may take a moment to die.
func orphans(t *testing.T, dir string) string {
	t.Helper()
	var found []string
	for range 50 {
		found = nil
		links, err := filepath.Glob("/proc/[0-9]*/cwd")
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if cwd, err := os.Readlink(link); err == nil && cwd == dir {
				found = append(found, link)
			}
		}
		if len(found) == 0 {
			return ""
		}
		time.Sleep(50 * time.Millisecond)
	}
	return strings.Join(found, "\n")
}
