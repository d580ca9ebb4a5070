package e2e

import (
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/pgtest"
	"github.com/droverdata/drover/internal/pythontest"
)

// pythonPlace is a place with a Python, and with a Postgres table whose types are those that pandas is careless with.
func pythonPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	url := pgtest.Database(t)
	p.setenv("DB", url)
	p.setenv("PYTHON", pythontest.Python(t))
	p.write(t, "url", url)
	p.sql(t, `
CREATE TABLE raw (id bigint PRIMARY KEY, zip varchar(5), big bigint, price numeric(12,2), ok boolean, at timestamptz, day date, doc jsonb, tags text[], uid uuid, ratio float8);
INSERT INTO raw SELECT g, CASE WHEN g % 9 = 0 THEN NULL ELSE lpad((g % 8)::text, 5, '0') END, CASE WHEN g % 3 > 0 THEN 9007199254740993 + g END, CASE WHEN g % 4 > 0 THEN g * 1.25 END,
	CASE WHEN g % 5 > 0 THEN g % 2 = 0 END, CASE WHEN g % 6 > 0 THEN timestamptz '9999-01-01 00:00:00.000001+00' END, CASE WHEN g % 7 > 0 THEN date '1700-02-03' + g END,
	CASE WHEN g % 3 > 0 THEN jsonb_build_object('g', g) END, CASE WHEN g % 4 > 0 THEN ARRAY['a', NULL, g::text] END, CASE WHEN g % 5 > 0 THEN md5(g::text)::uuid END,
	CASE WHEN g % 7 = 0 THEN NULL WHEN g % 11 = 0 THEN 'NaN' ELSE g / 7.0 END FROM generate_series(1, 400) g;
CREATE INDEX ON raw (zip);
CREATE TABLE clean (LIKE raw INCLUDING ALL);`)
	return p
}

const pythonJob = `
name: py
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: zip}
steps:
  - python: clean.py:clean
sink: {postgres: {url: "${DB}", table: clean, mode: replace}}
python_env: {bin: "${PYTHON}", requirements: ["pandas>=2", pyarrow]}
limits: {workers: 2, chunk_timeout: 20s}
`

// TestAPandasFunctionBetweenTables: every value arrives in the target as it was, whatever pandas would have made of it.
func TestAPandasFunctionBetweenTables(t *testing.T) {
	t.Parallel()
	p := pythonPlace(t)
	p.write(t, "clean.py", `
import pandas as pd

def clean(df: pd.DataFrame, chunk) -> pd.DataFrame:
    print("chunk", chunk["key"], len(df))
    assert df["zip"].nunique(dropna=False) == 1
    df["big"] = df["big"] + 1
    return df[df["id"] % 10 != 0].sort_values("id", ascending=False)
`)
	p.write(t, "job.yaml", pythonJob)
	says(t, p.must(t, "plan", "job.yaml").stdout, "receives each chunk as a pandas data frame", "the table that the sink writes to", "big BIGINT")
	r := p.must(t, "run", "job.yaml", "--json")
	if s := r.summary(t); s.RowsIn != 400 || s.RowsOut != 360 || s.Chunks.Finished != 9 {
		t.Errorf("%+v", s)
	}
	says(t, r.stderr, "chunk 00003", "chunk (null) 44")
	const same = `SELECT count(*) FROM raw r FULL JOIN clean c USING (id) WHERE id % 10 <> 0 AND (r.zip, r.big + 1, r.price, r.ok, r.at, r.day, r.doc, r.tags, r.uid, r.ratio)
		IS DISTINCT FROM (c.zip, c.big, c.price, c.ok, c.at, c.day, c.doc, c.tags, c.uid, c.ratio)`
	if got := p.sql(t, same); got != "0" {
		t.Errorf("%s rows differ", got)
	}
}

// TestAFunctionFailsAlone: what a function does wrong costs its chunk alone, and says what, where and in which chunk. Mended, only that is
// done again.
func TestAFunctionFailsAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault string
		says  []string
	}{
		"exception": {"raise ValueError('no luck')", []string{"step 1 (python)", "ValueError", "no luck", "clean.py"}},
		"missing":   {"df = df.drop(columns=['price'])", []string{"step 1 (python)", "price"}},
		"ends":      {"os._exit(3)", []string{"python"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pythonPlace(t)
			p.write(t, "clean.py", "import os\n\ndef clean(df, chunk):\n    if chunk['key'] == '00003':\n        "+c.fault+"\n    return df\n")
			p.write(t, "job.yaml", strings.Replace(pythonJob, "mode: replace", "mode: append", 1))
			r := p.drover(t, nil, "run", "job.yaml", "--quiet")
			if r.code != 1 || !strings.Contains(r.stderr, "1 of 9 chunks failed") {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
			says(t, p.must(t, "errors").stdout, append(c.says, "00003")...)
			p.write(t, "clean.py", "def clean(df):\n    return df\n")
			p.must(t, "run", "job.yaml", "--retry-errors")
			if got := p.sql(t, "SELECT count(*) || ' ' || count(DISTINCT id) FROM clean"); got != "400 400" {
				t.Error(got)
			}
		})
	}
}

// exactness.md 2: a function that changed is another meaning.
func TestAChangedFunctionIsAnotherMeaning(t *testing.T) {
	t.Parallel()
	p := pythonPlace(t)
	p.write(t, "clean.py", "from helper import same\n\ndef clean(df):\n    return same(df)\n")
	p.write(t, "helper.py", "def same(df):\n    return df\n")
	p.write(t, "job.yaml", pythonJob)
	p.must(t, "run", "job.yaml", "--limit-chunks", "2")
	p.write(t, "helper.py", "def same(df):\n    return df.head(1)\n")
	if r := p.drover(t, nil, "run", "job.yaml"); r.code != 2 || !strings.Contains(r.stderr, "--new") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

// TestAFunctionReceivesTheSmallestTypes: exactness.md 33. What the plan says is what the function receives, a chunk with another value keeps the
// column's own type, and what is written has the source's types.
func TestAFunctionReceivesTheSmallestTypes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.setenv("PYTHON", pythontest.Python(t))
	for i, n := range []string{"i", "300 + i", "i"} {
		p.exec(t, "COPY (SELECT i::BIGINT AS id, ("+n+")::INTEGER AS n, i / 4 AS f, 'city ' || i % 3 AS city FROM range(100) r(i)) TO '{dir}/in"+string(rune('a'+i))+".parquet'")
	}
	p.write(t, "clean.py", `
def clean(df, chunk):
    print(*df.dtypes)
    return df[df["n"] >= 0]
`)
	p.write(t, "job.yaml", `
name: small
source: {files: {path: "in*.parquet"}}
chunk: {files: 1}
steps:
  - rename: {city: town}
  - downcast: all
  - python: clean.py:clean
sink: {files: {path: out, mode: overwrite}}
python_env: {bin: "${PYTHON}"}
`)
	says(t, p.must(t, "plan", "job.yaml").stdout, "3 receives smaller types: id TINYINT for BIGINT, n SMALLINT for INTEGER, f FLOAT for DOUBLE, town DICTIONARY(VARCHAR) for VARCHAR")
	r := p.must(t, "run", "job.yaml")
	says(t, r.stderr, "Int8 Int16 float[pyarrow] category")
	const same = `SELECT count(*) AS n, count(DISTINCT typeof(id) || typeof(n) || typeof(f) || typeof(town)) AS kinds, any_value(typeof(id) || typeof(n) || typeof(f) || typeof(town)) AS types,
		sum(id) AS ids, sum(n) AS ns, sum(f) AS fs FROM 'out/*.parquet'`
	if got, want := p.query(t, same), "300|1|BIGINTINTEGERDOUBLEVARCHAR|14850|44850|3712.5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	report := profiled(t, p.must(t, "profile", "job.yaml", "--json"))
	var received []string
	for _, c := range report.Received {
		received = append(received, c.Name+" "+c.Type+" "+c.DowncastType)
		if c.DowncastBytes >= c.Bytes {
			t.Errorf("%+v", c)
		}
	}
	if got, want := strings.Join(received, ", "), "id BIGINT TINYINT, n INTEGER SMALLINT, f DOUBLE FLOAT, town VARCHAR DICTIONARY(VARCHAR)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, c := range report.Chunks {
		if c.Function <= 0 {
			t.Errorf("%+v", c)
		}
	}
	says(t, p.must(t, "profile", "job.yaml").stdout, "What the function receives", "function")
}

// TestANullThatAFunctionReturnsIsRejectedByItself: a NULL where the target has NOT NULL costs its row, as one that breaks a CHECK does.
func TestANullThatAFunctionReturnsIsRejectedByItself(t *testing.T) {
	t.Parallel()
	p := pythonPlace(t)
	p.sql(t, `ALTER TABLE clean ALTER big SET NOT NULL`)
	p.write(t, "clean.py", "import pandas as pd\ndef clean(df: pd.DataFrame): return df\n")
	p.write(t, "job.yaml", pythonJob+"rejects: {files: {path: rejects/}}\n")
	if s := p.must(t, "run", "job.yaml", "--json").summary(t); s.RowsIn != 400 || s.RowsOut != 267 || s.RowsRejected != 133 {
		t.Errorf("%+v", s)
	}
	if got := p.query(t, `SELECT count(DISTINCT "row"->>'id'), count(*) FILTER (WHERE "row"->>'big' IS NOT NULL), min(reason LIKE '%"big"%null%23502%') FROM 'rejects/*.parquet'`); got != "133|0|true" {
		t.Error(got)
	}
}
