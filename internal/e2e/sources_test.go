package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFormats: a table that goes through a format and back is the same table, whoever reads it in between.
func TestFormats(t *testing.T) {
	t.Parallel()
	const table = `SELECT range AS id, CASE WHEN range % 5 = 0 THEN NULL ELSE 'q"u,o' || chr(10) || 'ü' || range END AS text, (range * 1.25)::DECIMAL(12,2) AS amount,
		CASE WHEN range % 3 = 0 THEN NULL ELSE range / 7.0 END::DOUBLE AS ratio, range % 2 = 0 AS flag, DATE '2026-02-27' + range::INTEGER AS day,
		TIMESTAMP '2026-03-29 02:30:00.123456' + INTERVAL (range) HOUR AS at FROM range(1000)`
	const casts = `[{cast: {id: BIGINT, text: VARCHAR, amount: "DECIMAL(12,2)", ratio: DOUBLE, flag: BOOLEAN, day: DATE, at: TIMESTAMP}}]`
	for _, format := range []string{"parquet", "csv", "json", "arrow"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.write(t, "in/.keep", "")
			p.exec(t, "COPY ("+table+") TO '{dir}/in/a.parquet'")
			p.write(t, "there.yaml", fmt.Sprintf("name: there\nsource: {files: {path: in}}\nsink: {files: {path: mid, format: %s}}\n", format))
			p.write(t, "back.yaml", fmt.Sprintf("name: back\nsource: {files: {path: mid, format: %s}}\nsteps: %s\nsink: {files: {path: out}}\n", format, casts))
			p.must(t, "run", "there.yaml")
			p.must(t, "run", "back.yaml")
			if format != "arrow" && format != "parquet" {
				if got := p.query(t, `SELECT count(*), sum(id::BIGINT) FROM read_`+format+`_auto('mid/*.`+format+`*')`); got != "1000|499500" {
					t.Errorf("DuckDB reads %s", got)
				}
			}
			for _, q := range []string{`SELECT * FROM source EXCEPT ALL SELECT * FROM result`, `SELECT * FROM result EXCEPT ALL SELECT * FROM source`} {
				q = strings.NewReplacer("FROM source", "FROM 'in/*.parquet'", "FROM result", "FROM read_parquet('out/*.parquet')").Replace(q)
				if got := p.query(t, "SELECT * FROM ("+q+") ORDER BY id LIMIT 2"); got != "" {
					t.Errorf("rows differ: %s", got)
				}
			}
		})
	}
}

// TestMessyText: CSV and newline JSON as people have them: columns in another order or missing, quotes, newlines within quotes, empty
// files, a byte order mark, CRLF, zero rows.
func TestMessyText(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write(t, "csv/1.csv", "id,name,amount\n1,\"a, b\",1.5\n2,\"line\nbreak\",2\n3,\"say \"\"hi\"\"\",\n")
	p.write(t, "csv/2.csv", "amount,id\r\n4.25,4\r\n,5\r\n")
	p.write(t, "csv/3.csv", "\ufeffid,name,amount\n6,bom,6\n")
	p.write(t, "csv/4.csv", "id,name,amount\n")
	p.write(t, "csv/5.csv", "")
	p.write(t, "json/1.json", "{\"id\": 1, \"name\": \"a, b\", \"amount\": 1.5}\n{\"id\": 2, \"amount\": 2, \"name\": \"line\\nbreak\"}\n\n{\"name\": \"say \\\"hi\\\"\", \"id\": 3}\n")
	p.write(t, "json/2.json", "{\"amount\": 4.25, \"id\": 4}\n{\"id\": 5, \"name\": null}\n")
	p.write(t, "json/3.json", "{\"id\": 6, \"name\": \"bom\", \"amount\": 6}")
	p.write(t, "json/4.json", "")
	const want = "1|a, b|1.5\n2|line\nbreak|2.0\n3|say \"hi\"|NULL\n4|NULL|4.25\n5|NULL|NULL\n6|bom|6.0"
	for _, format := range []string{"csv", "json"} {
		p.write(t, format+".yaml", fmt.Sprintf("name: %[1]s\nsource: {files: {path: %[1]s}}\nsteps: [{cast: {id: BIGINT, amount: DOUBLE}}]\nsink: {files: {path: out-%[1]s}}\n", format))
		r := p.must(t, "run", format+".yaml")
		says(t, r.stderr, map[string]string{"csv": "5.csv", "json": "4.json"}[format])
		if got := p.query(t, `SELECT id, name, amount FROM read_parquet('out-`+format+`/*.parquet') ORDER BY id`); got != want {
			t.Errorf("%s: %s\nwant %s", format, got, want)
		}
	}
}

// TestBadText: a row that cannot be read fails its chunk, with the file's name, and is never dropped or guessed.
func TestBadText(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"csv/2.csv":   "id,name\n1,a\n2,b,c,d\n",
		"csv/3.csv":   "id,name\nseven,a\n",
		"json/2.json": "{\"id\": 1, \"name\": \"a\"}\n{\"id\": 2, \"name\": \n",
	} {
		p := newPlace(t)
		format := filepath.Dir(name)
		p.write(t, format+"/1."+format, map[string]string{"csv": "id,name\n1,x\n", "json": "{\"id\": 1, \"name\": \"x\"}\n"}[format])
		p.write(t, name, text)
		p.write(t, "job.yaml", fmt.Sprintf("name: bad\nsource: {files: {path: %s}}\nsteps: [{cast: {id: BIGINT}}]\nsink: {files: {path: out}}\n", format))
		r := p.drover(t, nil, "run", "job.yaml")
		if r.code != 1 && r.code != 3 {
			t.Errorf("%s: exit %d\n%s", name, r.code, r.stderr)
		}
		says(t, r.stderr, filepath.Base(name))
		if got := gotPartitions(t, p, "out"); len(got) > 0 {
			t.Errorf("%s: something was published", name)
		}
	}
}

// TestPaths: a source is a folder, a file, a glob or a list of them; a file that several of them name is read once.
func TestPaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"in":                               "1 2 3 4",
		"in/a.parquet":                     "1",
		"in/*.parquet":                     "1 2",
		"in/**/*.parquet":                  "1 2 3 4",
		"in/sub?/*.parquet":                "3",
		"'in/[ab].parquet'":                "1 2",
		"[in/a.parquet, in/sub1]":          "1 3",
		"[in, in/a.parquet, 'in/a*']":      "1 2 3 4",
		"'in/odd [1]/x y.parquet'":         "4",
		"['in/odd [1]', './in/a.parquet']": "1 4",
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			for i, file := range []string{"in/a.parquet", "in/b.parquet", "in/sub1/c.parquet", "in/odd [1]/x y.parquet"} {
				p.write(t, filepath.Dir(file)+"/.keep", "")
				p.exec(t, fmt.Sprintf("COPY (SELECT %d AS id) TO '{dir}/%s'", i+1, file))
			}
			p.write(t, "job.yaml", "name: paths\nsource: {files: {path: "+path+"}}\nsink: {files: {path: out}}\n")
			p.must(t, "run", "job.yaml")
			if got := p.query(t, `SELECT string_agg(id, ' ' ORDER BY id) FROM read_parquet('out/*.parquet')`); got != want {
				t.Errorf("%s: read %s, want %s", path, got, want)
			}
		})
	}
}

// TestPartitionedSource: partition values come back with the type that they had (rule 32): 00501 stays text, an integer stays one, NULL is NULL,
// and k=v in the dataset's root adds no column.
func TestPartitionedSource(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write(t, "in/.keep", "")
	p.exec(t, `COPY (SELECT range AS id, (['00501', '10016', NULL, 'a/b'])[1 + range % 4] AS zip, CASE WHEN range % 3 > 0 THEN range % 3 END::INTEGER AS n,
		DATE '2026-01-01' + (range % 2)::INTEGER AS day, range % 2 = 0 AS flag FROM range(200)) TO '{dir}/in/a.parquet'`)
	p.write(t, "there.yaml", "name: there\nsource: {files: {path: in}}\nsink: {files: {path: 'root=1/mid', partition_by: [zip, n, day, flag]}}\n")
	p.write(t, "back.yaml", "name: back\nsource: {files: {path: 'root=1/mid'}}\nsteps: [{select: [id, zip, n, day, flag]}]\nsink: {files: {path: out}}\n")
	p.must(t, "run", "there.yaml")
	check := func(what string) {
		t.Helper()
		p.must(t, "run", "back.yaml")
		if got := p.query(t, `SELECT count(*), count(DISTINCT id) FROM (SELECT id, zip, n FROM 'in/*.parquet' INTERSECT SELECT id, zip, n FROM read_parquet('out/*.parquet'))`); got != "200|200" {
			t.Errorf("%s: rows that agree: %s", what, got)
		}
	}
	check("by drover")
	if got := p.query(t, `SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE FROM read_parquet('out/*.parquet'))`); got != "id BIGINT, zip VARCHAR, n INTEGER, day DATE, flag BOOLEAN" {
		t.Errorf("by drover: %s", got)
	}
	for _, dir := range []string{"out", "root=1/mid"} {
		if err := os.RemoveAll(filepath.Join(p.dir, dir)); err != nil {
			t.Fatal(err)
		}
	}
	p.write(t, "root=1/.keep", "")
	p.exec(t, `COPY (SELECT id, zip, n, day, flag FROM 'in/*.parquet') TO '{dir}/root=1/mid' (FORMAT parquet, PARTITION_BY (zip, n, day, flag))`)
	check("by another writer")
	if got := p.query(t, `SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE FROM read_parquet('out/*.parquet'))`); !strings.HasPrefix(got, "id BIGINT, zip VARCHAR, n BIGINT") {
		t.Errorf("by another writer: %s", got)
	}
}

// TestHiveDefaultLiteral: the literal that stands for NULL is refused as a value (rule 32).
func TestHiveDefaultLiteral(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write(t, "in/.keep", "")
	p.exec(t, `COPY (SELECT 1 AS id, '__HIVE_DEFAULT_PARTITION__' AS k) TO '{dir}/in/a.parquet'`)
	p.write(t, "job.yaml", "name: literal\nsource: {files: {path: in}}\nsink: {files: {path: out, partition_by: [k]}}\n")
	r := p.drover(t, nil, "run", "job.yaml")
	if r.code != 1 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	says(t, r.stderr, "__HIVE_DEFAULT_PARTITION__", "k")
	if found, err := filepath.Glob(filepath.Join(p.dir, "out/k=*")); err != nil || len(found) > 0 {
		t.Errorf("published %v, %v", found, err)
	}
}
