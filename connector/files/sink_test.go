package files

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// fixed is a relation of given SELECTs, one a chunk.
type fixed []string

func (f fixed) Chunk(i int) string {
	return fmt.Sprintf("(SELECT *, %d::BIGINT AS %s FROM (%s))", i, step.Tag, f[i])
}

func (f fixed) All() string {
	var all []string
	for i := range f {
		all = append(all, f.Chunk(i))
	}
	return "(" + strings.Join(all, " UNION ALL ") + ")"
}

func (f fixed) Count(int) connector.Count {
	return connector.Count{Rows: 1, Bytes: 10, Scanned: new(int64(1))}
}
func (f fixed) Close() error { return nil }

// job writes chunks, each the answer to a query, as one run.
type job struct {
	t      *testing.T
	sink   connector.Sink
	run    connector.Run
	output drover.Schema
	chunks []connector.Chunk
	inputs map[int64]string
	token  int64
	got    map[int64]connector.Receipt
}

func uid(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%032x", time.Now().UnixNano())
}

func openTarget(t *testing.T, spec *Sink, resume bool) connector.Sink {
	t.Helper()
	s, err := Definition().OpenSink(t.Context(), spec, connector.Env{TempDir: t.TempDir(), Resume: resume, Warn: func(string, ...any) {}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newJob(t *testing.T, sink connector.Sink, queries ...string) (*job, error) {
	t.Helper()
	j := &job{t: t, sink: sink, inputs: map[int64]string{}, got: map[int64]connector.Receipt{}}
	j.run = connector.Run{UID: uid(t), ID: "r-test", Job: "test", StartedAt: time.Now()}
	schema, err := newSession(t).Describe(t.Context(), queries[0])
	if err != nil {
		t.Fatal(err)
	}
	j.output = schema
	for i, q := range queries {
		j.chunks = append(j.chunks, connector.Chunk{ID: int64(i), Key: fmt.Sprint(i)})
		j.inputs[int64(i)] = q
	}
	if _, err := sink.Check(t.Context(), j.output); err != nil {
		return nil, err
	}
	if j.run.State, err = sink.Begin(t.Context(), j.run, j.output); err != nil {
		return nil, err
	}
	return j, nil
}

// write makes an attempt of some chunks and keeps its receipts.
func (j *job) write(chunks ...connector.Chunk) error {
	j.t.Helper()
	j.token++
	session := newSession(j.t)
	rs, err := j.sink.Write(j.t.Context(), connector.Attempt{Run: j.run, Token: j.token, Chunks: chunks},
		func(_ context.Context, cs []connector.Chunk) (connector.Input, error) {
			var f fixed
			for _, c := range cs {
				f = append(f, fmt.Sprintf("SELECT * FROM (%s) AS t(%s)", j.inputs[c.ID], idents(j.output.Names())))
			}
			return connector.Input{
				Session: session, Relation: f, Program: step.Program{SQL: "SELECT * FROM " + step.Input(), RowWise: true},
				Source: j.output, Output: j.output,
				Progress:   func(int64, int64, int64, int64) {},
				PeakMemory: func() int64 { return 1 },
			}, nil
		})
	for _, r := range rs {
		j.got[r.ChunkID] = r
	}
	return err
}

// receipts yields what the ledger would.
func (j *job) receipts() iter.Seq2[connector.Receipt, error] {
	return func(yield func(connector.Receipt, error) bool) {
		for _, c := range j.chunks {
			if r, ok := j.got[c.ID]; ok && !yield(r, nil) {
				return
			}
		}
	}
}

func (j *job) publish() (connector.Published, error) {
	return j.sink.Publish(j.t.Context(), j.run, j.output, j.receipts())
}

// must runs a whole job: every chunk in one task.
func run(t *testing.T, spec *Sink, queries ...string) *job {
	t.Helper()
	j, err := newJob(t, openTarget(t, spec, false), queries...)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(j.chunks...); err != nil {
		t.Fatal(err)
	}
	if _, err := j.publish(); err != nil {
		t.Fatal(err)
	}
	return j
}

// tree lists what lies below dir, hidden or not, names of runs cut out.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if rel == "." {
			return nil
		}
		base := filepath.Base(rel)
		if rest, ok := strings.CutPrefix(base, "drover-"); ok {
			base = "drover-" + rest[33:]
		}
		if rest, ok := strings.CutPrefix(base, areaPrefix); ok {
			base = areaPrefix + rest[32:]
		}
		if d.IsDir() {
			base += "/"
			entries, _ := os.ReadDir(path)
			if len(entries) > 0 {
				return nil
			}
		}
		names = append(names, filepath.ToSlash(filepath.Join(filepath.Dir(rel), base)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	return mustRead(t, In(dir), drover.Chunking{}).rows(t)
}

func TestPartitionedWriteAndReadBack(t *testing.T) {
	dir := t.TempDir() + "/out"
	run(t, Out(dir).PartitionBy("k", "s"),
		"SELECT 1 AS id, 7 AS k, 'a/b' AS s", "SELECT 2, NULL, ''", "SELECT 3, 7, NULL UNION ALL SELECT 4, 7, 'é %=x'")
	want(t, "tree", strings.Join(tree(t, dir), "\n"), strings.Join([]string{
		"k=7/s=__HIVE_DEFAULT_PARTITION__/drover-s0-c0-t1-0.parquet",
		"k=7/s=a%2Fb/drover-s0-c0-t1-0.parquet",
		"k=7/s=é %25%3Dx/drover-s0-c0-t1-0.parquet",
		"k=__HIVE_DEFAULT_PARTITION__/s=/drover-s0-c0-t1-0.parquet",
	}, "\n"))
	want(t, "rows", contents(t, dir), "1|7|a/b\n2|NULL|\n3|7|NULL\n4|7|é %=x")
	want(t, "types", describe(mustRead(t, In(dir), drover.Chunking{}).schema), "id INTEGER, k INTEGER, s VARCHAR")
}

func TestTheTextOfTheNullFolderIsRefused(t *testing.T) {
	dir := t.TempDir() + "/out"
	j, err := newJob(t, openTarget(t, Out(dir).PartitionBy("s"), false), "SELECT 1 AS id, '__HIVE_DEFAULT_PARTITION__' AS s UNION ALL SELECT 2, NULL")
	if err != nil {
		t.Fatal(err)
	}
	err = j.write(j.chunks...)
	wantError(t, err, drover.Data, "column s", hiveNull)
	var e *drover.Error
	if errors.As(err, &e); e.Column != "s" {
		t.Errorf("column %q", e.Column)
	}
}

func TestMaxRowsPerFileIsExact(t *testing.T) {
	for n, files := range map[int64]int{0: 1, 40: 8, 250: 2, 1000: 1} {
		dir := t.TempDir() + "/out"
		spec := Out(dir)
		spec.MaxRowsPerFile = n
		run(t, spec, "SELECT range AS id FROM range(300)")
		if got := len(tree(t, dir)); got != files {
			t.Errorf("max %d: %d files, want %d", n, got, files)
		}
		want(t, "rows", rowsOf(t, newSession(t), fmt.Sprintf("SELECT count(*), sum(id), %d FROM read_parquet(%s)", n, duck.Literal(dir+"/*.parquet"))),
			fmt.Sprintf("300|44850|%d", n))
	}
}

func TestFormatsRoundTrip(t *testing.T) {
	query := `SELECT range AS id, CASE WHEN range % 3 > 0 THEN 'x, "' || range END AS s, range * 1.5::DOUBLE AS d, DATE '2020-01-01' + range::INTEGER AS day FROM range(5000)`
	for _, format := range []string{formatParquet, formatCSV, formatJSON, formatArrow} {
		for _, compression := range append(slices.Clone(codecs[format]), "") {
			for _, partition := range []string{"", "day"} {
				if partition != "" && compression != "" {
					continue
				}
				t.Run(format+compression+partition, func(t *testing.T) {
					dir := t.TempDir() + "/out"
					q := query
					if partition != "" {
						q = strings.Replace(query, "range::INTEGER AS", "(range % 3)::INTEGER AS", 1)
					}
					spec := &Sink{Path: dir, Format: format, Compression: compression}
					if partition != "" {
						spec.Partition = []string{partition}
					}
					run(t, spec, q, "SELECT -1, NULL, NULL, DATE '2020-01-02'")
					got := mustRead(t, In(dir), drover.Chunking{})
					s := newSession(t)
					sum := "SELECT count(*), sum(id), sum(hash(s, d, day::VARCHAR))::VARCHAR FROM "
					rel, err := got.src.Open(t.Context(), s, got.schema, got.state, got.chunks)
					if err != nil {
						t.Fatal(err)
					}
					have := rowsOf(t, s, sum+rel.All())
					want(t, "sums", have, rowsOf(t, s, sum+"("+q+" UNION ALL SELECT -1, NULL, NULL, DATE '2020-01-02')"))
					if err := rel.Close(); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}
