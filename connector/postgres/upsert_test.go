package postgres

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/droverdata/drover"
)

func TestRule28UpsertUpdatesAndInserts(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint PRIMARY KEY, name text, kept text DEFAULT 'd'); INSERT INTO t VALUES (1, 'foo', 'k'), (3, 'c', 'k')")
	spec := &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"ID"}}
	for range 2 {
		newJob(t, spec, "SELECT 1::BIGINT AS id, 'new' AS name", "SELECT 2::BIGINT AS id, 'b' AS name").complete()
		want(t, conn, "t", "(1,new,k)", "(2,b,d)", "(3,c,k)")
	}
	spec.OnConflict = "ignore"
	newJob(t, spec, "SELECT unnest([1, 4])::BIGINT AS id, 'ignored' AS name").complete()
	want(t, conn, "t", "(1,new,k)", "(2,b,d)", "(3,c,k)", "(4,ignored,d)")
	newJob(t, spec, "SELECT unnest([1, 5])::BIGINT AS id").complete() // nothing but the key
	want(t, conn, "(SELECT count(*) FROM t)", "(5)")
}

func TestRule28UpsertCastsBeforeItComparesKeys(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (a numeric(9,0), b varchar(9), at timestamptz, v jsonb); CREATE UNIQUE INDEX ON t (b, a)")
	spec := &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"a", "b"}, Latest: "at"}
	newJob(t, spec,
		`SELECT 1.4::DOUBLE AS a, 'x' AS b, TIMESTAMPTZ '2020-01-01 00:00:00Z' AS at, '1'::JSON AS v UNION ALL SELECT 0.6, 'x', TIMESTAMPTZ '2021-01-01 00:00:00Z', '2'::JSON`,
		`SELECT 0.9::DOUBLE AS a, 'x' AS b, NULL::TIMESTAMPTZ AS at, '3'::JSON AS v`).complete()
	want(t, conn, "(SELECT a, b, v FROM t)", "(1,x,2)")
}

func TestRule28KeyMustBeUniqueOrLatestGiven(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint UNIQUE, v integer); INSERT INTO t VALUES (1, 0)")
	twice := "SELECT unnest([1, 2, 1])::BIGINT AS id, unnest([1, 2, 3]) AS v"
	for _, conflict := range []string{"", "ignore"} {
		j := newJob(t, &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"id"}, OnConflict: conflict}, twice).begin()
		_, err := j.try(0)
		fails(t, err, drover.Data, "21000", "(id) = (1)", "latest: COLUMN")
	}
	want(t, conn, "t", "(1,0)")
	null := newJob(t, &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"id"}}, "SELECT NULL::BIGINT AS id, 1 AS v").begin()
	_, err := null.try(0)
	fails(t, err, drover.Data, "23502", "NULL in its key", "id IS NOT NULL")
	newJob(t, &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"id"}, Latest: "v"}, twice).complete()
	want(t, conn, "t", "(1,3)", "(2,2)")
}

// The outcome of latest is the same for every packing of rows into chunks and every order of their commits.
func TestRule28LatestWinsWhateverTheOrder(t *testing.T) {
	u, conn := database(t, "")
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 28))
		table := fmt.Sprintf("t%d", seed)
		count := 1 + r.IntN(12)
		var rows []string
		best := map[int]string{}
		rank := map[int]string{}
		for range count {
			id, at, v := 1+r.IntN(3), r.IntN(3), r.IntN(10)
			text, key := fmt.Sprint(at), fmt.Sprintf("%d%d", at, v)
			if at == 0 {
				text, key = "", "-"+fmt.Sprint(v)
			}
			rows = append(rows, fmt.Sprintf("(%d, %s, %d)", id, map[bool]string{true: "NULL", false: text}[at == 0], v))
			if key > rank[id] {
				rank[id], best[id] = key, fmt.Sprintf("(%d,%s,%d)", id, text, v)
			}
		}
		cut := r.IntN(count + 1)
		var chunks []string
		for _, part := range [][]string{rows[:cut], rows[cut:]} {
			if len(part) > 0 {
				chunks = append(chunks, "SELECT id::BIGINT AS id, ts::INTEGER AS ts, v::INTEGER AS v FROM (VALUES "+strings.Join(part, ", ")+") x(id, ts, v)")
			}
		}
		newJob(t, &Sink{URL: u, Table: table, Mode: Upsert, Key: []string{"id"}, Latest: "ts"}, chunks...).complete()
		var lines []string
		for _, l := range best {
			lines = append(lines, l)
		}
		want(t, conn, table, lines...)
		if t.Failed() {
			t.Fatalf("seed %d: %q", seed, chunks)
		}
	}
}

func TestRule28ConcurrentUpsertsDoNotDeadlock(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint PRIMARY KEY, v integer)")
	up, down := "SELECT i AS id, 1 AS v FROM range(2000) r(i) ORDER BY i", "SELECT i AS id, 2 AS v FROM range(2000) r(i) ORDER BY i DESC"
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"id"}}, up).begin()
	var all sync.WaitGroup
	for i := range 4 {
		other := newJob(t, &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"id"}}, up, down)
		other.run = j.run
		other.chunks = []string{up, down, up, down}
		other.token = int64(i)
		all.Go(func() {
			if _, err := other.try(int64(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want(t, conn, "(SELECT count(*) FROM t)", "(2000)")
}
