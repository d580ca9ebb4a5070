package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// people makes a source of 3,000 rows, six of which the target refuses for a reason each, with values that DuckDB cannot carry beside them, and the target.
func people(t *testing.T, p *place) {
	t.Helper()
	p.postgres(t)
	p.sql(t, `
CREATE TABLE raw (id bigint PRIMARY KEY, code text, size int, price numeric, place inet, made text, name text);
INSERT INTO raw SELECT g, 'c' || g % 10, g % 100, (g || '.50')::numeric, '10.0.0.1', (g % 50)::text, 'n' || g FROM generate_series(1, 3000) g;
UPDATE raw SET code = 'too long' WHERE id = 100;
UPDATE raw SET size = 70000 WHERE id = 1100;
UPDATE raw SET name = NULL WHERE id = 1101;
UPDATE raw SET size = -1 WHERE id = 2048;
UPDATE raw SET made = 'soon' WHERE id = 2999;
UPDATE raw SET made = 'never', size = -2, price = 1e50 WHERE id = 3000;
UPDATE raw SET price = 1e40 WHERE id = 5;
CREATE TABLE clean (id bigint PRIMARY KEY, code varchar(4), size smallint CHECK (size >= 0), price numeric, place inet, made int, name text NOT NULL);`)
}

func peopleJob(mode string) string {
	return `
name: people
source: {postgres: {url: "${DB}", table: raw}}
chunk: {rows: 1000}
steps:
  - cast: {made: INTEGER}
  - set: {code: trim(code), size: size + 0}
sink: {postgres: {url: "${DB}", table: clean, mode: ` + mode + `}}
rejects: {files: {path: rejects/}}
`
}

func TestRowsThatTheTargetRefusesGoToTheRejects(t *testing.T) {
	for _, mode := range []string{"append", "replace", "upsert", "replace with a view"} {
		t.Run(mode, func(t *testing.T) {
			p := newPlace(t)
			people(t, p)
			mode, view := strings.CutSuffix(mode, " with a view")
			if view {
				p.sql(t, `CREATE VIEW seen AS SELECT * FROM clean`)
			}
			if mode == "upsert" {
				mode += ", key: [id]"
			}
			p.write(t, "job.yaml", peopleJob(mode))
			s := p.must(t, "run", "job.yaml", "--json").summary(t)
			if s.RowsIn != 3000 || s.RowsOut != 2994 || s.RowsRejected != 6 {
				t.Errorf("%+v", s)
			}
			got := strings.Split(p.query(t, `SELECT "row"->>'id' AS id, "column", reason, "row"->>'size', "row"->>'price', "row"->>'place' FROM 'rejects/*.parquet' ORDER BY 1::BIGINT`), "\n")
			want := [][]string{
				{"100|", "code", "value too long for type character varying(4)", "22001"},
				{"1100|", "size", "70000", "smallint"},
				{"1101|", "name", "null value in column", "23502"},
				{"2048|", "-1", "violates check constraint", "clean_size_check", "23514"},
				{"2999|made|", "soon", "step 1 (cast)"},
				{"3000|made|", "never", "|-2|1", "00000000000000000000000|"},
			}
			if len(got) != len(want) {
				t.Fatalf("%d rejects:\n%s", len(got), strings.Join(got, "\n"))
			}
			for i, parts := range want {
				for _, part := range parts {
					if !strings.Contains(got[i], part) {
						t.Errorf("no %q in %s", part, got[i])
					}
				}
			}
			// What no step touches stays as it is, also where rows beside it are rejected.
			state := `SELECT count(*) || ' ' || sum(id) || ' ' || count(*) FILTER (WHERE price = (id || '.5')::numeric AND scale(price) = 2) || ' ' || max(price) || ' ' || host(min(place)) FROM clean`
			if got := p.sql(t, state); got != fmt.Sprintf("2994 %d 2993 10000000000000000000000000000000000000000 10.0.0.1", 3000*3001/2-100-1100-1101-2048-2999-3000) {
				t.Error(got)
			}
			p.noStaging(t)
		})
	}
}
