package files

import (
	"context"
	"fmt"
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
	"github.com/droverdata/drover/internal/storage"
	"github.com/droverdata/drover/internal/storage/storagetest"
)

// visible returns the rows that a reader of Parquet files sees below dir.
func visible(t *testing.T, dir string) string {
	t.Helper()
	if n, _ := filepath.Glob(dir + "/*/*.parquet"); len(n) == 0 {
		return ""
	}
	return rowsOf(t, newSession(t), "SELECT id, k FROM read_parquet("+duck.Literal(dir+"/**/*.parquet")+") ORDER BY ALL")
}

// prepare makes a dataset with rows 1 to 3 in partitions 1 and 2, and a run that has staged row 4 in partition 2 and row 5 in partition 3.
func prepare(t *testing.T, mode Mode, store storage.Store) (string, *job) {
	t.Helper()
	dir := t.TempDir() + "/out"
	run(t, Out(dir).PartitionBy("k"), "SELECT 1 AS id, 1 AS k", "SELECT 2, 1 UNION ALL SELECT 3, 2")
	spec := Out(dir).PartitionBy("k")
	spec.Mode = mode
	s := openTarget(t, spec, true).(*sink)
	s.store = store
	j, err := newJob(t, s, "SELECT 4 AS id, 2 AS k", "SELECT 5, 3")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range j.chunks {
		if err := j.write(c); err != nil {
			t.Fatal(err)
		}
	}
	return dir, j
}

// again returns a copy of a prepared dataset and of its run.
func again(t *testing.T, dir string, j *job) (string, *job) {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(to, rel), info.ModTime(), info.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
	twin, s := *j, *j.sink.(*sink)
	s.root = to
	twin.sink = &s
	twin.run.State = nil
	if twin.run.State, err = s.Begin(t.Context(), twin.run, twin.output); err != nil {
		t.Fatal(err)
	}
	return to, &twin
}

func TestPublishInterruptedAnywhereEndsInTheSameState(t *testing.T) {
	oldRows := "1|1\n2|1\n3|2"
	for mode, rows := range map[Mode]string{
		Append:              "1|1\n2|1\n3|2\n4|2\n5|3",
		Overwrite:           "4|2\n5|3",
		OverwritePartitions: "1|1\n2|1\n4|2\n5|3",
	} {
		t.Run(string(mode), func(t *testing.T) {
			dir, j := prepare(t, mode, storage.Local{})
			count := &storagetest.Faulty{Store: storage.Local{}}
			j.sink.(*sink).store = count
			if _, err := j.publish(); err != nil {
				t.Fatal(err)
			}
			undisturbed := tree(t, dir)
			want(t, "undisturbed", visible(t, dir), rows)
			if count.Operations() < 5 {
				t.Fatalf("only %d operations", count.Operations())
			}
			fresh, staged := prepare(t, mode, storage.Local{})
			for i := 1; i <= count.Operations(); i++ {
				for _, after := range []bool{false, true} {
					dir, j := again(t, fresh, staged)
					j.sink.(*sink).store = &storagetest.Faulty{Store: storage.Local{}, At: i, After: after}
					if _, err := j.publish(); err == nil {
						t.Fatalf("operation %d: no error", i)
					}
					now := strings.Split(visible(t, dir), "\n")
					has := func(all string) bool {
						for _, row := range strings.Split(all, "\n") {
							if !slices.Contains(now, row) {
								return false
							}
						}
						return true
					}
					if !has(oldRows) && !has(rows) {
						t.Errorf("operation %d, after %t: rows are lost: %s", i, after, now)
					}
					j.sink.(*sink).store = storage.Local{}
					if gone, err := j.sink.Verify(t.Context(), j.run, j.receipts()); err != nil || len(gone) > 0 {
						t.Errorf("operation %d, after %t: gone %v, %v", i, after, gone, err)
					}
					if _, err := j.sink.Begin(t.Context(), j.run, j.output); err != nil {
						t.Fatal(err)
					}
					for range 2 {
						p, err := j.publish()
						if err != nil {
							t.Fatalf("operation %d, after %t: %v", i, after, err)
						}
						if p.Files != 2 {
							t.Errorf("%d files", p.Files)
						}
					}
					want(t, fmt.Sprintf("rows after operation %d", i), visible(t, dir), rows)
					want(t, fmt.Sprintf("tree after operation %d", i), strings.Join(tree(t, dir), "\n"), strings.Join(undisturbed, "\n"))
				}
			}
		})
	}
}

func TestNothingIsVisibleBeforePublish(t *testing.T) {
	dir, _ := prepare(t, Overwrite, storage.Local{})
	want(t, "rows", visible(t, dir), "1|1\n2|1\n3|2")
	for _, glob := range []string{"*/*/*/*.parquet", "*/*/*/*/*.parquet", "*/*/*.parquet"} {
		if names, _ := filepath.Glob(dir + "/" + glob); len(names) > 0 {
			t.Errorf("%s matches %s", glob, names)
		}
	}
}

func TestAConcurrentAppendSurvivesAnOverwrite(t *testing.T) {
	dir, j := prepare(t, Overwrite, storage.Local{})
	run(t, Out(dir).PartitionBy("k").Append(), "SELECT 9 AS id, 1 AS k")
	if _, err := j.publish(); err != nil {
		t.Fatal(err)
	}
	want(t, "rows", visible(t, dir), "4|2\n5|3\n9|1")
}

func TestOnlyListedFilesAreRemoved(t *testing.T) {
	// A file that somebody wrote anew under a listed name is not the one that was listed.
	dir, j := prepare(t, Overwrite, storage.Local{})
	names, err := filepath.Glob(dir + "/k=1/*.parquet")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	parquetFile(t, names[0], "SELECT 77 AS id")
	if _, err := j.publish(); err != nil {
		t.Fatal(err)
	}
	want(t, "rows", visible(t, dir), "4|2\n5|3\n77|1")
}

func TestALateAttemptOfAClosedRunWritesNothing(t *testing.T) {
	for name, end := range map[string]func(*job) error{
		"published": func(j *job) error { _, err := j.publish(); return err },
		"aborted":   func(j *job) error { _, err := j.sink.Abort(t.Context(), j.run); return err },
	} {
		t.Run(name, func(t *testing.T) {
			dir, j := prepare(t, Append, storage.Local{})
			if err := end(j); err != nil {
				t.Fatal(err)
			}
			before := tree(t, dir)
			wantError(t, j.write(j.chunks[0]), drover.Fenced)
			want(t, "tree", fmt.Sprint(tree(t, dir)), fmt.Sprint(before))
		})
	}
}

func TestAttemptsWithoutAReceiptArePublishedByNobody(t *testing.T) {
	dir, j := prepare(t, Append, storage.Local{})
	kept := j.got[0]
	if err := j.write(j.chunks[0]); err != nil { // a second attempt, whose receipt the ledger refuses
		t.Fatal(err)
	}
	j.got[0] = kept
	if _, err := j.publish(); err != nil {
		t.Fatal(err)
	}
	want(t, "rows", visible(t, dir), "1|1\n2|1\n3|2\n4|2\n5|3")
	for _, name := range tree(t, dir) {
		if strings.HasPrefix(name, areaPrefix) {
			t.Errorf("%s is left", name)
		}
	}
}

func TestVerifyReturnsTheChunksOfLostFiles(t *testing.T) {
	dir := t.TempDir() + "/out"
	j, err := newJob(t, openTarget(t, Out(dir), false), "SELECT 1 AS id", "SELECT 2", "SELECT 3")
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(j.chunks[:2]...); err != nil {
		t.Fatal(err)
	}
	if err := j.write(j.chunks[2]); err != nil {
		t.Fatal(err)
	}
	staged, _ := filepath.Glob(dir + "/*/s0-c0-*/*")
	if len(staged) != 1 {
		t.Fatal(staged)
	}
	if err := os.Remove(staged[0]); err != nil {
		t.Fatal(err)
	}
	gone, err := j.sink.Verify(t.Context(), j.run, j.receipts())
	if err != nil || fmt.Sprint(gone) != "[0 1]" {
		t.Fatalf("gone %v, %v", gone, err)
	}
	_, err = j.publish()
	wantError(t, err, drover.Refused, "gone")
	// What that publish made visible is the intact attempt's alone, and stays its.
	if err := j.write(j.chunks[:2]...); err != nil {
		t.Fatal(err)
	}
	if _, err := j.publish(); err != nil {
		t.Fatal(err)
	}
	want(t, "rows", contents(t, dir), "1\n2\n3")
}

func TestALostStagingFolderIsMadeAnew(t *testing.T) {
	dir, j := prepare(t, Overwrite, storage.Local{})
	j.run.StartedAt = time.Now().Add(time.Second) // files have times of whole seconds, and what was there is older than the run
	if err := os.RemoveAll(j.sink.(*sink).area(j.run)); err != nil {
		t.Fatal(err)
	}
	gone, err := j.sink.Verify(t.Context(), j.run, j.receipts())
	if err != nil || fmt.Sprint(gone) != "[0 1]" {
		t.Fatalf("gone %v, %v", gone, err)
	}
	if _, err := j.sink.Begin(t.Context(), j.run, j.output); err != nil {
		t.Fatal(err)
	}
	if err := j.write(j.chunks...); err != nil {
		t.Fatal(err)
	}
	if _, err := j.publish(); err != nil {
		t.Fatal(err)
	}
	want(t, "rows", visible(t, dir), "4|2\n5|3")
}

func TestModeErrorRefusesDataButNotItsOwn(t *testing.T) {
	dir := t.TempDir() + "/out"
	j := run(t, Out(dir), "SELECT 1 AS id")
	_, err := newJob(t, openTarget(t, Out(dir), false), "SELECT 1 AS id")
	wantError(t, err, drover.Refused, "holds data already", "mode")
	// With Resume, Check leaves it to Begin, which refuses a new run and lets the old one go on.
	_, err = newJob(t, openTarget(t, Out(dir), true), "SELECT 1 AS id")
	wantError(t, err, drover.Refused, "holds data already")
	if _, err := j.sink.Begin(t.Context(), j.run, j.output); err != nil {
		t.Errorf("its own file is refused: %v", err)
	}
}

func TestAbortRemovesWhatIsStaged(t *testing.T) {
	dir, j := prepare(t, Overwrite, storage.Local{})
	for range 2 {
		if n, err := j.sink.Abort(t.Context(), j.run); err != nil || n != 0 {
			t.Fatal(n, err)
		}
	}
	want(t, "rows", visible(t, dir), "1|1\n2|1\n3|2")
}

func TestAHalfPublishedRunIsNotAborted(t *testing.T) {
	_, j := prepare(t, Overwrite, storage.Local{})
	j.sink.(*sink).store = &storagetest.Faulty{Store: storage.Local{}, At: 1, After: true}
	if _, err := j.publish(); err == nil {
		t.Fatal("no error")
	}
	j.sink.(*sink).store = storage.Local{}
	_, err := j.sink.Abort(t.Context(), j.run)
	wantError(t, err, drover.Refused, "has begun")
}

func TestZeroRowsKeepTheSchema(t *testing.T) {
	empty := "SELECT 1::BIGINT AS id, 'x' AS s, DATE '2020-01-01' AS d WHERE false"
	for _, format := range []string{formatParquet, formatArrow, formatCSV} {
		dir := t.TempDir() + "/out"
		run(t, &Sink{Path: dir, Format: format}, empty, empty)
		got := mustRead(t, In(dir), drover.Chunking{})
		schema := "id BIGINT, s VARCHAR, d DATE"
		if format == formatCSV {
			schema = "id VARCHAR, s VARCHAR, d VARCHAR"
		}
		want(t, format, describe(got.schema), schema)
		want(t, format, got.rows(t), "")
	}
	dir := t.TempDir() + "/out"
	run(t, Out(dir).PartitionBy("s"), empty)
	want(t, "tree", strings.Join(tree(t, dir), " "), "drover-s0-empty.parquet")
	want(t, "schema", describe(mustRead(t, In(dir), drover.Chunking{}).schema), "id BIGINT, s VARCHAR, d DATE")
	run(t, Out(dir).PartitionBy("s").Append(), "SELECT 1::BIGINT AS id, '007' AS s, DATE '2020-01-01' AS d")
	want(t, "tree", strings.Join(tree(t, dir), " "), "s=007/drover-s0-c0-t1-0.parquet")
	want(t, "rows", contents(t, dir), "1|2020-01-01|007")
}

func TestReceiptsAreExact(t *testing.T) {
	j := run(t, Out(t.TempDir()+"/out"), "SELECT range AS id FROM range(10)", "SELECT 1 WHERE false", "SELECT range FROM range(20)")
	var rows, bytes int64
	for _, c := range j.chunks {
		r := j.got[c.ID]
		rows, bytes = rows+r.RowsOut, bytes+r.BytesOut
		if (len(r.Publish) > 0) != (c.ID == 0) {
			t.Errorf("chunk %d: note %s", c.ID, r.Publish)
		}
	}
	if rows != 30 || j.got[0].RowsOut != 10 || j.got[1].RowsOut != 0 || bytes == 0 {
		t.Errorf("%d rows, %d bytes, %+v", rows, bytes, j.got)
	}
}

func TestOverwriteOfTheOwnSource(t *testing.T) {
	dir := t.TempDir() + "/out"
	run(t, Out(dir), "SELECT 1 AS id", "SELECT 2")
	src := mustRead(t, In(dir), drover.Chunking{})
	s := openTarget(t, Out(dir).Overwrite(), false)
	j, err := newJob(t, s, "SELECT 1 AS id")
	if err != nil {
		t.Fatal(err)
	}
	session := newSession(t)
	rel, err := src.src.Open(t.Context(), session, src.schema, src.state, src.chunks)
	if err != nil {
		t.Fatal(err)
	}
	j.inputs[0] = "SELECT id + 10 AS id FROM " + rel.All()
	if err := j.write(j.chunks...); err != nil {
		t.Fatal(err)
	}
	if _, err := j.publish(); err != nil {
		t.Fatal(err)
	}
	want(t, "rows", contents(t, dir), "11\n12")
	if err := rel.Close(); err != nil {
		t.Error(err)
	}
}

func TestARunThatIsClosedUnderAnAttemptFencesIt(t *testing.T) {
	dir, j := prepare(t, Append, storage.Local{})
	before := visible(t, dir)
	s := j.sink.(*sink)
	session := newSession(t)
	_, err := s.Write(t.Context(), connector.Attempt{Run: j.run, Token: 99, Chunks: j.chunks[:1]}, func(context.Context, []connector.Chunk) (connector.Input, error) {
		if _, err := s.Abort(t.Context(), j.run); err != nil {
			return connector.Input{}, err
		}
		return connector.Input{
			Session: session, Relation: fixed{"SELECT 4 AS id, 2 AS k"}, Program: step.Program{SQL: "SELECT * FROM " + step.Input(), RowWise: true},
			Source: j.output, Output: j.output, Progress: func(_, _, _, _ int64) {}, PeakMemory: func() int64 { return 1 },
		}, nil
	})
	wantError(t, err, drover.Fenced, "closed")
	want(t, "rows", visible(t, dir), before)
	for _, name := range tree(t, dir) {
		if strings.HasPrefix(name, areaPrefix) {
			t.Errorf("%s is back", name)
		}
	}
}
