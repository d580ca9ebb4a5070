package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oddTags are partition values that a path does not take as they are, with what else is easily lost: leading zeros, the empty string, NULL.
var oddTags = []string{"plain", "two words", "50% off", "it's", `say "hi"`, "a/b", "a=b", "naïve 東京 🚕", "00501", "1e3", "", "..", ".", "a\\b", "x:y?z#w", "tab\there", "NULL", "null", " lead", "trail "}

// tripsFolder is a folder of Parquet files as people have them: columns in another order, or missing, row groups, zero rows, zero bytes, files that
// are none, names with spaces and umlauts.
func tripsFolder(t *testing.T, p *place) {
	t.Helper()
	tags := make([]string, len(oddTags))
	for i, tag := range oddTags {
		tags[i] = "'" + strings.ReplaceAll(tag, "'", "''") + "'"
	}
	rows := func(from, n int) string {
		return fmt.Sprintf(`(SELECT range AS id, 'v' || range %% 3 AS vendor_id, TIMESTAMP '2017-01-01' + INTERVAL (range * 7) SECOND AS pickup_at,
			CASE WHEN range %% 13 = 0 THEN NULL ELSE (range %% 50) / 10.0 END::DOUBLE AS trip_distance,
			CASE WHEN range %% 11 = 0 THEN NULL ELSE range %% 4 END::INTEGER AS payment_type,
			(range * 0.37)::DECIMAL(12,2) AS "fare amount", CASE WHEN range %% 17 = 0 THEN NULL ELSE 'n"o,te' || chr(10) || range END AS note,
			CASE WHEN range %% 23 = 0 THEN NULL ELSE ([%s])[1 + range %% %d] END AS tag FROM range(%d, %d))`, strings.Join(tags, ", "), len(tags), from, from+n)
	}
	p.write(t, "in/_SUCCESS", "")
	p.write(t, "in/.a.parquet.crc", "crc")
	p.write(t, "in/empty.parquet", "")
	p.write(t, "in/sub dir/.keep", "")
	p.exec(t, "COPY "+rows(0, 3000)+" TO '{dir}/in/2017-01.parquet'")
	p.exec(t, `COPY (SELECT tag, note, id, "fare amount", payment_type, trip_distance, pickup_at, vendor_id FROM `+rows(3000, 2500)+`) TO '{dir}/in/2017-02.parquet'`)
	p.exec(t, "COPY (SELECT * EXCLUDE (note) FROM "+rows(6000, 2000)+") TO '{dir}/in/sub dir/März 50%.parquet'")
	p.exec(t, "COPY "+rows(9000, 0)+" TO '{dir}/in/2017-04.parquet'")
	p.exec(t, "COPY "+rows(10000, 9000)+" TO '{dir}/in/2017-05.parquet' (ROW_GROUP_SIZE 2048)")
}

const tripsSource = `read_parquet(['in/2017-01.parquet', 'in/2017-02.parquet', 'in/sub dir/März 50%.parquet', 'in/2017-05.parquet'], union_by_name=true)`

// partition is what one k=v folder must hold: rows, sum of ids, a checksum over every other column.
const partitionSums = `count(*) || ' rows, ids ' || sum(id) || ', hash ' || bit_xor(hash(id, pickup_at, trip_distance, "fare amount", note))`

// wantPartitions computes with one query what the taxi job must write. The keys are "payment_type/tag" with NULL spelled out.
func wantPartitions(t *testing.T, p *place) map[string]string {
	t.Helper()
	return byKey(p.query(t, `SELECT coalesce(payment_type::VARCHAR, '<null>') || '/' || coalesce(replace(tag, chr(9), '<tab>'), '<null>') AS k, `+partitionSums+`
		FROM `+tripsSource+` WHERE trip_distance > 1 GROUP BY payment_type, tag`))
}

func byKey(rows string) map[string]string {
	m := map[string]string{}
	for row := range strings.Lines(rows) {
		key, value, _ := strings.Cut(strings.TrimSuffix(row, "\n"), "|")
		m[key] = value
	}
	return m
}

// gotPartitions reads a dataset as the Hive layout says: values percent-encoded in the folders' names, NULL as
// __HIVE_DEFAULT_PARTITION__, partition columns not in the files.
func gotPartitions(t *testing.T, p *place, dataset string) map[string]string {
	t.Helper()
	folders := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(p.dir, dataset), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nothing was published
		}
		if err == nil && strings.HasSuffix(path, ".parquet") && d.Type().IsRegular() {
			folders[filepath.Dir(path)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for folder := range folders {
		payment, tag := filepath.Base(filepath.Dir(folder)), filepath.Base(folder)
		key := partitionValue(t, payment, "payment_type") + "/" + strings.ReplaceAll(partitionValue(t, tag, "tag"), "\t", "<tab>")
		glob := strings.NewReplacer("'", "''", "[", "[[]", "*", "[*]", "?", "[?]", "\\", "\\\\").Replace(folder) + "/*.parquet"
		if got[key] != "" {
			t.Errorf("two folders hold %s", key)
		}
		got[key] = p.query(t, "SELECT "+partitionSums+" FROM read_parquet('"+glob+"', hive_partitioning=false)")
		if strings.Contains(p.query(t, "SELECT string_agg(column_name) FROM (DESCRIBE FROM read_parquet('"+glob+"', hive_partitioning=false))"), "tag") {
			t.Errorf("the files of %s hold the partition column", key)
		}
	}
	return got
}

func partitionValue(t *testing.T, folder, column string) string {
	t.Helper()
	value, ok := strings.CutPrefix(folder, column+"=")
	if !ok {
		t.Fatalf("%s is no partition of %s", folder, column)
	}
	if value == "__HIVE_DEFAULT_PARTITION__" {
		return "<null>"
	}
	text, err := url.PathUnescape(value)
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	return text
}

func samePartitions(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			t.Errorf("partition %q holds %s, want %s", key, got[key], want[key])
		}
	}
	for key := range got {
		if want[key] == "" {
			t.Errorf("partition %q should not be", key)
		}
	}
}

func taxiJob(chunk, mode string) string {
	return `
name: taxi-2017
source: {files: {path: in/}}
` + chunk + `
steps:
  - drop: [vendor_id]
  - filter: trip_distance > 1
sink:
  files: {path: out/, partition_by: [payment_type, tag], mode: ` + mode + `}
limits: {workers: 2}
`
}

// TestTaxi: the same rows in the same partitions for every way of chunking (design.md 3.1), as one DuckDB query over the same files
// gives them, and run --json and the ledger say so too.
func TestTaxi(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, chunk string
		chunks      int64
	}{
		{name: "default", chunks: 5},
		{name: "a file a chunk", chunk: "chunk: {files: 1}", chunks: 5},
		{name: "two files a chunk", chunk: "chunk: {files: 2}", chunks: 3},
		{name: "rows", chunk: "chunk: {rows: 2048}", chunks: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			tripsFolder(t, p)
			p.write(t, "job.yaml", taxiJob(c.chunk, "error"))
			r := p.must(t, "run", "job.yaml", "--json")
			says(t, r.stderr, "in/empty.parquet") // a 0-byte file is ignored with a warning
			samePartitions(t, gotPartitions(t, p, "out"), wantPartitions(t, p))
			s := r.summary(t)
			if s.State != "finished" || s.Job != "taxi-2017" || s.Engine != "local" || s.Resumed || s.Workers != 2 {
				t.Errorf("summary: %+v", s)
			}
			if c.chunks > 0 && s.Chunks.Total != c.chunks || s.Chunks.Total < 3 || s.Chunks.Finished != s.Chunks.Total || s.Chunks.Error != 0 || s.Chunks.Pending != 0 {
				t.Errorf("chunks: %+v, want %d", s.Chunks, c.chunks)
			}
			in, out := p.query(t, "SELECT count(*) FROM "+tripsSource), p.query(t, "SELECT count(*) FROM "+tripsSource+" WHERE trip_distance > 1")
			if got := fmt.Sprint(s.RowsOut); got != out {
				t.Errorf("rows_out is %s, want %s", got, out)
			}
			// rows_in counts what was received, after pushdown where there is any (exactness.md 23).
			if got := fmt.Sprint(s.RowsIn); got != in && got != out {
				t.Errorf("rows_in is %s, want %s, or %s with pushdown", got, in, out)
			}
			files, err := filepath.Glob(filepath.Join(p.dir, "out/*/*/*.parquet"))
			if err != nil || int64(len(files)) != s.Files {
				t.Errorf("files is %d, and there are %d, %v", s.Files, len(files), err)
			}
			if s.PeakMemoryBytes < 1<<20 || s.BytesOut <= 0 || s.BytesIn <= 0 || s.Seconds <= 0 {
				t.Errorf("summary: %+v", s)
			}
			want := fmt.Sprintf("finished|%d|%d|%d|%d|%d", s.Chunks.Total, s.RowsIn, s.RowsOut, s.BytesIn, s.BytesOut)
			if got := p.ledger(t, `SELECT state, count(*), sum(rows_in), sum(rows_out), sum(bytes_in), sum(bytes_out) FROM chunk GROUP BY state`); got != want {
				t.Errorf("the ledger says %s, the summary %s", got, want)
			}
		})
	}
}

// TestRunJSON: the object that run --json prints has exactly the fields of surface.md, and is all that is on stdout.
func TestRunJSON(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	tripsData(t, p)
	p.write(t, "job.yaml", tripsJob)
	r := p.must(t, "run", "job.yaml", "--json")
	var got map[string]any
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v\n%s", err, r.stdout)
	}
	want := []string{
		"bytes_in", "bytes_out", "chunks", "engine", "files", "job", "peak_memory_bytes", "resumed", "rows_in", "rows_out", "rows_rejected", "rows_scanned", "run", "seconds", "state", "workers",
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("fields %v, want %v", keys, want)
	}
	chunks, ok := got["chunks"].(map[string]any)
	if keys := slices.Sorted(maps.Keys(chunks)); !ok || !slices.Equal(keys, []string{"error", "finished", "pending", "total"}) {
		t.Errorf("chunks has %v", keys)
	}
	if quiet := p.drover(t, nil, "run", "job.yaml", "--quiet"); quiet.stdout != "" {
		t.Errorf("stdout without --json: %s", quiet.stdout)
	}
	// The ledger is the user's own metadata table (surface.md): these names, by plain SQL.
	for query, want := range map[string]string{
		`SELECT count(uid || id || job || fingerprint || state || engine || started_at || finished_at), count(*) - count(message) >= 0 FROM run WHERE job = 'trips' AND state = 'finished'`: "1|1",
		`SELECT chunk.state, stage, chunk.id, key, attempts >= 0, worker IS NOT NULL, rows_in >= rows_out, rows_out > 0, bytes_in > 0, bytes_out > 0, peak_memory_bytes > 0,
			chunk.started_at <= chunk.finished_at, error FROM chunk JOIN run ON run_id = run.uid`: "finished|0|0|a.parquet|1|1|1|1|1|1|1|1|NULL",
		`SELECT chunk_id, token > 0, worker IS NOT NULL, attempt.started_at <= ended_at, outcome, error FROM attempt JOIN run ON run_id = run.uid`: "0|1|1|1|finished|NULL",
	} {
		if got := p.ledger(t, query); got != want {
			t.Errorf("%s\ngives %s, want %s", query, got, want)
		}
	}
}

// TestTaxiModes: what each mode leaves of the data that was there.
func TestTaxiModes(t *testing.T) {
	t.Parallel()
	const job = `
name: taxi
source: {files: {path: in}}
sink: {files: {path: out, partition_by: [k], mode: MODE}}
`
	for mode, want := range map[string][2]string{
		"append":               {"1=10 1=11 1=21 2=20 3=30", "1=10 1=10 1=11 1=11 1=21 2=20 3=30 3=30"},
		"overwrite":            {"1=10 1=11 3=30", "1=10 1=11 3=30"},
		"overwrite_partitions": {"1=10 1=11 2=20 3=30", "1=10 1=11 2=20 3=30"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			for _, dir := range []string{"in", "out/k=1", "out/k=2"} {
				p.write(t, dir+"/.keep", "")
			}
			// 10, 11, 30 are new; 20 lies in a partition that gets no rows, 21 in one that does.
			p.exec(t, `COPY (SELECT unnest([10, 11, 30]) AS v, unnest([1, 1, 3]) AS k) TO '{dir}/in/a.parquet'`)
			p.exec(t, `COPY (SELECT 20 AS v) TO '{dir}/out/k=2/old.parquet'`)
			p.exec(t, `COPY (SELECT 21 AS v) TO '{dir}/out/k=1/old.parquet'`)
			p.write(t, "job.yaml", strings.Replace(job, "MODE", mode, 1))
			for i := range want {
				p.must(t, "run", "job.yaml")
				got := p.query(t, `SELECT string_agg(k || '=' || v, ' ' ORDER BY k, v) FROM read_parquet('out/**/*.parquet', hive_partitioning=true)`)
				if got != want[i] {
					t.Errorf("after run %d: %s, want %s", i+1, got, want[i])
				}
			}
		})
	}
}

// TestAFilterThatMatchesNothingSaysSo: zero rows with their schema, exit 0, and a warning.
func TestAFilterThatMatchesNothingSaysSo(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.exec(t, `COPY (SELECT range AS id, range % 3 AS k FROM range(100)) TO '{dir}/in' (FORMAT parquet, PARTITION_BY (k))`)
	p.write(t, "job.yaml", "name: none\nsource: {files: {path: in}}\nsteps: [{filter: k = 7}]\nsink: {files: {path: out}}\n")
	r := p.must(t, "run", "job.yaml", "--json", "--quiet")
	if s := r.summary(t); s.State != "finished" || s.RowsOut != 0 || !strings.Contains(r.stderr, "no row passed the steps") {
		t.Errorf("%+v\n%s", s, r.stderr)
	}
	if got := p.query(t, "SELECT count(*), count(id) FROM 'out/*.parquet'"); got != "0|0" {
		t.Errorf("the output: %s", got)
	}
	p.write(t, "job.yaml", "name: some\nsource: {files: {path: in}}\nsteps: [{filter: k = 1}]\nsink: {files: {path: some}}\n")
	if r := p.must(t, "run", "job.yaml"); strings.Contains(r.stderr, "no row passed") {
		t.Error(r.stderr)
	}
}

// TestZeroRows: an input without rows is data: the run finishes and its schema is in the output (design.md 3.5).
func TestZeroRows(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write(t, "in/.keep", "")
	p.exec(t, `COPY (SELECT 1::BIGINT AS id, 1.5::DECIMAL(9,3) AS fare, DATE '2026-01-01' AS day WHERE false) TO '{dir}/in/a.parquet'`)
	p.write(t, "job.yaml", "name: zero\nsource: {files: {path: in}}\nsink: {files: {path: out}}\n")
	if s := p.must(t, "run", "job.yaml", "--json").summary(t); s.State != "finished" || s.RowsOut != 0 || s.Chunks.Finished != 1 {
		t.Errorf("summary: %+v", s)
	}
	got := p.query(t, `SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE FROM read_parquet('out/*.parquet'))`)
	if got != "id BIGINT, fare DECIMAL(9,3), day DATE" {
		t.Errorf("the output's schema is %s", got)
	}
}
