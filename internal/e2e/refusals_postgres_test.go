package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// firmsJob is a good job over firmsData; the refusals change one thing about it.
const firmsJob = `name: firms
source:
  postgres:
    url: ${DB}
    table: raw
chunk:
  by: zip
steps:
  - set:
      name: upper(name)
sink:
  postgres:
    url: ${DB}
    table: clean
    mode: append
`

// firmsData makes a source of 40 rows in 4 chunks, 10 each: 00000, 00001, 00002 and NULL.
func firmsData(t *testing.T, p *place) {
	p.postgres(t)
	p.sql(t, `
CREATE TABLE raw (id bigint PRIMARY KEY, zip text, name text, amount numeric(12,2), active boolean);
INSERT INTO raw SELECT g, CASE WHEN g % 4 < 3 THEN lpad((g % 4)::text, 5, '0') END, 'name ' || g, g * 1.25, true FROM generate_series(1, 40) g;
CREATE INDEX ON raw (zip);
CREATE TABLE clean (LIKE raw INCLUDING ALL)`)
}

func sqlOf(text string) func(t *testing.T, p *place) {
	return func(t *testing.T, p *place) { p.sql(t, text) }
}

// TestServerRefusals: a server that cannot be reached, or that says no, is exit code 3 with its own code, and never shows the password.
func TestServerRefusals(t *testing.T) {
	t.Parallel()
	set := func(change func(u *url.URL)) func(t *testing.T, p *place) {
		return func(t *testing.T, p *place) { p.setenv("DB", p.with(t, change)) }
	}
	asAdmin := func(text string) func(t *testing.T, p *place) {
		return func(t *testing.T, p *place) { rowsOf(t, p.admin, text) }
	}
	checkRefusals(t, firmsJob, firmsData, []refusal{
		{name: "nobody there", prepare: set(func(u *url.URL) { u.Host = "127.0.0.1:1" }), code: 3, says: []string{"127.0.0.1:1", "refused"}},
		{name: "unknown host", prepare: set(func(u *url.URL) { u.Host = "db.invalid:5432" }), code: 3, says: []string{"db.invalid"}},
		{name: "wrong password", prepare: set(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "not"+secret) }), code: 3, says: []string{"28P01"}},
		{name: "unknown role", prepare: set(func(u *url.URL) { u.User = url.UserPassword("nobody_here", secret) }), code: 3, says: []string{"nobody_here", "28"}},
		{name: "unknown database", prepare: set(func(u *url.URL) { u.Path = "/nowhere" }), code: 3, says: []string{"nowhere", "3D000"}},
		{name: "a host that is no database", prepare: set(func(u *url.URL) { u.RawQuery = "sslmode=require" }), code: 3, says: []string{"127.0.0.1"}},
		{name: "malformed URL", prepare: set(func(u *url.URL) { u.Host = "[::1" }), code: 2, says: []string{"job.yaml:4:10", "url"}},
		{name: "malformed password", prepare: func(_ *testing.T, p *place) { p.setenv("DB", "postgres://me:"+secret+"%zz@h/db") }, code: 2, says: []string{"job.yaml:4:10", "%"}},
		{name: "another scheme", prepare: func(_ *testing.T, p *place) { p.setenv("DB", "mysql://me:"+secret+"@h/db") }, code: 2, says: []string{"job.yaml:4:10", "postgres://"}},
		{name: "plan of an absent server", prepare: set(func(u *url.URL) { u.Host = "127.0.0.1:1" }), args: []string{"plan", "job.yaml"}, code: 3, says: []string{"127.0.0.1:1"}},

		{name: "missing table", old: "table: raw", text: "table: rwa", code: 3, says: []string{"job.yaml:5:12", "rwa"}},
		{name: "missing schema", old: "table: raw", text: "table: elsewhere.raw", code: 3, says: []string{"elsewhere"}},
		{name: "table and query", old: "table: raw", text: "table: raw\n    query: SELECT 1", code: 2, says: []string{"job.yaml:6:", "query"}},
		{name: "neither table nor query", old: "    table: raw\n", text: "", code: 2, says: []string{"job.yaml:3", "table", "query"}},
		{name: "query that fails", old: "table: raw", text: "query: SELECT nope FROM raw", code: 2, says: []string{"nope", "42703"}},
		{name: "query that writes", old: "table: raw", text: "query: DELETE FROM raw RETURNING *", code: 2, says: []string{"query"}},
		{name: "source permission", prepare: asAdmin(`CREATE TABLE hidden (id bigint, zip text, name text)`), old: "table: raw", text: "table: hidden", code: 3, says: []string{"hidden", "42501"}},
		{name: "target permission", prepare: asAdmin(`CREATE TABLE hidden (LIKE raw)`), old: "table: clean", text: "table: hidden", code: 3, says: []string{"hidden"}},

		{name: "unknown chunk column", old: "by: zip", text: "by: zap", code: 2, says: []string{"job.yaml:7:7", "zap", "zip"}},
		{name: "chunk by files", old: "by: zip", text: "files: 1", code: 2, says: []string{"job.yaml:7:10"}},
		{name: "chunk two ways", old: "by: zip", text: "by: zip\n  rows: 10", code: 2, says: []string{"job.yaml:8:9"}},
		{name: "keys without by", old: "by: zip", text: "keys: SELECT zip FROM raw", code: 2, says: []string{"job.yaml:7:9", "by"}},
		{name: "keys that fail", old: "by: zip", text: "by: zip\n  keys: SELECT zap FROM raw", code: 2, says: []string{"job.yaml:8:9", "zap", "42703"}},
		{name: "keys of two columns", old: "by: zip", text: "by: zip\n  keys: SELECT zip, id FROM raw", code: 2, says: []string{"job.yaml:8:9", "one column"}},
		{name: "keys of another type", old: "by: zip", text: "by: id\n  keys: SELECT name FROM raw", code: 2, says: []string{"job.yaml:8:9", "bigint"}},
	})
}

// TestWrittenPasswords: a password that stands in the job file or on the command line is not shown with the line that is wrong.
func TestWrittenPasswords(t *testing.T) {
	t.Parallel()
	job := func(url, rest string) string {
		return "name: p\nsource: {postgres: {url: \"" + url + "\", " + rest + "}}\nsink: {files: {path: out}}\n"
	}
	plain := "postgres://me:" + secret + "@127.0.0.1:1/db"
	checkRefusals(t, job(plain, "table: x"), nil, []refusal{
		{name: "unreachable", code: 3, says: []string{"127.0.0.1:1"}},
		{name: "wrong key in its line", text: job(plain, "tabel: x"), code: 2, says: []string{"job.yaml:2:", `"table"`}},
		{name: "not YAML behind it", text: job(plain, "table: [x"), code: 2, says: []string{"job.yaml:"}},
		{name: "slash in the password", text: job("postgres://me:a/"+secret+"@127.0.0.1:1/db", "table: x"), code: 2, says: []string{"job.yaml:2:"}},
		{name: "percent in the password", text: job("postgres://me:%"+secret+"@127.0.0.1:1/db", "table: x"), code: 2, says: []string{"job.yaml:2:"}},
		{name: "as a parameter", text: job("postgres://127.0.0.1:1/db?user=me&password="+secret, "table: x"), code: 3, says: []string{"127.0.0.1:1"}},
		{name: "as a keyword", text: job("host=127.0.0.1 port=1 user=me password='"+secret+"' dbname=db", "table: x"), code: 3, says: []string{"refused"}},
		{name: "as a variable", text: "vars: {PW: " + secret + "}\n" + job("postgres://me:${PW}@127.0.0.1:1/db", "table: x"), code: 3, says: []string{"127.0.0.1:1"}},
		{name: "on the command line", text: job("postgres://me:${PW}@127.0.0.1:1/db", "tabel: x"), args: []string{"run", "job.yaml", "--set", "PW=" + secret}, code: 2, says: []string{`"table"`}},
		{name: "of the ledger", args: []string{"run", "job.yaml", "--ledger", "postgres://me:a/" + secret + "@127.0.0.1:1/db"}, code: 2, says: []string{"ledger"}},
		{name: "of init", args: []string{"init", "postgres://me:" + secret + "@127.0.0.1:1/db#t"}, code: 3, says: []string{"127.0.0.1:1"}},
		{name: "of status", args: []string{"status", "--ledger", plain}, code: 3, says: []string{"127.0.0.1:1"}},
	})
}

// TestPostgresSinkRefusals: source and target are compared from the catalogs before a byte moves (exactness.md 29).
func TestPostgresSinkRefusals(t *testing.T) {
	t.Parallel()
	mode := func(m string) string { return strings.Replace(firmsJob, "mode: append", m, 1) }
	remake := func(columns string) func(t *testing.T, p *place) {
		return sqlOf("DROP TABLE clean; CREATE TABLE clean (" + columns + ")")
	}
	const rest = "id bigint PRIMARY KEY, zip text, name text, amount numeric(12,2), active boolean"
	filled := sqlOf(`INSERT INTO clean VALUES (1000, 'x', 'old', 1, true)`)
	checkRefusals(t, firmsJob, firmsData, []refusal{
		{name: "mode error by default", old: "    mode: append\n", text: "", prepare: filled, code: 3, says: []string{"clean", "append", "replace"}},
		{name: "mode error", text: mode("mode: error"), prepare: filled, code: 3, says: []string{"clean", "mode"}},
		{name: "upsert without key", text: mode("mode: upsert"), code: 2, says: []string{"job.yaml:15:11", "key"}},
		{name: "key without upsert", text: mode("mode: append\n    key: [id]"), code: 2, says: []string{"job.yaml:16:", "upsert"}},
		{name: "upsert by an unknown key", text: mode("mode: upsert\n    key: [idd]"), code: 2, says: []string{"job.yaml:16:", "idd"}},
		{
			name: "rule 28 upsert without unique index in the target", text: mode("mode: upsert\n    key: [id]"),
			prepare: remake(strings.Replace(rest, " PRIMARY KEY", "", 1)), code: 3, says: []string{"id", "UNIQUE"},
		},
		{
			name: "rule 28 upsert by a key that the source does not prove unique", text: mode("mode: upsert\n    key: [name]"),
			prepare: sqlOf(`CREATE UNIQUE INDEX ON clean (name)`), code: 3, says: []string{"name", "latest"},
		},
		{name: "column that the target lacks", prepare: remake(strings.Replace(rest, "amount numeric(12,2), ", "", 1)), code: 3, says: []string{"amount"}},
		{name: "required column that nothing fills", prepare: remake(rest + ", boss text NOT NULL"), code: 3, says: []string{"boss", "NOT NULL"}},
		{
			name: "rule 29 untouched column of another type", prepare: remake(strings.Replace(rest, "numeric(12,2)", "double precision", 1)), code: 3,
			says: []string{"amount", "numeric(12,2)", "double precision"},
		},
		{
			name: "rule 29 untouched column of another precision", prepare: remake(strings.Replace(rest, "numeric(12,2)", "numeric(10,2)", 1)), code: 3,
			says: []string{"amount", "numeric(12,2)", "numeric(10,2)"},
		},
		{name: "rule 29 step result without an assignment cast", prepare: remake(strings.Replace(rest, "name text", "name int", 1)), code: 3, says: []string{"name", "integer"}},
		{name: "target is a view", prepare: sqlOf(`DROP TABLE clean; CREATE VIEW clean AS SELECT 1::bigint AS id`), code: 3, says: []string{"clean", "view"}},
		{name: "replace of a view", text: mode("mode: replace"), prepare: sqlOf(`DROP TABLE clean; CREATE VIEW clean AS SELECT 1::bigint AS id`), code: 3, says: []string{"clean", "view"}},
		{name: "generated column", prepare: remake(strings.Replace(rest, "active boolean", "active boolean GENERATED ALWAYS AS (id > 0) STORED", 1)), code: 3, says: []string{"active", "generated"}},
		{name: "missing schema of the target", old: "table: clean", text: "table: nowhere.clean", code: 3, says: []string{"nowhere"}},
		{name: "plan says it too", prepare: remake(strings.Replace(rest, "numeric(12,2)", "real", 1)), args: []string{"plan", "job.yaml"}, code: 3, says: []string{"amount"}},
	})
}

// TestRowsThatCannotBeStored: a row that the target refuses fails its own chunk with the server's code, its column and the way on; the
// other chunks are safe (surface.md, design.md 2).
func TestRowsThatCannotBeStored(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, prepare, set, mode string
		says                     []string
	}{
		{name: "NOT NULL", prepare: `ALTER TABLE clean ALTER amount SET NOT NULL`, set: "amount: CASE WHEN id = 5 THEN NULL ELSE amount END", says: []string{"23502", "amount"}},
		{name: "numeric overflow", prepare: `ALTER TABLE clean ALTER amount TYPE numeric(5,2)`, set: "amount: CASE WHEN id = 5 THEN 12345.67 ELSE 1 END", says: []string{"22003", "amount", "numeric(5,2)"}},
		{name: "text too long", prepare: `ALTER TABLE clean ALTER name TYPE varchar(10)`, set: "name: CASE WHEN id = 5 THEN 'far too long a name' ELSE 'ok' END", says: []string{"22001", "name"}},
		{name: "NUL in text", set: "name: CASE WHEN id = 5 THEN 'a' || chr(0) || 'b' ELSE 'ok' END", says: []string{"22021", "name"}},
		{name: "unique", prepare: `CREATE UNIQUE INDEX one_name ON clean (name)`, set: "name: CASE WHEN id IN (1, 5) THEN 'same' ELSE name END", says: []string{"23505", "one_name"}},
		{name: "check", prepare: `ALTER TABLE clean ADD CONSTRAINT sane CHECK (amount < 1000)`, set: "amount: CASE WHEN id = 5 THEN 5000 ELSE 1 END", says: []string{"23514", "sane"}},
		{
			name: "foreign key", prepare: `CREATE TABLE zips (zip text PRIMARY KEY); INSERT INTO zips VALUES ('00000'), ('00002'); ALTER TABLE clean ADD FOREIGN KEY (zip) REFERENCES zips`,
			set: "name: name", says: []string{"23503", "zip"},
		},
		{name: "enum", prepare: `CREATE TYPE mood AS ENUM ('ok'); ALTER TABLE clean ADD feeling mood`, set: "feeling: CASE WHEN id = 5 THEN 'sad' ELSE 'ok' END", says: []string{"22P02", "feeling"}},
		{name: "conversion", set: "amount: CASE WHEN id = 5 THEN CAST(name AS DOUBLE) ELSE 1 END", says: []string{"Conversion Error", "amount"}},
		{
			name: "in a staging table", mode: "replace", prepare: `ALTER TABLE clean ALTER amount SET NOT NULL; INSERT INTO clean VALUES (1000, 'x', 'old', 1, true)`,
			set: "amount: CASE WHEN id = 5 THEN NULL ELSE amount END", says: []string{"23502", "amount", "nothing is published"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			firmsData(t, p)
			if c.prepare != "" {
				p.sql(t, c.prepare)
			}
			job := strings.Replace(firmsJob, "      name: upper(name)\n", "      "+c.set+"\n", 1)
			if c.mode != "" {
				job = strings.Replace(job, "mode: append", "mode: "+c.mode, 1)
			}
			p.write(t, "job.yaml", job)
			before := p.sql(t, `SELECT count(*) FROM clean`)
			got := p.drover(t, nil, "run", "job.yaml", "--json")
			if got.code != 1 {
				t.Fatalf("exit %d, want 1\n%s", got.code, got.stderr)
			}
			says(t, got.stderr, c.says...)
			says(t, got.stderr, "zip=00001", "drover errors "+got.summary(t).Run, "--retry-errors")
			s := got.summary(t)
			if s.State != "failed" || s.Chunks.Total != 4 || s.Chunks.Finished != 3 || s.Chunks.Error != 1 || s.Chunks.Pending != 0 {
				t.Errorf("summary: %+v", s)
			}
			if rows := p.ledger(t, `SELECT key, state, error IS NOT NULL FROM chunk WHERE state <> 'finished'`); rows != "00001|error|1" {
				t.Errorf("the ledger has %s", rows)
			}
			want := fmt.Sprintf("30 rows, %s before", before) // rule 17: append keeps what is committed
			after := p.sql(t, `SELECT count(*) FROM clean`)
			if c.mode == "replace" && after != before || c.mode == "" && after != "30" {
				t.Errorf("the target has %s rows, want %s", after, want)
			}
		})
	}
}
