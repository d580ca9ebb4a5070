package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover/internal/memory"
)

// TestTheBudgetHoldsForTheWholeTree is exactness.md 34: the sum of Pss over driver and workers, measured from outside, never passes --memory by
// more than the stated overshoot of each worker.
func TestTheBudgetHoldsForTheWholeTree(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skip("the system tells no Pss")
	}
	p := newPlace(t)
	p.postgres(t)
	// One key has 30 % of the rows, and every row a text of 2 kB.
	p.sql(t, `CREATE TABLE raw (id bigint PRIMARY KEY, zip text, name text, body text);
		INSERT INTO raw SELECT g, CASE WHEN g % 10 < 3 THEN 'fat' ELSE (g % 97)::text END, 'name ' || g, repeat(md5(g::text), 64) FROM generate_series(1, 120000) g;
		CREATE INDEX ON raw (zip); ANALYZE raw; CREATE TABLE clean (LIKE raw INCLUDING ALL)`)
	for _, c := range []struct{ name, steps, sink string }{
		{"spliced", "[{set: {name: upper(name)}}]", "postgres: {url: \"${DB}\", table: clean, mode: replace}"},
		{"decoded", "[{set: {body: upper(body)}}]", "postgres: {url: \"${DB}\", table: clean, mode: replace}"},
		{"sorted by an opaque step", "[{sql: \"SELECT * FROM chunk ORDER BY body, name\"}]", "postgres: {url: \"${DB}\", table: clean, mode: replace}"},
		{"to partitioned files", "[{set: {part: id % 20}}]", "files: {path: out, partition_by: [part]}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.write(t, "job.yaml", "name: m"+strconv.Itoa(len(c.name))+"\nsource: {postgres: {url: \"${DB}\", table: raw}}\nchunk: {by: zip}\nsteps: "+c.steps+"\nsink: {"+c.sink+"}\n")
			r := p.start(t, "run", "job.yaml", "--json", "--new", "--memory", "512MiB", "--workers", "2")
			peak := watchTree(r)
			end := r.wait(t)
			if end.code != 0 {
				t.Fatalf("exit %d\n%s", end.code, end.stderr)
			}
			s := end.summary(t)
			if s.RowsOut != 120000 {
				t.Errorf("%+v", s)
			}
			most := <-peak
			t.Logf("peak %d MiB from outside, %d MiB in the summary, %.1f s", most>>20, s.PeakMemoryBytes>>20, s.Seconds)
			if limit := int64(512<<20 + 2*memory.Overshoot); most > limit {
				t.Errorf("the tree had %d MiB", most>>20)
			}
			if s.PeakMemoryBytes < most/2 || s.PeakMemoryBytes > 2*most {
				t.Errorf("the summary says %d MiB, and the tree had %d MiB", s.PeakMemoryBytes>>20, most>>20)
			}
		})
	}
}

// TestARowThatFitsNoShareSaysWhatItNeeds: its chunk ends in an error that names the memory, and all others finish.
func TestARowThatFitsNoShareSaysWhatItNeeds(t *testing.T) {
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, `CREATE TABLE raw (id bigint PRIMARY KEY, zip text, body bytea);
		INSERT INTO raw SELECT g, (g % 5)::text, 'x' FROM generate_series(1, 100) g;
		INSERT INTO raw VALUES (1000, 'huge', decode(repeat('00', 400000000), 'hex')), (1001, 'large', decode(repeat('00', 20000000), 'hex'));
		CREATE INDEX ON raw (zip); ANALYZE raw; CREATE TABLE clean (LIKE raw INCLUDING ALL)`)
	p.write(t, "job.yaml", "name: m\nsource: {postgres: {url: \"${DB}\", table: raw}}\nchunk: {by: zip}\nsteps: [{filter: id > 0}]\nsink: {postgres: {url: \"${DB}\", table: clean, mode: append}}\n")
	r := p.start(t, "run", "job.yaml", "--json", "--memory", "256MiB", "--workers", "2")
	peak := watchTree(r)
	end := r.wait(t)
	if most := <-peak; most > 256<<20+2*memory.Overshoot {
		t.Errorf("the tree had %d MiB", most>>20)
	}
	s := end.summary(t)
	if end.code != 1 || s.Chunks.Error != 1 || s.Chunks.Finished != 6 {
		t.Fatalf("exit %d, %+v\n%s", end.code, s, end.stderr)
	}
	if !strings.Contains(end.stderr, "has 381 MiB") || !strings.Contains(end.stderr, "--retry-errors --memory 2012MiB") || !strings.Contains(end.stderr, "huge") {
		t.Errorf("the error does not say what it needs:\n%s", end.stderr)
	}
	if got := p.sql(t, "SELECT count(*) || ' ' || count(*) FILTER (WHERE zip = 'large') FROM clean"); got != "101 1" {
		t.Errorf("the target has %s", got)
	}
}

// TestAChunkThatOverrunsIsDoneInParts: a step that makes much of each row ends the worker, never the run: the chunk is split until its
// parts fit, from Postgres by its key and from Parquet by row groups, and every row arrives once.
func TestAChunkThatOverrunsIsDoneInParts(t *testing.T) {
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, `CREATE TABLE raw (id bigint PRIMARY KEY, zip text, body text);
		INSERT INTO raw SELECT g, CASE WHEN g <= 1500 THEN 'fat' ELSE (g % 5)::text END, CASE WHEN g <= 1500 THEN repeat('x', 200) END FROM generate_series(1, 2000) g;
		CREATE INDEX ON raw (zip); ANALYZE raw; CREATE TABLE clean (id bigint PRIMARY KEY, zip text, n bigint)`)
	p.write(t, "job.yaml", "name: firms\nsource: {postgres: {url: \"${DB}\", table: raw}}\nchunk: {by: zip}\nsteps: [{set: {n: \"length(repeat(body, 2500))\"}}, {drop: [body]}]\n"+
		"sink: {postgres: {url: \"${DB}\", table: clean, mode: append}}\n")
	end := p.budgeted(t, 400<<20, 1, "--memory", "400MiB", "--workers", "1")
	if end.code != 0 {
		t.Fatalf("exit %d\n%s", end.code, end.stderr)
	}
	if got := p.sql(t, "SELECT count(*) || ' ' || sum(n) FROM clean"); got != "2000 750000000" {
		t.Errorf("the target has %s", got)
	}
	if got := p.ledger(t, "SELECT count(*) > 0 FROM chunk WHERE state = 'split' AND key LIKE 'fat%'"); got != "1" {
		t.Error("the chunk was not split")
	}
}

// TestAChunkThatFitsNoShareSaysWhatWouldDo: nothing can be split any more, and the command that the error names mends it.
func TestAChunkThatFitsNoShareSaysWhatWouldDo(t *testing.T) {
	p := newPlace(t)
	p.exec(t, "COPY (SELECT i AS id, repeat('x', 2000) AS body FROM range(1, 4097) t(i)) TO '{dir}/in.parquet' (ROW_GROUP_SIZE 2048)")
	p.write(t, "job.yaml", "name: big\nsource: {files: {path: in.parquet}}\nsteps: [{set: {n: \"length(repeat(body, 120))\"}}, {drop: [body]}]\nsink: {files: {path: out}}\n")
	end := p.budgeted(t, 400<<20, 1, "--memory", "400MiB", "--workers", "1")
	if end.code != 1 || !strings.Contains(end.stderr, "in.parquet/2") || !strings.Contains(end.stderr, "perhaps 672 MiB") || !strings.Contains(end.stderr, "--retry-errors --memory 736MiB") {
		t.Fatalf("exit %d\n%s", end.code, end.stderr)
	}
	if end = p.budgeted(t, 736<<20, 1, "--memory", "736MiB", "--workers", "1", "--retry-errors"); end.code != 0 {
		t.Fatalf("with the memory that was named: exit %d\n%s", end.code, end.stderr)
	}
	if got := p.query(t, "SELECT count(*), count(DISTINCT id), sum(n) FROM 'out/*.parquet'"); got != "4096|4096|983040000" {
		t.Errorf("the target has %s", got)
	}
}

// TestMoreWorkersThanTheBudgetHoldsIsSaid: the run begins with those that fit.
func TestMoreWorkersThanTheBudgetHoldsIsSaid(t *testing.T) {
	p := newPlace(t)
	p.exec(t, "COPY (SELECT range AS id FROM range(10)) TO '{dir}/in.parquet'")
	p.write(t, "job.yaml", "name: few\nsource: {files: {path: in.parquet}}\nsink: {files: {path: out}}\n")
	r := p.must(t, "run", "job.yaml", "--memory", "512MiB", "--workers", "8")
	if !strings.Contains(r.stderr, "512 MiB of memory are enough for 2 of 8 workers") {
		t.Errorf("nothing says that 8 workers do not fit:\n%s", r.stderr)
	}
}

// budgeted runs job.yaml and checks from outside that the tree keeps to its memory.
func (p *place) budgeted(t *testing.T, budget int64, workers int, args ...string) result {
	t.Helper()
	r := p.start(t, append([]string{"run", "job.yaml", "--json"}, args...)...)
	peak := watchTree(r)
	end := r.wait(t)
	most := <-peak
	t.Logf("peak %d MiB of %d", most>>20, budget>>20)
	if most > budget+int64(workers)*memory.Overshoot {
		t.Errorf("the tree had %d MiB", most>>20)
	}
	return end
}

// watchTree sums up the Pss of a process and its children until it ends, and then sends the highest sum.
func watchTree(r *process) <-chan int64 {
	out := make(chan int64, 1)
	go func() {
		var most int64
		defer func() { out <- most }()
		for {
			select {
			case <-r.done:
				return
			case <-time.After(10 * time.Millisecond):
				most = max(most, treePss(r.cmd.Process.Pid))
			}
		}
	}()
	return out
}

func treePss(pid int) (sum int64) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err == nil {
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				sum += n << 10
			}
		}
	}
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, c := range children {
		list, _ := os.ReadFile(c)
		for _, f := range strings.Fields(string(list)) {
			if child, err := strconv.Atoi(f); err == nil {
				sum += treePss(child)
			}
		}
	}
	return sum
}
