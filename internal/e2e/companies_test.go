package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// companiesTable is a table as people have them: keys with quotes, spaces, leading zeros, no text and NULL; NULLs everywhere; types that
// DuckDB has not.
const companiesTable = `
CREATE TYPE size AS ENUM ('small', 'large');
CREATE DOMAIN email_text AS text CHECK (VALUE LIKE '%@%');
CREATE TABLE raw_companies (
	id bigint PRIMARY KEY, zip_code text, name varchar(60) NOT NULL, state char(2), city text, email text, is_active boolean, revenue numeric(14,2), employees integer,
	any_number numeric, size size, contact email_text, tags text[], matrix int[][], doc jsonb, raw json, uid uuid, seen timestamptz, local timestamp, born date, took interval,
	ip inet, net cidr, data bytea, ratio real, share double precision, small smallint, at time, price money, range int4range, vector tsvector, bits bit(4), point point, xml xml,
	fax text, notes text);
INSERT INTO raw_companies
SELECT g, (ARRAY['10016','00501','99501','', ' 1', 'it''s', 'a"b', '东京', 'x%y', '1,2', 'NULL', '(null)', NULL])[1 + g % 13], 'Näme ' || g, CASE WHEN g % 7 > 0 THEN 'ny' END,
	CASE WHEN g % 5 > 0 THEN '  City ' || g || ' ' END, 'A' || g || '@X.org', CASE WHEN g % 11 = 0 THEN NULL ELSE g % 4 > 0 END, CASE WHEN g % 9 > 0 THEN g * 1234.56 END, g % 6,
	CASE g % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN 12345678901234567890123456789012345678901234567890.123456789012345678901234567890 WHEN 2 THEN 1e-40 WHEN 3 THEN NULL ELSE -g END,
	CASE WHEN g % 3 > 0 THEN 'small'::size END, 'a@b', CASE WHEN g % 4 > 0 THEN ARRAY['a', NULL, 'b,"c', ''] END, '{{1,2},{3,NULL}}',
	jsonb_build_object('g', g, 'n', NULL, 't', '"ü'), '{"b": 1,  "a" : 2}', md5(g::text)::uuid,
	CASE g % 4 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' WHEN 2 THEN NULL ELSE timestamptz '2026-03-29 00:30:00.123456+00' + g * interval '1 hour' END,
	CASE g % 3 WHEN 0 THEN '4713-01-01 00:00:00 BC' ELSE timestamp '1999-12-31 23:59:59.999999' + g * interval '1 day' END,
	CASE g % 3 WHEN 0 THEN 'infinity' ELSE date '1582-10-04' + g END, make_interval(months => g, days => -g, secs => 0.000001 * g),
	'192.168.0.1/24', '10.0.0.0/8', decode(md5(g::text), 'hex'), CASE g % 3 WHEN 0 THEN 'NaN' ELSE g / 3.0 END, CASE g % 3 WHEN 0 THEN '-Infinity' ELSE g / 7.0 END, g,
	'23:59:59.5', g * 1.5, int4range(g, g + 5), to_tsvector('simple', 'a b' || g), B'1010', point(g, 1), '<a/>', 'fax' || g, repeat('long note ', g)
FROM generate_series(1, 650) g;
CREATE INDEX ON raw_companies (zip_code);
CREATE TABLE zip_codes (zip_code text);
INSERT INTO zip_codes VALUES ('10016'), ('00501'), ('00501'), ('nobody lives here'), (NULL), ('it''s');`

// companiesSteps is the transformation of surface.md's companies job, and companiesWant what it must give, computed by Postgres.
const (
	companiesSteps = `
steps:
  - filter: is_active
  - set:
      state: upper(state)
      city: trim(city)
      revenue_per_employee: revenue / nullif(employees, 0)
  - drop: [fax, notes]
  - sql: SELECT * REPLACE (lower(email) AS email) FROM chunk
`
	companiesColumns = `id, zip_code, name, state, city, email, is_active, revenue, employees, any_number, size, contact, tags, matrix, doc, raw::text, uid, seen, local, born, took,
	ip, net, data, ratio, share, small, at, price, range, vector, bits, point::text, xml::text, revenue_per_employee::float8`
	companiesWant = `SELECT id, zip_code, name, upper(state) AS state, trim(city) AS city, lower(email) AS email, is_active, revenue, employees, any_number, size, contact, tags, matrix,
	doc, raw, uid, seen, local, born, took, ip, net, data, ratio, share, small, at, price, range, vector, bits, point, xml,
	revenue::float8 / nullif(employees, 0) AS revenue_per_employee FROM raw_companies WHERE is_active`
)

// rowSum is the rows of a table or query as a count, a sum and a checksum over every column.
func rowSum(from string) string {
	return fmt.Sprintf(`SELECT count(*) || ' rows, ids ' || sum(id) || ', ' || md5(string_agg(md5(r::text), '' ORDER BY id)) FROM (SELECT %s FROM (%s) t) r`, companiesColumns, from)
}

func companiesJob(source, chunk, mode string) string {
	return `
name: clean-companies
source: {postgres: {url: "${DB}", ` + source + `}}
` + chunk + companiesSteps + `
sink:
  postgres: {url: "${DB}", table: clean_companies, mode: ` + mode + `}
limits: {workers: 2}
`
}

// TestCompanies: every way of chunking gives the rows that one query gives, value for value, in a table that drover makes.
func TestCompanies(t *testing.T) {
	t.Parallel()
	const by, table = "chunk: {by: zip_code}", "table: raw_companies"
	keys := "chunk: {by: zip_code, keys: SELECT zip_code FROM zip_codes"
	for _, c := range []struct {
		name, source, chunk, mode string
		// keys are the chunks' keys in the ledger, where they are a matter of the rules; where limits the rows expected.
		keys, where string
	}{
		{name: "by value", source: table, chunk: by, mode: "replace", keys: "| 1|\"(null)\"|(null)|00501|1,2|10016|99501|NULL|a\"b|it's|x%y|东京"},
		{name: "rule 21 keys and others", source: table, chunk: keys + "}", mode: "append", keys: "(other)|00501|10016|it's|nobody lives here"},
		{
			name: "rule 21 others ignored", source: table, chunk: keys + ", others: ignore}", mode: "append", keys: "00501|10016|it's|nobody lives here",
			where: " AND zip_code IN (SELECT zip_code FROM zip_codes)",
		},
		{name: "rows", source: table, chunk: "chunk: {rows: 100}", mode: "append"},
		{name: "default", source: table, mode: "error"},
		{name: "upsert", source: table, chunk: by, mode: "upsert, key: [id]"},
		{name: "query", source: `query: "SELECT * FROM raw_companies WHERE id > 0"`, chunk: by, mode: "append"},
		{name: "query in one piece", source: `query: "SELECT * FROM raw_companies"`, mode: "append"},
		{name: "schema", source: "table: public.raw_companies", chunk: by, mode: "append"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.postgres(t)
			p.sql(t, companiesTable)
			if strings.HasPrefix(c.mode, "upsert") {
				p.sql(t, `CREATE TABLE clean_companies AS `+companiesWant+`; UPDATE clean_companies SET name = 'stale'; DELETE FROM clean_companies WHERE id % 2 = 0; ALTER TABLE clean_companies ADD PRIMARY KEY (id)`)
			}
			p.write(t, "job.yaml", companiesJob(c.source, c.chunk, c.mode))
			s := p.must(t, "run", "job.yaml", "--json").summary(t)
			got, want := p.sql(t, rowSum(`SELECT * FROM clean_companies`)), p.sql(t, rowSum(companiesWant+c.where))
			if got != want {
				t.Errorf("the target has %s, want %s\n%s", got, want, firstDifference(t, p, c.where))
			}
			if rows := p.sql(t, `SELECT count(*) FROM clean_companies`); fmt.Sprint(s.RowsOut) != rows && !strings.HasPrefix(c.mode, "upsert") {
				t.Errorf("rows_out is %d, the table has %s", s.RowsOut, rows)
			}
			if got := strings.ReplaceAll(p.ledger(t, `SELECT key FROM chunk ORDER BY key`), "\n", "|"); c.keys != "" && got != c.keys {
				t.Errorf("the chunks are %s, want %s", got, c.keys)
			}
			if c.chunk == by {
				// The ledger's counts per key are the table's.
				got := p.ledger(t, `SELECT sum(rows_in), sum(rows_out), (SELECT rows_out FROM chunk WHERE key = '10016') FROM chunk`)
				want := p.sql(t, `SELECT concat_ws('|', 'IN', (SELECT count(*) FROM raw_companies WHERE is_active), (SELECT count(*) FROM raw_companies WHERE is_active AND zip_code = '10016'))`)
				in := p.sql(t, `SELECT count(*) FROM raw_companies`)
				if got != strings.Replace(want, "IN", in, 1) && got != strings.Replace(want, "IN", fmt.Sprint(s.RowsOut), 1) {
					t.Errorf("the ledger counts %s, want %s", got, want)
				}
			}
			if got := p.sql(t, `SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`); got != "clean_companies raw_companies zip_codes" {
				t.Errorf("tables left: %s", got)
			}
		})
	}
}

// firstDifference shows the columns in which the target differs from what it should be.
func firstDifference(t *testing.T, p *place, where string) string {
	t.Helper()
	return p.sql(t, `WITH w AS (SELECT to_jsonb(r) j FROM (`+companiesWant+where+`) r), g AS (SELECT to_jsonb(r) j FROM clean_companies r),
		d AS (SELECT w.j->>'id' AS id, k.key, w.j->k.key AS want, g.j->k.key AS got FROM w LEFT JOIN g ON g.j->'id' = w.j->'id', jsonb_each(w.j) k)
		SELECT DISTINCT ON (key) key || ': ' || coalesce(left(got::text, 80), 'nothing') || ', want ' || coalesce(left(want::text, 80), 'nothing') || ' (id ' || id || ')'
		FROM d WHERE want IS DISTINCT FROM got ORDER BY key, id::int`)
}

// TestCompaniesTable: a table that drover makes has the source's own types, precision and NOT NULL where columns are untouched (design.md 3.4).
func TestCompaniesTable(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, companiesTable)
	p.write(t, "job.yaml", companiesJob("table: raw_companies", "", "replace"))
	p.must(t, "run", "job.yaml")
	types := func(table string) string {
		return p.sql(t, `SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '`+table+`'::regclass AND attnum > 0 AND NOT attisdropped
			AND attname NOT IN ('fax', 'notes', 'revenue_per_employee', 'state', 'city', 'email') ORDER BY attnum`)
	}
	if got, want := types("clean_companies"), types("raw_companies"); got != want {
		t.Errorf("the columns are\n%s\nwant\n%s", got, want)
	}
}

// TestReplaceKeepsTheTable: replace swaps the rows and keeps everything else about a table; whoever depends on it sees the new rows.
func TestReplaceKeepsTheTable(t *testing.T) {
	t.Parallel()
	for _, view := range []bool{false, true} {
		t.Run(fmt.Sprintf("view %v", view), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			firmsData(t, p)
			p.sql(t, `DROP TABLE clean; CREATE TABLE clean (id bigserial PRIMARY KEY, zip text, name text DEFAULT 'none', amount numeric(12,2) CHECK (amount > 0), active boolean NOT NULL);
				CREATE UNIQUE INDEX clean_name ON clean (name DESC); COMMENT ON TABLE clean IS 'about'; COMMENT ON COLUMN clean.zip IS 'where'; GRANT SELECT ON clean TO PUBLIC;
				ALTER TABLE clean SET (fillfactor = 70); INSERT INTO clean VALUES (1000, 'x', 'old', 1, true);
				SELECT setval('clean_id_seq', 5000)`)
			if view {
				p.sql(t, `CREATE VIEW seen AS SELECT name FROM clean; CREATE TABLE child (id bigint REFERENCES raw); CREATE TABLE log (n int);`)
			}
			definition := func() string {
				return p.sql(t, `SELECT string_agg(x, E'\n' ORDER BY x) FROM (
					SELECT indexdef AS x FROM pg_indexes WHERE tablename = 'clean' UNION ALL
					SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'clean'::regclass UNION ALL
					SELECT attname || format_type(atttypid, atttypmod) || attnotnull || coalesce(pg_get_expr(adbin, adrelid), '') || coalesce(col_description(attrelid, attnum), '')
						FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = 'clean'::regclass AND attnum > 0 AND NOT attisdropped UNION ALL
					SELECT relname || relacl::text || reloptions::text || relowner::regrole || obj_description(oid, 'pg_class') FROM pg_class WHERE oid = 'clean'::regclass UNION ALL
					SELECT pg_get_serial_sequence('clean', 'id')) t`)
			}
			before := definition()
			p.write(t, "job.yaml", strings.Replace(firmsJob, "mode: append", "mode: replace", 1))
			p.must(t, "run", "job.yaml")
			if after := definition(); after != before {
				t.Errorf("the table was\n%s\nand is now\n%s", before, after)
			}
			if got := p.sql(t, `SELECT count(*) || ' ' || sum(id) || ' ' || min(name) FROM clean`); got != "40 820 NAME 1" {
				t.Errorf("the target has %s", got)
			}
			if view {
				if got := p.sql(t, `SELECT count(*) FROM seen`); got != "40" {
					t.Errorf("the view shows %s rows", got)
				}
			}
			p.sql(t, `INSERT INTO clean (zip, name, amount, active) VALUES ('new', 'by sequence', 5, true)`)
		})
	}
}

// TestUpsertIgnore: on_conflict: ignore leaves rows that are there as they are.
func TestUpsertIgnore(t *testing.T) {
	t.Parallel()
	for _, chunk := range []string{"by: zip", "rows: 7"} {
		p := newPlace(t)
		firmsData(t, p)
		p.sql(t, `INSERT INTO clean VALUES (3, 'mine', 'keep me', 1, false), (1000, 'x', 'other', 1, true)`)
		job := strings.Replace(firmsJob, "mode: append", "mode: upsert\n    key: [id]\n    on_conflict: ignore", 1)
		p.write(t, "job.yaml", strings.Replace(job, "by: zip", chunk, 1))
		p.must(t, "run", "job.yaml")
		if got := p.sql(t, `SELECT count(*) || ' ' || sum(id) || ' ' || (SELECT name FROM clean WHERE id = 3) FROM clean`); got != "41 1820 keep me" {
			t.Errorf("%s: the target has %s", chunk, got)
		}
	}
}

// TestNames: what identifiers may hold reaches the target unharmed: quotes, spaces, upper case, umlauts, keywords.
func TestNames(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	odd := pgx.Identifier{`Odd "Schema"`, `Tablé; DROP TABLE x`}.Sanitize()
	p.sql(t, `CREATE SCHEMA `+pgx.Identifier{`Odd "Schema"`}.Sanitize()+`; CREATE TABLE `+odd+` ("Key Column" int PRIMARY KEY, "select" text, "sémi;colon" int, "a""b" text);
		INSERT INTO `+odd+` SELECT g, 's' || g, g, 'q' || g FROM generate_series(1, 20) g`)
	p.write(t, "job.yaml", `
name: names
source: {postgres: {url: "${DB}", table: '"Odd ""Schema"""."Tablé; DROP TABLE x"'}}
chunk: {by: Key Column}
steps:
  - set: {select: '"select" || ''!'''}
sink: {postgres: {url: "${DB}", table: '"New ""T"""', mode: replace}}
`)
	p.must(t, "run", "job.yaml")
	if got := p.sql(t, `SELECT count(*) || ' ' || sum("sémi;colon") || ' ' || min("select") || ' ' || max("a""b") FROM "New ""T"""`); got != "20 210 s1! q9" {
		t.Errorf("the target has %s", got)
	}
}
