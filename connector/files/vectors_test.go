package files

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/memory"
)

func TestATaskLeavesOneFileInAPartition(t *testing.T) {
	root := t.TempDir()
	spec := Out(filepath.Join(root, "out")).PartitionBy("k")
	query := "SELECT (i %% 3)::VARCHAR AS k, i + %d AS v FROM range(30000) t(i)"
	j, err := newJob(t, openTarget(t, spec, false), fmt.Sprintf(query, 0), fmt.Sprintf(query, 100000), fmt.Sprintf(query, 200000))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(j.chunks...); err != nil {
		t.Fatal(err)
	}
	for id, r := range j.got {
		if r.RowsOut != 30000 {
			t.Errorf("chunk %d counts %d rows of 30000", id, r.RowsOut)
		}
	}
	published, err := j.sink.Publish(t.Context(), j.run, j.output, j.receipts())
	if err != nil || published.Files != 3 {
		t.Errorf("one task over three chunks published %d files in 3 partitions (%v)", published.Files, err)
	}
}

func TestPartitionValueTooLongForAFolderIsRefusedBeforePublish(t *testing.T) {
	j, err := newJob(t, openTarget(t, Out(filepath.Join(t.TempDir(), "out")).PartitionBy("k"), false), "SELECT repeat('x', 300) AS k, 1 AS v")
	if err != nil {
		t.Fatal(err)
	}
	var e *drover.Error
	if err := j.write(j.chunks...); !errors.As(err, &e) || e.Kind != drover.Data || e.Column != "k" || !strings.Contains(e.Message, "302 bytes") {
		t.Errorf("got %v", err)
	}
}

// The collector has nothing to find in what the writer holds. Where that alone comes near the runtime's limit, it runs all the time.
func TestTheWriterLeavesTheCollectorAThirdOfItsPart(t *testing.T) {
	for _, share := range []int64{memory.Least, 256 << 20, 1 << 30, 64 << 30} {
		s := &sink{spec: Out("out"), env: connector.Env{Memory: share}}
		if got, limit := s.writeMemory(), memory.Divide(share).Go; got > limit*2/3 || got <= 0 {
			t.Errorf("of a share of %d MiB the writer holds %d KiB, and the runtime has %d KiB", share>>20, got>>10, limit>>10)
		}
	}
}

func TestTheOrderOfASQLStepIsTheOrderOfItsFile(t *testing.T) {
	for name, spec := range map[string]*Sink{"whole": Out(""), "partitioned": Out("").PartitionBy("k"), "by COPY": {Compression: "lz4"}} {
		spec.Path = filepath.Join(t.TempDir(), "out")
		run(t, spec, "SELECT i % 3 AS k, hash(i) AS h FROM range(50000) t(i) ORDER BY h")
		s := newSession(t)
		files := duck.Literal(spec.Path + "/**/*.parquet")
		got := rowsOf(t, s, `SELECT count(*), count(*) FILTER (h < before) FROM (
			SELECT h, lag(h) OVER (PARTITION BY filename ORDER BY file_row_number) AS before FROM read_parquet(`+files+", filename = true, file_row_number = true))")
		want(t, name, got, "50000|0")
	}
}

func TestRowGroupsAreNoLargerThanAsked(t *testing.T) {
	for _, rows := range []int64{1, 1000, leastCopyGroup, 5000, 20000} {
		for name, value := range map[string]string{"flat": "i", "nested": "[i]"} {
			for _, partition := range []bool{false, true} {
				spec := Out(filepath.Join(t.TempDir(), "out"))
				spec.RowGroupRows = rows
				if partition {
					spec.PartitionBy("k")
				}
				query := "SELECT i % 2 AS k, " + value + " AS v FROM range(45000) t(i) WHERE i % 7 > 0"
				j, err := newJob(t, openTarget(t, spec, false), query)
				if name == "nested" && rows < leastCopyGroup {
					wantError(t, err, drover.Invalid, "column v (BIGINT[])", "row_group_rows: 4096")
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if rows == 1 {
					continue // it may be asked for; a file with as many row groups takes its time
				}
				if err := j.write(j.chunks...); err != nil {
					t.Fatal(err)
				}
				if _, err := j.publish(); err != nil {
					t.Fatal(err)
				}
				got := rowsOf(t, newSession(t), fmt.Sprintf("SELECT max(row_group_num_rows) BETWEEN %d AND %d FROM parquet_metadata(%s)",
					min(rows/2, 17000), rows, duck.Literal(spec.Path+"/**/*.parquet")))
				want(t, fmt.Sprintf("%s, %d rows, partitioned %v", name, rows, partition), got, "true")
			}
		}
	}
}

// What the writer does not cover is DuckDB's to write, with the same answer; what Parquet would not hold exactly is refused before that.
func TestTypesBeyondTheWriterAreWrittenByCopyOrRefused(t *testing.T) {
	for typ, values := range map[string][2]string{
		"INTEGER[]":                    {"[1, NULL, 3]", "[]"},
		"STRUCT(a INTEGER, b VARCHAR)": {"{'a': 1, 'b': NULL}", "{'a': NULL, 'b': 'x'}"},
		"MAP(VARCHAR, INTEGER)":        {"MAP {'a': 1}", "MAP {}"},
		"INTEGER[2]":                   {"[1, 2]", "[3, 4]"},
		"BIT":                          {"'101'", "'0'"},
		"HUGEINT":                      {"1", "-1"},
		"INTERVAL":                     {"'1 day'", "'1 month'"},
		"TIME WITH TIME ZONE":          {"'10:00:00+01'", "'10:00:00-01'"},
	} {
		for _, partition := range []bool{false, true} {
			spec := Out(filepath.Join(t.TempDir(), "out"))
			if partition {
				spec.PartitionBy("k")
			}
			query := fmt.Sprintf(`SELECT i AS id, i %% 2 AS k, v FROM range(3000) t(i)
				JOIN (SELECT 0 AS n, (%s)::%s AS v UNION ALL SELECT 1, (%s)::%[2]s UNION ALL SELECT 2, NULL) ON n = i %% 3`, values[0], typ, values[1])
			j, err := newJob(t, openTarget(t, spec, false), query)
			if slices.Contains([]string{"HUGEINT", "INTERVAL", "TIME WITH TIME ZONE"}, typ) {
				wantError(t, err, drover.Invalid, "column v ("+typ+")")
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", typ, err)
			}
			if err := j.write(j.chunks...); err != nil {
				t.Fatalf("%s: %v", typ, err)
			}
			if _, err := j.publish(); err != nil {
				t.Fatalf("%s: %v", typ, err)
			}
			const sums = "SELECT count(*), count(v), sum(id), sum(hash(id, k, v::VARCHAR)) FROM "
			s := newSession(t)
			got := rowsOf(t, s, sums+"(SELECT id, k::BIGINT AS k, v FROM read_parquet("+duck.Literal(spec.Path+"/**/*.parquet")+", hive_partitioning = "+fmt.Sprint(partition)+"))")
			want(t, typ, got, rowsOf(t, s, sums+"("+query+")"))
		}
	}
}
