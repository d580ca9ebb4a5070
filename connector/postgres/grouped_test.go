package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// openRelation opens chunks of a source.
func openRelation(t *testing.T, s *source, session *duck.Session, st json.RawMessage, chunks []connector.Chunk) *relation {
	t.Helper()
	schema, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rel, err := s.Open(t.Context(), session, schema, st, chunks)
	if err != nil {
		t.Fatal(err)
	}
	return rel.(*relation)
}

// tagged reads the chunk and another column of every row.
func tagged(t *testing.T, session *duck.Session, column, relation string) (tags []int64, values []int64) {
	t.Helper()
	rows, err := session.Query(t.Context(), "SELECT "+step.Tag+", "+column+" FROM "+relation)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for {
		c, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if c.Rows() == 0 {
			return tags, values
		}
		tags = append(tags, duck.Data[int64](c.Vector(0))[:c.Rows()]...)
		values = append(values, duck.Data[int64](c.Vector(1))[:c.Rows()]...)
	}
}

// The rows come chunk after chunk, each once, whether they fit in memory or not, and whichever columns are read.
func TestGroupedRowsAreThoseOfTheChunksInTheirOrder(t *testing.T) {
	u, _ := database(t, `CREATE TABLE src (id bigint, k text, v text, n numeric);
		INSERT INTO src SELECT g, CASE WHEN g % 50 > 0 THEN 'k' || g * 7919 % 49 END, CASE WHEN g = 5 THEN repeat('x', 3000000) ELSE repeat(md5(g::text), 6) END, g FROM generate_series(1, 20000) g`)
	for name, memory := range map[string]int64{"in memory": 0, "in runs": 16 << 20} {
		for _, chunking := range []drover.Chunking{{By: "k"}, {By: "k", Spool: true}, {Rows: 3000}} {
			t.Run(fmt.Sprint(name, chunking), func(t *testing.T) {
				session, dir := newSession(t), t.TempDir()
				s := openTestSource(t, Table(string(u), "src"))
				s.env.TempDir = dir
				st, chunks := cutAll(t, s, chunking)
				before, err := os.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				want := readChunks(t, s, session, st, chunks)
				s.env.Memory = memory
				for _, column := range []string{"id", "length(v) + id - length(v)", "0 * length(v) + id"} {
					rel := openRelation(t, s, session, st, chunks)
					tags, ids := tagged(t, session, column, rel.Grouped())
					if !slices.IsSorted(tags) {
						t.Error("not in order")
					}
					got := make([][]int64, len(chunks))
					for i, tag := range tags {
						got[tag] = append(got[tag], ids[i])
					}
					for i := range got {
						if !slices.Equal(slices.Sorted(slices.Values(got[i])), slices.Sorted(slices.Values(want[i]))) {
							t.Errorf("chunk %s: %d rows, want %d", chunks[i].Key, len(got[i]), len(want[i]))
						}
						if c := rel.Count(i); c.Rows != int64(len(want[i])) {
							t.Errorf("chunk %s: counted %d rows, want %d", chunks[i].Key, c.Rows, len(want[i]))
						}
					}
					if err := rel.Close(); err != nil {
						t.Error(err)
					}
				}
				if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
					t.Errorf("%v: left %v", err, after)
				}
			})
		}
	}
}

// A scan that is given up leaves no file.
func TestAGroupedScanThatIsGivenUpLeavesNothing(t *testing.T) {
	u, _ := database(t, "CREATE TABLE src (id bigint, k int, v text); INSERT INTO src SELECT g, g % 50, repeat(md5(g::text), 6) FROM generate_series(1, 20000) g")
	session, dir := newSession(t), t.TempDir()
	s := openTestSource(t, Table(string(u), "src"))
	s.env.TempDir, s.env.Memory = dir, 16<<20
	st, chunks := cutAll(t, s, drover.Chunking{By: "k"})
	rel := openRelation(t, s, session, st, chunks)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows, err := session.Query(ctx, "SELECT id, v, "+step.Tag+" FROM "+rel.Grouped())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := rows.Next(); err != nil || c.Rows() == 0 {
		t.Fatal(err)
	}
	rows.Close()
	if err := rel.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v: left %v", err, left)
	}
}
