package files

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/connectortest"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// mergeJob is a job in two stages.
type mergeJob struct {
	*job
	spools connector.Spools
}

func newMergeJob(t *testing.T, spec *Sink, queries ...string) *mergeJob {
	t.Helper()
	j, err := newJob(t, openTarget(t, spec, false), queries...)
	if err != nil {
		t.Fatal(err)
	}
	spools, err := j.sink.(connector.Spooler).Spools(j.output)
	if err != nil {
		t.Fatal(err)
	}
	return &mergeJob{j, spools}
}

func (j *mergeJob) input(rel connector.Relation) connector.Input {
	return connector.Input{
		Session: newSession(j.t), Relation: rel, Program: step.Program{SQL: "SELECT * FROM " + step.Input(), RowWise: true},
		Source: j.output, Output: j.output,
		Progress:   func(int64, int64, int64, int64) {},
		PeakMemory: func() int64 { return 1 },
	}
}

// spool makes an attempt of some chunks in the first stage.
func (j *mergeJob) spool(chunks ...connector.Chunk) error {
	j.t.Helper()
	j.token++
	rs, err := j.spools.Write(j.t.Context(), connector.Attempt{Run: j.run, Token: j.token, Chunks: chunks},
		func(_ context.Context, cs []connector.Chunk) (connector.Input, error) {
			var f fixed
			for _, c := range cs {
				f = append(f, fmt.Sprintf("SELECT * FROM (%s) AS t(%s)", j.inputs[c.ID], idents(j.output.Names())))
			}
			return j.input(f), nil
		})
	for _, r := range rs {
		j.got[r.ChunkID] = r
	}
	return err
}

// merge runs the second stage, each of whose chunks is cut to so many bytes, and returns it as a job that can be published.
func (j *mergeJob) merge(bytes int64) *job {
	j.t.Helper()
	must := func(err error) {
		j.t.Helper()
		if err != nil {
			j.t.Fatal(err)
		}
	}
	state, err := j.spools.State(j.run, j.receipts())
	must(err)
	chunks, err := j.spools.Cut(j.run, j.receipts(), bytes)
	must(err)
	m := &job{t: j.t, sink: j.sink, run: j.run, output: j.output, chunks: chunks, got: map[int64]connector.Receipt{}}
	m.run.Stage, m.run.Inputs = 1, string(state)
	for _, c := range chunks {
		j.token++
		rs, err := j.sink.Write(j.t.Context(), connector.Attempt{Run: m.run, Token: j.token, Chunks: []connector.Chunk{c}},
			func(ctx context.Context, cs []connector.Chunk) (connector.Input, error) {
				rel, err := j.spools.Open(ctx, newSession(j.t), j.output, state, cs)
				if err != nil {
					return connector.Input{}, err
				}
				j.t.Cleanup(func() { closed(j.t, rel) })
				return j.input(rel), nil
			})
		must(err)
		for _, r := range rs {
			m.got[r.ChunkID] = r
		}
	}
	return m
}

// dataset is every row below dir with its partition's values as text.
func dataset(t *testing.T, dir, format string) []string {
	t.Helper()
	hive := ", hive_partitioning=true, hive_types_autocast=false)"
	sql := map[string]string{
		formatParquet: "SELECT * FROM read_parquet(" + duck.Literal(dir+"/**/*.parquet") + hive,
		formatCSV:     "SELECT * FROM read_csv(" + duck.Literal(dir+"/**/*.csv") + ", all_varchar=true, header=true, quote='\"'" + hive,
		formatJSON:    "SELECT * FROM read_json(" + duck.Literal(dir+"/**/*.jsonl") + ", format='newline_delimited', maximum_depth=1" + hive,
	}[format]
	if sql != "" {
		return connectortest.Lines(t, newSession(t), sql)
	}
	r, err := read(t, In(dir), drover.Chunking{})
	if err != nil {
		t.Fatal(err)
	}
	session := newSession(t)
	rel, err := r.src.Open(t.Context(), session, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	return connectortest.Lines(t, session, "SELECT "+idents(slices.Sorted(slices.Values(r.schema.Names())))+" FROM "+rel.All())
}

func TestAMergeWritesTheRowsThatADirectWriteDoes(t *testing.T) {
	const odd = `['', 'a/b', 'a=b', '%41', 'é', ' x ', 'NULL', '00501', '1e3', 'true', '.', '..', '_h', 'a' || chr(10) || 'b'][1 + (h >> 3) % 14]`
	plain := `i AS id, h::HUGEINT * h AS big, CASE WHEN h % 5 > 0 THEN h / 7.0 END AS f, (h % 1000 / 100)::DECIMAL(9,2) AS m,
		CASE WHEN h % 4 > 0 THEN TIMESTAMP '2020-01-01' + to_seconds((h % 1000000)::BIGINT) END AS ts, ['small', 'medium', ''][1 + h % 3]::ENUM('small', 'medium', '') AS e`
	nested := `, CASE WHEN h % 3 > 0 THEN [h % 5, NULL] END AS l, {'x': h % 2, 'y': NULL::VARCHAR} AS s`
	for format, columns := range map[string]string{
		formatParquet: strings.Replace(plain, "h::HUGEINT * h AS big, ", "", 1) + nested, formatCSV: plain,
		formatJSON:  plain + nested + ", to_months((h % 30)::INTEGER) + to_microseconds((h % 99999999)::BIGINT) AS gap",
		formatArrow: strings.Replace(plain, "h::HUGEINT * h AS big, ", "", 1) + nested,
	} {
		for keys, partition := range map[string][]string{
			"CASE WHEN h % 7 > 0 THEN " + odd + " END AS k": {"k"},
			"CASE WHEN h % 7 > 0 THEN " + odd + " END AS k, CASE WHEN h % 11 > 0 THEN DATE '2020-01-31' + (h % 2)::INTEGER END AS d, (h % 2)::HUGEINT - 1 AS n, (h % 2 = 1) AS b": {"d", "k", "n", "b"},
		} {
			t.Run(fmt.Sprintf("%s by %d", format, len(partition)), func(t *testing.T) {
				var queries []string
				for i := range 5 {
					queries = append(queries, fmt.Sprintf("SELECT %s, %s FROM (SELECT i, (hash(i, 17) %% 1000003)::BIGINT AS h FROM range(%d, %d) t(i))", columns, keys, i*200, i*200+100*(i%3)))
				}
				spec := func() *Sink {
					s := Out(filepath.Join(t.TempDir(), "out")).PartitionBy(partition...)
					s.Format = format
					return s
				}
				direct := spec()
				run(t, direct, queries...)
				merged := spec()
				j := newMergeJob(t, merged, queries...)
				for _, part := range [][]connector.Chunk{j.chunks[3:], j.chunks[:1], j.chunks[1:3]} {
					if err := j.spool(part...); err != nil {
						t.Fatal(err)
					}
				}
				m := j.merge(2_000)
				if len(m.chunks) < 2 {
					t.Errorf("%d merge chunks", len(m.chunks))
				}
				if _, err := m.publish(); err != nil {
					t.Fatal(err)
				}
				want, got := dataset(t, direct.Path, format), dataset(t, merged.Path, format)
				if len(want) == 0 || !slices.Equal(got, want) {
					t.Errorf("%d rows, want %d", len(got), len(want))
					for i := range min(len(got), len(want)) {
						if got[i] != want[i] {
							t.Fatalf("got  %s\nwant %s", got[i], want[i])
						}
					}
				}
			})
		}
	}
}

const skewed = "SELECT i AS id, CASE WHEN i %% 10 > 0 THEN 'much' ELSE 'p' || i %% 50 END AS k, repeat(md5(i::VARCHAR), 4) AS t FROM range(%d, %d) t(i)"

func TestOnePartitionOfMuchDataIsMergedByAFewTasks(t *testing.T) {
	spec := Out(filepath.Join(t.TempDir(), "out")).PartitionBy("k")
	var queries []string
	for i := range 8 {
		queries = append(queries, fmt.Sprintf(skewed, i*2000, i*2000+2000))
	}
	j := newMergeJob(t, spec, queries...)
	for _, c := range j.chunks {
		if err := j.spool(c); err != nil {
			t.Fatal(err)
		}
	}
	m := j.merge(100_000)
	if _, err := m.publish(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(spec.Path, "k=much"))
	if err != nil || len(files) < 2 || len(files) > mergeParts {
		t.Errorf("%d files in the large partition, %v", len(files), err)
	}
	if rows := dataset(t, spec.Path, formatParquet); len(rows) != 16000 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestSplitMergeChunksHoldTheSameRows(t *testing.T) {
	j := newMergeJob(t, Out(filepath.Join(t.TempDir(), "out")).PartitionBy("k"), fmt.Sprintf(skewed, 0, 2000), fmt.Sprintf(skewed, 2000, 3000))
	for _, c := range j.chunks {
		if err := j.spool(c); err != nil {
			t.Fatal(err)
		}
	}
	state, err := j.spools.State(j.run, j.receipts())
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := j.spools.Cut(j.run, j.receipts(), 1<<30)
	if err != nil || len(chunks) != 1 {
		t.Fatal(chunks, err)
	}
	leaves := 0
	for deep := 0; deep < 40 && leaves < len(chunks); deep++ {
		var next []connector.Chunk
		leaves = 0
		for _, c := range chunks {
			parts, err := j.spools.Split(t.Context(), state, c)
			if err != nil {
				t.Fatal(err)
			}
			if deep > 4 || len(parts) < 2 {
				leaves++
				next = append(next, c)
				continue
			}
			next = append(next, parts...)
		}
		chunks = next
	}
	rel, err := j.spools.Open(t.Context(), newSession(t), j.output, state, chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	want(t, "rows", rowsOf(t, newSession(t), "SELECT count(*), count(DISTINCT id), sum(id) FROM "+rel.All()), "3000|3000|4498500")
}

// Rule 7: staged data that is gone returns its chunk to pending. A merge that has read what was written again since does not count.
func TestAMergeOfALostSpoolCountsAsGone(t *testing.T) {
	j := newMergeJob(t, Out(filepath.Join(t.TempDir(), "out")).PartitionBy("k"), fmt.Sprintf(skewed, 0, 100), fmt.Sprintf(skewed, 100, 200), fmt.Sprintf(skewed, 200, 300))
	for _, part := range [][]connector.Chunk{j.chunks[:1], j.chunks[1:]} {
		if err := j.spool(part...); err != nil {
			t.Fatal(err)
		}
	}
	if gone, err := j.spools.Verify(t.Context(), j.run, j.receipts()); err != nil || len(gone) > 0 {
		t.Fatal(gone, err)
	}
	m := j.merge(1 << 30)
	if gone, err := j.sink.Verify(t.Context(), m.run, m.receipts()); err != nil || len(gone) > 0 {
		t.Fatal(gone, err)
	}
	note, ok, err := spoolNote(j.got[1])
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := os.Remove(filepath.Join(j.sink.(*sink).area(j.run), note.Token)); err != nil {
		t.Fatal(err)
	}
	gone, err := j.spools.Verify(t.Context(), j.run, j.receipts())
	if err != nil || !slices.Equal(gone, []int64{1, 2}) {
		t.Fatalf("gone: chunks %v, %v", gone, err)
	}
	if err := j.spool(j.chunks[1:]...); err != nil {
		t.Fatal(err)
	}
	state, err := j.spools.State(j.run, j.receipts())
	if err != nil {
		t.Fatal(err)
	}
	m.run.Inputs = string(state)
	if gone, err := j.sink.Verify(t.Context(), m.run, m.receipts()); err != nil || len(gone) != len(m.chunks) {
		t.Errorf("%d merge chunks of %d are gone, %v", len(gone), len(m.chunks), err)
	}
}

func TestAValueThatCannotNameAFolderIsRefusedBeforeItIsSpooled(t *testing.T) {
	for value, message := range map[string]string{"'" + hiveNull + "'": "stands for NULL", "repeat('x', 300)": "302 bytes", "repeat('/', 100)": "302 bytes"} {
		j := newMergeJob(t, Out(filepath.Join(t.TempDir(), "out")).PartitionBy("k"), "SELECT 1 AS v, "+value+" AS k")
		wantError(t, j.spool(j.chunks...), drover.Data, message)
		if left, err := filepath.Glob(filepath.Join(j.sink.(*sink).area(j.run), "s0*")); err != nil || len(left) > 0 {
			t.Errorf("%v stays, %v", left, err)
		}
	}
}
