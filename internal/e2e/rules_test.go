package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestChunkByEveryType: a chunk per value whatever the column's type, NULL its own; no row is in two chunks or in none.
func TestChunkByEveryType(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	columns := map[string]string{
		"small": "smallint", "int": "integer", "big": "bigint", "flag": "boolean", "day": "date", "at": "timestamptz", "local": "timestamp", "clock": "time", "uid": "uuid",
		"num": "numeric", "fixed": "numeric(6,2)", "dbl": "double precision", "code": "char(5)", "name": "varchar(9)", "Weird Name": "text", "mood": "mood", "zip": "zip",
		"took": "interval", "ip": "inet", "data": "bytea", "tags": "text[]", "doc": "jsonb",
	}
	values := map[string]string{
		"smallint": "'1','2','-3'", "integer": "'0','7','2147483647'", "bigint": "'1','-9223372036854775808','5'", "boolean": "'t','f','t'", "date": "'2026-01-01','infinity','0044-03-15 BC'",
		"timestamptz": "'2026-03-29 01:30:00+00','-infinity','2026-03-29 01:30:00.000001+00'", "timestamp": "'1999-12-31','infinity','2026-01-01 00:00:00.5'", "time": "'00:00','24:00','12:30:00.000001'",
		"uuid":    "'00000000-0000-0000-0000-000000000000','ffffffff-ffff-ffff-ffff-ffffffffffff','12345678-1234-1234-1234-123456789012'",
		"numeric": "'NaN','1e40','0.10'", "numeric(6,2)": "'1.50','-9999.99','NaN'", "double precision": "'NaN','Infinity','-0'", "char(5)": "'ab','','  c'", "varchar(9)": "'it''s','a\\b','(null)'",
		"text": "'','(other)','東京 %'", "mood": "'sad','ok','so so'", "zip": "'00501','10016','99501'", "interval": "'1 mon','30 days','1 day -24:00'", "inet": "'10.0.0.1/8','::1','10.0.0.1'",
		"bytea": "'\\x00','\\x','\\xff'", "text[]": "'{}','{a,NULL}','{\"\"}'", "jsonb": "'null','{\"a\":1}','[1]'",
	}
	var defs, picks []string
	for name, typ := range columns {
		defs = append(defs, fmt.Sprintf(`"%s" %s`, name, typ))
		picks = append(picks, fmt.Sprintf(`(ARRAY[%s,NULL]::%s[])[1 + g %% 4]`, values[typ], strings.TrimSuffix(typ, "[]")))
		if strings.HasSuffix(typ, "[]") {
			picks[len(picks)-1] = fmt.Sprintf(`(ARRAY[%s,NULL])[1 + g %% 4]::%s`, values[typ], typ)
		}
	}
	p.sql(t, `CREATE TYPE mood AS ENUM ('so so', 'sad', 'ok'); CREATE DOMAIN zip AS text CHECK (VALUE ~ '^[0-9]{5}$');
		CREATE TABLE raw (id int PRIMARY KEY, `+strings.Join(defs, ", ")+`); INSERT INTO raw SELECT g, `+strings.Join(picks, ", ")+` FROM generate_series(1, 80) g`)
	want := p.sql(t, `SELECT count(*) || ' ' || md5(string_agg(r::text, '' ORDER BY id)) FROM raw r`)
	for name := range columns {
		t.Run(name, func(t *testing.T) {
			target := "t_" + strings.ReplaceAll(name, " ", "_")
			job := fmt.Sprintf("name: by-%[1]s\nsource: {postgres: {url: \"${DB}\", table: raw}}\nchunk: {by: '%[2]s'}\nsink: {postgres: {url: \"${DB}\", table: %[1]s, mode: append}}\n", target, name)
			p.write(t, "job.yaml", job)
			s := p.must(t, "run", "job.yaml", "--json").summary(t)
			if got := p.sql(t, `SELECT count(*) || ' ' || md5(string_agg(r::text, '' ORDER BY id)) FROM `+target+` r`); got != want {
				t.Errorf("the target has %s, want %s", got, want)
			}
			if distinct := p.sql(t, fmt.Sprintf(`SELECT count(DISTINCT "%s"::text COLLATE "C") + 1 FROM raw`, name)); fmt.Sprint(s.Chunks.Total) != distinct && name != "took" && name != "dbl" {
				t.Errorf("%d chunks, want %s", s.Chunks.Total, distinct)
			}
		})
	}
}

// TestSourceTables: what can be read from is read once and whole: views, partitioned tables, dropped columns, generated and identity columns, a table
// without a key.
func TestSourceTables(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, `
CREATE TABLE plain (gone int, id int, zip text, extra text); INSERT INTO plain SELECT 1, g, (g % 3)::text, 'x' FROM generate_series(1, 3000) g; ALTER TABLE plain DROP COLUMN gone; DELETE FROM plain WHERE id % 2 = 0;
CREATE VIEW seen AS SELECT * FROM plain;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM plain;
CREATE TABLE parts (id int, zip text, extra text) PARTITION BY LIST (zip);
CREATE TABLE part0 PARTITION OF parts FOR VALUES IN ('0'); CREATE TABLE part1 PARTITION OF parts FOR VALUES IN ('1'); CREATE TABLE rest PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT * FROM plain;
CREATE TABLE parent (id int, zip text, extra text); CREATE TABLE heir () INHERITS (parent); INSERT INTO parent SELECT * FROM plain WHERE zip = '0'; INSERT INTO heir SELECT * FROM plain WHERE zip <> '0';
CREATE TABLE made (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, zip text, extra text GENERATED ALWAYS AS ('x' || '') STORED);
INSERT INTO made OVERRIDING SYSTEM VALUE SELECT id, zip FROM plain;
CREATE TABLE sparse (id bigint PRIMARY KEY, zip text, extra text); INSERT INTO sparse SELECT id, zip, extra FROM plain; UPDATE sparse SET id = id + 9000000000000000000 WHERE id > 2990`)
	for _, table := range []string{"plain", "seen", "kept", "parts", "parent", "made", "sparse"} {
		for _, chunk := range []string{"", "chunk: {by: zip}", "chunk: {rows: 400}"} {
			t.Run(table+" "+chunk, func(t *testing.T) {
				p.sql(t, `DROP TABLE IF EXISTS target`)
				p.write(t, "job.yaml", fmt.Sprintf("name: %s\nsource: {postgres: {url: \"${DB}\", table: %s}}\n%s\nsink: {postgres: {url: \"${DB}\", table: target}}\n", table, table, chunk))
				if r := p.drover(t, nil, "run", "job.yaml", "--new", "--json"); r.code != 0 && (chunk != "chunk: {rows: 400}" || table != "seen") {
					t.Fatalf("exit %d\n%s", r.code, r.stderr)
				} else if r.code != 0 {
					says(t, r.stderr, "job.yaml:3:", "rows") // a view has no key and no pages to cut
					return
				}
				sum := `SELECT count(*) || ' ' || sum(id) || ' ' || count(DISTINCT id) || ' ' || string_agg(DISTINCT zip || extra, ',') FROM `
				if got, want := p.sql(t, sum+"target"), p.sql(t, sum+table); got != want {
					t.Errorf("the target has %s, want %s", got, want)
				}
			})
		}
	}
}

// TestExactSteps: what steps compute is exact or an error, never rounded (exactness.md 30), in the job's time zone (31), with now() the run's
// start (24).
func TestExactSteps(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, `CREATE TABLE raw (id int PRIMARY KEY, free numeric, seen timestamptz, big bigint);
		INSERT INTO raw SELECT g, g + 0.1234567891, timestamptz '2026-03-29 00:30:00+00' + g * interval '1 hour', 9007199254740993 FROM generate_series(1, 20) g`)
	const job = `
name: exact
timezone: Europe/Berlin
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: id}
steps:
  - set:
      free: free + 1
      hour: hour(seen)
      big: big + 1
      started: now()
sink: {postgres: {url: "${DB}", table: clean, mode: append}}
limits: {workers: 2}
`
	p.write(t, "job.yaml", job)
	p.must(t, "run", "job.yaml", "--limit-chunks", "3")
	p.must(t, "run", "job.yaml")
	got := p.sql(t, `SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE c.free = r.free + 1), count(*) FILTER (WHERE hour = extract(hour FROM r.seen AT TIME ZONE 'Europe/Berlin')),
		count(*) FILTER (WHERE c.big = r.big + 1), count(*) FILTER (WHERE c.seen = r.seen), count(DISTINCT started)) FROM clean c JOIN raw r USING (id)`)
	if got != "20 20 20 20 20 1" {
		t.Errorf("rows, sums, hours, big, at, distinct now(): %s", got)
	}
	for name, value := range map[string]string{"too many decimals": "1.00000000001", "too large": "1e30", "not a number": "NaN"} {
		p.sql(t, `DROP TABLE clean; UPDATE raw SET free = '`+value+`' WHERE id = 7`)
		r := p.drover(t, nil, "run", "job.yaml", "--new", "--keep-committed")
		if r.code != 1 {
			t.Errorf("rule 30, %s: exit %d\n%s", name, r.code, r.stderr)
		}
		says(t, r.stderr, "id=7", "free")
		// Untouched, it passes as it is.
		p.write(t, "copy.yaml", strings.Replace(strings.Replace(job, "      free: free + 1\n", "", 1), "name: exact", "name: copy", 1))
		p.sql(t, `DROP TABLE clean`)
		p.must(t, "run", "copy.yaml", "--new", "--keep-committed")
		if got := p.sql(t, `SELECT c.free = r.free FROM clean c JOIN raw r USING (id) WHERE id = 7`); got != "t" {
			t.Errorf("rule 30, %s untouched: %s", name, got)
		}
	}
}

// TestOwnSchema: ?drover_schema=NAME moves drover's tables for roles that may only use their own; a role that may not create it is told so.
func TestOwnSchema(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.setenv("DB", p.with(t, func(u *url.URL) { u.RawQuery += "&drover_schema=mine" }))
	p.setenv("DROVER_LEDGER", p.envValue("DB"))
	p.write(t, "job.yaml", firmsJob)
	p.must(t, "run", "job.yaml")
	if got := p.sql(t, `SELECT string_agg(DISTINCT schemaname, ' ') FROM pg_tables WHERE tablename IN ('receipt', 'gate', 'run', 'chunk', 'attempt')`); got != "mine" {
		t.Errorf("drover's tables are in %s", got)
	}
	if got := p.sql(t, `SELECT count(*) || ' ' || count(DISTINCT chunk_id) || ' ' || count(receipt) || ' ' || count(committed_at) FROM mine.receipt WHERE run_uid = (SELECT uid FROM mine.run)`); !strings.HasPrefix(got, "4 4 4 4") && !strings.HasPrefix(got, "5 5 5 5") {
		t.Errorf("receipts: %s", got)
	}
}
