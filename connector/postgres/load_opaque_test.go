package postgres

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// opaque are steps that must see one whole chunk, as a program that is not row-wise, and what they make of the values 1, 2, 2 of one chunk.
var opaque = map[string]struct{ sql, rows string }{
	"aggregate": {"SELECT count(*) AS id, sum(v)::BIGINT AS v FROM c", "(3,5)"},
	"group by":  {"SELECT v AS id, count(*) AS v FROM c GROUP BY v", "(1,1) (2,2)"},
	"window":    {"SELECT row_number() OVER (ORDER BY v) AS id, v FROM c", "(1,1) (2,2) (3,2)"},
	"distinct":  {"SELECT DISTINCT v AS id, v FROM c", "(1,1) (2,2)"},
	"self-join": {"SELECT a.v AS id, count(*) AS v FROM c a JOIN c b ON a.v = b.v GROUP BY a.v", "(1,1) (2,4)"},
	"union":     {"SELECT v AS id, v FROM c WHERE v = 1 UNION ALL SELECT v + 1, v FROM c WHERE v = 1", "(1,1) (2,1)"},
}

// opaqueProgram is the shape of what the compiler makes of such a step.
func opaqueProgram(sql string) step.Program {
	return step.Program{
		SQL: "SELECT id, v, " + step.Index() + "::BIGINT AS " + step.Tag + "\nFROM (WITH c AS (FROM " + step.Input() + ") " + sql + ") AS chunk",
		Why: "step 1 (sql)",
	}
}

var opaqueOutput = drover.Schema{{Name: "id", Type: "BIGINT"}, {Name: "v", Type: "BIGINT"}}

// Three chunks of the same values at different offsets, the second of them empty.
func opaqueChunks() []string {
	return []string{
		"SELECT unnest([1, 2, 2])::BIGINT AS v", "SELECT 1::BIGINT AS v WHERE false", "SELECT unnest([1, 2, 2])::BIGINT AS v",
	}
}

func TestOpaqueStepsLoadFromPostgresChunkByChunk(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (g text, v bigint); CREATE TABLE dst (id bigint, v bigint);
		INSERT INTO src VALUES ('a', 1), ('a', 2), ('a', 2), ('b', 1), ('b', 2), ('b', 2), ('e', 7)`)
	session := newSession(t)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{By: "g"})
	if len(chunks) < 3 {
		t.Fatalf("chunks %+v", chunks)
	}
	execSQL(t, conn, "DELETE FROM src WHERE g = 'e'") // a chunk that holds nothing any more
	for name, c := range opaque {
		t.Run(name, func(t *testing.T) {
			execSQL(t, conn, "TRUNCATE dst")
			program := opaqueProgram(c.sql)
			if name == "aggregate" {
				program = opaqueProgram(c.sql + " HAVING count(*) > 0")
			}
			got, _, err := transfer{source: s, state: st, chunks: chunks, session: session, output: opaqueOutput, program: program}.into(t.Context(), t, conn, "dst")
			if err != nil {
				t.Fatal(err)
			}
			rows := strings.Fields(c.rows)
			want(t, conn, "dst", append(rows, rows...)...)
			with := 0
			for _, g := range got {
				if g.rows == int64(len(rows)) {
					with++
				} else if g.rows != 0 {
					t.Errorf("a chunk counts %d rows of %d", g.rows, len(rows))
				}
			}
			if with != 2 {
				t.Errorf("%d chunks have rows: %+v", with, got)
			}
		})
	}
}

func TestOpaqueStepsLoadIntoEveryModeChunkByChunk(t *testing.T) {
	for _, mode := range []Mode{Append, Replace, Upsert} {
		for name, c := range opaque {
			t.Run(string(mode)+" "+name, func(t *testing.T) {
				sql := "CREATE TABLE t (id bigint, v bigint)"
				rows := strings.Fields(c.rows)
				twice := append(append([]string{}, rows...), rows...)
				spec := &Sink{Mode: mode, Table: "t"}
				if mode == Upsert { // both chunks write the same keys
					sql = "CREATE TABLE t (id bigint PRIMARY KEY, v bigint)"
					spec.Key, twice = []string{"id"}, append([]string{}, rows...)
				}
				u, conn := database(t, sql)
				spec.URL = u
				j := newJob(t, spec, opaqueChunks()...)
				j.output = opaqueOutput
				j.program = opaqueProgram(c.sql)
				if name == "aggregate" {
					j.program = opaqueProgram(c.sql + " HAVING count(*) > 0")
				}
				j.begin()
				tasks := [][]int64{{0, 1, 2}}
				if mode == Upsert { // one task may not have a key twice
					tasks = [][]int64{{0, 1}, {2}}
				}
				var receipts []connector.Receipt
				for _, ids := range tasks {
					receipts = append(receipts, j.write(ids...)...)
				}
				for i, n := range []int64{int64(len(rows)), 0, int64(len(rows))} {
					if receipts[i].RowsOut != n {
						t.Errorf("chunk %d: %d rows out, want %d", i, receipts[i].RowsOut, n)
					}
				}
				j.publish()
				want(t, conn, "t", twice...)
			})
		}
	}
}

func TestAnAggregateOfAnEmptyChunkIsARow(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint, v bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, opaqueChunks()...)
	j.output, j.program = opaqueOutput, opaqueProgram("SELECT count(*) AS id, sum(v)::BIGINT AS v FROM c")
	j.begin().write(0, 1, 2)
	want(t, conn, "t", "(3,5)", "(0,)", "(3,5)")
}
