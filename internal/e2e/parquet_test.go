package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// breakPages overwrites column chunks of a Parquet file: those that the condition on row_group_id and path_in_schema names.
func (p *place) breakPages(t *testing.T, name, condition string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(p.dir, name), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // what was written is read back
	list := p.query(t, "SELECT coalesce(dictionary_page_offset, data_page_offset), total_compressed_size FROM parquet_metadata('"+name+"') WHERE "+condition)
	for _, line := range strings.Split(list, "\n") {
		var at, size int64
		if n, err := fmt.Sscanf(line, "%d|%d", &at, &size); n != 2 {
			t.Fatalf("%q: %v", line, err)
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, int(size)), at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOrdinaryStepsReadWhatTheyNeed: a filter on a sorted column reads the row groups that may hold its rows, and a column that is dropped is
// not read at all. All else in the file is broken, and nobody notices.
func TestOrdinaryStepsReadWhatTheyNeed(t *testing.T) {
	p := newPlace(t)
	p.exec(t, `COPY (SELECT i AS id, i * 0.5::DOUBLE AS kept, 'text ' || i AS name, md5(i::VARCHAR) AS dropped FROM range(100000) t(i))
		TO '{dir}/in.parquet' (ROW_GROUP_SIZE 10240)`)
	groups := p.query(t, "SELECT count(DISTINCT row_group_id), count(DISTINCT row_group_id) FILTER (path_in_schema = 'id' AND TRY_CAST(stats_min AS BIGINT) <= 42999 AND TRY_CAST(stats_max AS BIGINT) >= 42000) FROM parquet_metadata('in.parquet')")
	if groups != "10|2" && groups != "10|1" {
		t.Fatalf("row groups, and those that matter: %s", groups)
	}
	p.breakPages(t, "in.parquet", "path_in_schema = 'dropped' OR row_group_id NOT IN (SELECT row_group_id FROM parquet_metadata('in.parquet') "+
		"WHERE path_in_schema = 'id' AND TRY_CAST(stats_min AS BIGINT) <= 42999 AND TRY_CAST(stats_max AS BIGINT) >= 42000)")
	for i, c := range []struct{ steps, sink, rows string }{
		{"[{filter: id >= 42000 and id < 43000}, {drop: [dropped]}]", "path: out", "id, kept, name"},
		{"[{drop: [dropped]}, {filter: id between 42000 and 42999}]", "path: out, partition_by: [part]", "id, kept, name"},
		{"[{select: [id, kept, name]}, {rename: {id: key}}, {set: {more: kept + 1}}, {filter: key >= 42000 and key < 43000}]", "path: out", "key, kept, name"},
		{"[{sql: \"SELECT id, kept, name FROM chunk WHERE id BETWEEN 42000 AND 42999\"}]", "path: out, format: csv", ""},
	} {
		steps := c.steps
		if strings.Contains(c.sink, "[part]") {
			steps = strings.Replace(steps, "[", "[{set: {part: id % 3}}, ", 1)
		}
		sink := strings.Replace(c.sink, "out", "out"+strconv.Itoa(i), 1)
		p.write(t, "job.yaml", "name: prune"+strconv.Itoa(i)+"\nsource: {files: {path: in.parquet}}\nsteps: "+steps+"\nsink: {files: {"+sink+"}}\n")
		p.must(t, "run", "job.yaml")
		if c.rows == "" {
			continue
		}
		got := p.query(t, fmt.Sprintf("SELECT count(*), sum(hash(%s)) FROM read_parquet('out%d/**/*.parquet', hive_partitioning = false)", c.rows, i))
		if want := p.query(t, "SELECT count(*), sum(hash(i, i * 0.5::DOUBLE, 'text ' || i)) FROM range(42000, 43000) t(i)"); got != want {
			t.Errorf("%s: %s, want %s", c.steps, got, want)
		}
	}
	p.write(t, "job.yaml", "name: all\nsource: {files: {path: in.parquet}}\nsteps: [{drop: [dropped]}]\nsink: {files: {path: all}}\n")
	if r := p.drover(t, nil, "run", "job.yaml"); r.code != 1 {
		t.Errorf("exit %d of a run that reads what is broken", r.code)
	}
}

// TestAThousandPartitionsInASmallShare: two workers with 256 MiB each write a file of each partition a task, whole.
func TestAThousandPartitionsInASmallShare(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skip("the system tells no Pss")
	}
	p := newPlace(t)
	columns := "hash(i) % 1000 AS part, i AS id"
	for c := range 4 {
		columns += fmt.Sprintf(", hash(i, %[1]d) AS ca%[1]d, (hash(i, %[1]d) %% 100)::VARCHAR AS cb%[1]d, md5((i + %[1]d)::VARCHAR) AS cc%[1]d, "+
			"CASE WHEN hash(i, %[1]d) %% 3 > 0 THEN i / 7 END AS cd%[1]d", c)
	}
	p.write(t, "in/.keep", "")
	for f := range 4 {
		p.exec(t, fmt.Sprintf("COPY (SELECT %s FROM range(%d, %d) t(i)) TO '{dir}/in/%d.parquet'", columns, f*100_000, (f+1)*100_000, f))
	}
	p.write(t, "job.yaml", "name: wide\nsource: {files: {path: in}}\nsteps: [{filter: id >= 0}]\nsink: {files: {path: out, partition_by: [part]}}\n")
	end := p.budgeted(t, 576<<20, 2, "--memory", "576MiB", "--workers", "2")
	if end.code != 0 {
		t.Fatalf("exit %d\n%s", end.code, end.stderr)
	}
	got := p.query(t, "SELECT count(*), sum(id), count(DISTINCT part), sum(hash(COLUMNS('c.*'))) FROM read_parquet('out/**/*.parquet', hive_partitioning = true)")
	if want := p.query(t, "SELECT count(*), sum(id), count(DISTINCT part), sum(hash(COLUMNS('c.*'))) FROM read_parquet('in/*.parquet')"); got != want {
		t.Errorf("the files hold %s, want %s", got, want)
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "out", "*", "*.parquet"))
	if err != nil || len(files) > 4000 {
		t.Errorf("%d files (%v)", len(files), err)
	}
}
