package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// reads returns the statements that read all of a source's chunks with one column.
func reads(t *testing.T, s *source, by string) reading {
	t.Helper()
	session := newSession(t)
	schema, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st, chunks := cutAll(t, s, drover.Chunking{By: by})
	rel, err := s.Open(t.Context(), session, schema, st, chunks)
	if err != nil {
		t.Fatal(err)
	}
	r := rel.(*relation)
	p, err := r.statements([]int{0}, r.everyChunk())
	if err = errors.Join(err, rel.Close()); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestValuesOfOneTaskAreReadByOneStatement(t *testing.T) {
	u, conn := database(t, "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
	for typ, byValue := range map[string]bool{
		"text": true, "varchar(9)": true, "int": true, "bigint": true, "date": true, `text COLLATE "C"`: true,
		"char(9)": false, "numeric": false, "text COLLATE nocase": false,
	} {
		execSQL(t, conn, fmt.Sprintf(`DROP TABLE IF EXISTS src; CREATE TABLE src (id int, k %s); CREATE INDEX ON src (k);
			INSERT INTO src SELECT i, CASE WHEN i %% 7 > 0 THEN to_char(20000101 + i %% 7, 'FM99999999') END::%[1]s FROM generate_series(1, 100) i`, typ))
		p := reads(t, openTestSource(t, Table(string(u), "src")), "k")
		// NULL has a statement of its own where the rows do not say by their value which chunk is theirs.
		if len(p.statements) != map[bool]int{true: 1, false: 2}[byValue] || !p.added || p.fields != 2 {
			t.Errorf("%s: %d statements with %d fields", typ, len(p.statements), p.fields)
		}
		if st := p.statements[len(p.statements)-1]; (st.keys != nil) != byValue || strings.Contains(st.sql, "JOIN") == byValue {
			t.Errorf("%s: %s", typ, st.sql)
		}
	}
}

func TestNULLsAreReadWithTheValuesAndStayTheirOwnChunk(t *testing.T) {
	u, _ := database(t, `CREATE TABLE src AS SELECT i AS id, (ARRAY[NULL, '', 'a', NULL, 'b'])[1 + i % 5] AS k FROM generate_series(1, 1000) i`)
	session := newSession(t)
	for _, read := range []string{"id", "k", "id, k"} { // without the key, with it alone, and with both
		s := openTestSource(t, Table(string(u), "src"))
		schema, err := s.Schema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st, chunks := cutAll(t, s, drover.Chunking{By: "k"})
		rel, err := s.Open(t.Context(), session, schema, st, chunks)
		if err != nil {
			t.Fatal(err)
		}
		sql := fmt.Sprintf("SELECT count(*) FROM (SELECT %s, %s AS n FROM %s) WHERE n >= 0 GROUP BY n ORDER BY n", read, step.Tag, rel.All())
		tagged, err := session.Texts(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range chunks {
			want := int64(200)
			if c.Key == connector.NullKey {
				want = 400
			}
			if got := rel.Count(i).Rows; got != want || *tagged[i][0] != fmt.Sprint(want) {
				t.Errorf("%s: chunk %s has %d rows, %s with its tag; want %d", read, c.Key, got, *tagged[i][0], want)
			}
		}
		if err := rel.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A task of scattered values must visit the pages of the table in their order, not once for each row.
func TestScatteredValuesAreReadInTheOrderOfTheHeap(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src AS SELECT i AS id, i % 500 AS k, repeat('x', 200) AS pad FROM generate_series(1, 50000) i;
		CREATE INDEX ON src (k); ANALYZE src`)
	p := reads(t, openTestSource(t, Table(string(u), "src")), "k")
	query := strings.TrimSuffix(strings.TrimPrefix(p.statements[0].sql, "COPY "), " TO STDOUT (FORMAT binary)")
	query = strings.TrimSuffix(strings.TrimPrefix(query, "("), ")")
	plan := dump(t, conn, "EXPLAIN "+query)
	if !slices.ContainsFunc([]string{"Bitmap Heap Scan", "Seq Scan"}, func(scan string) bool { return strings.Contains(plan, scan) }) {
		t.Error(plan)
	}
}

func TestRule23RowsAreCountedAfterPushdown(t *testing.T) {
	u, _ := database(t, "CREATE TABLE src AS SELECT i AS id, i % 2 = 0 AS even FROM generate_series(1, 10) i; ALTER TABLE src ADD PRIMARY KEY (id)")
	session := newSession(t)
	for _, narrow := range []bool{false, true} {
		s := openTestSource(t, Table(string(u), "src"))
		schema, err := s.Schema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st, chunks := cutAll(t, s, drover.Chunking{})
		rel, err := s.Open(t.Context(), session, schema, st, chunks)
		if err != nil {
			t.Fatal(err)
		}
		if narrow {
			rel.(*relation).Narrow([]step.Condition{{Op: "true", Column: "even"}})
		}
		if _, err = session.Texts(t.Context(), "SELECT count(id) FROM "+rel.All()); err != nil {
			t.Fatal(err)
		}
		got := rel.Count(0)
		if err := rel.Close(); err != nil {
			t.Fatal(err)
		}
		if want := int64(10); !narrow && (got.Rows != want || got.Scanned == nil || *got.Scanned != want) || narrow && (got.Rows != 5 || got.Scanned != nil) {
			t.Errorf("narrowed %v: %+v", narrow, got)
		}
	}
}
