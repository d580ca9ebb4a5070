package e2e

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// faultJob is what the machines of a round do, and what must come of it.
type faultJob struct {
	name string
	// yaml reads from ${DB} or ${IN} and writes to ${DB} or ${OUT}.
	yaml string
	// files says that the target is a folder.
	files bool
	// before makes what the target has before the run.
	before string
	// truth is SQL over raw and what was there before, for the rows that the target must have at last.
	truth string
}

const (
	faultRows, faultKeys = 3000, 61
	// faultSource makes the source: NULL is a key too.
	faultSource = `CREATE TABLE raw (id bigint PRIMARY KEY, zip text, name text, active boolean, amount numeric(12,2), pad text);
INSERT INTO raw SELECT g, CASE WHEN g % 61 = 0 THEN NULL ELSE lpad((g % 61)::text, 5, '0') END, 'name ' || g, g % 5 <> 0, g * 1.25, repeat('x', 100) FROM generate_series(1, 3000) g;
CREATE INDEX ON raw (zip); ANALYZE raw;
CREATE TABLE clean (LIKE raw INCLUDING ALL); COMMENT ON TABLE clean IS 'kept';`
	faultTruth = `SELECT id, zip, upper(name) AS name, active, amount, pad FROM raw WHERE active`
)

func faultJobs() []faultJob {
	table := func(mode, more string) string {
		return `
name: companies
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: zip}
steps:
  - filter: active
  - set: {name: upper(name)}
sink: {postgres: {url: "${DB}", table: clean, mode: ` + mode + more + `}}
`
	}
	folder := func(source, more string) string {
		return `
name: trips
source: {` + source + `}
steps:
  - filter: active
  - set: {name: upper(name)}
sink: {files: {path: "${OUT}", partition_by: [zip], mode: overwrite` + more + `}}
`
	}
	const old = `SELECT -g AS id, 'old' AS zip, 'old' AS name, true AS active, 1 AS amount, 'x' AS pad FROM generate_series(1, 10) g`
	return []faultJob{
		{name: "append", yaml: table("append", ""), before: "INSERT INTO clean " + old, truth: faultTruth + " UNION ALL " + old},
		{name: "overwrite", files: true, yaml: folder(`files: {path: "${IN}"}`, ""), truth: faultTruth},
		{name: "replace", yaml: table("replace", ""), before: "INSERT INTO clean " + old, truth: faultTruth},
		{
			name: "upsert", yaml: table("upsert", ", key: [id]"), before: "INSERT INTO clean SELECT abs(id), zip, name, active, amount, pad FROM (" + old + " UNION ALL SELECT 5000, 'old', 'stays', true, 1, 'x') o",
			truth: faultTruth + ` UNION ALL SELECT g, 'old', 'old', true, 1, 'x' FROM generate_series(1, 10) g WHERE g % 5 = 0 UNION ALL SELECT 5000, 'old', 'stays', true, 1, 'x'`,
		},
		{name: "overwrite of a table's rows by merging", files: true, yaml: folder(`postgres: {url: "${DB}", table: raw}`, ", max_files: 1") + "chunk: {by: zip}\n", truth: faultTruth},
	}
}

// prepare makes source and target.
func (r *round) prepare(t *testing.T) {
	t.Helper()
	rowsOf(t, r.target, faultSource+r.job.before)
	if !r.job.files {
		return
	}
	r.home.write(t, "in/.keep", "")
	for i := range 30 {
		r.home.exec(t, fmt.Sprintf(`COPY (SELECT g AS id, CASE WHEN g %% %[2]d > 0 THEN lpad((g %% %[2]d)::VARCHAR, 5, '0') END AS zip, 'name ' || g AS name, g %% 5 <> 0 AS active,
			(g * 1.25)::DECIMAL(12,2) AS amount, repeat('x', 100) AS pad FROM range(%[3]d, %[4]d) t(g)) TO '{dir}/in/f%[1]d.parquet'`, i, faultKeys, i*faultRows/30+1, (i+1)*faultRows/30+1))
	}
	r.home.exec(t, `COPY (SELECT -g AS id, 'old' AS zip, 'old' AS name, true AS active, 1::DECIMAL(12,2) AS amount, 'x' AS pad FROM range(10) t(g)) TO '{dir}/out' (FORMAT parquet, PARTITION_BY (zip), FILENAME_PATTERN 'old_{i}')`)
}

// digest is a checksum over rows that does not depend on their order, in SQL that Postgres and DuckDB share.
const digest = `count(*) AS n, count(DISTINCT id) AS ids, sum(id) AS sum, sum(amount) AS amounts, md5(string_agg(id || '|' || coalesce(zip, 'NULL') || '|' || name || '|' || pad, ',' ORDER BY id)) AS rows`

// wrong says what the target has that it must not have, or lacks.
func (r *round) wrong(t *testing.T) []string {
	t.Helper()
	var out []string
	differs := func(what, got, want string) {
		if got != want {
			out = append(out, fmt.Sprintf("%s: %s, want %s", what, got, want))
		}
	}
	const line = `SELECT n || ' ' || ids || ' ' || sum || ' ' || amounts || ' ' || rows FROM (SELECT ` + digest + ` FROM `
	want := rowsOf(t, r.target, line+"("+r.job.truth+") truth) d")
	if r.job.files {
		differs("rows in the folder", r.home.query(t, line+"read_parquet('out/**/*.parquet', hive_partitioning=true, hive_types={'zip': VARCHAR})) d"), want)
		differs("files that are not data", strings.Join(strayFiles(t, filepath.Join(r.home.dir, "out")), ", "), "")
		differs("files beside the source", strings.Join(strayFiles(t, filepath.Join(r.home.dir, "in")), ", "), "")
		return out
	}
	differs("rows in the table", rowsOf(t, r.target, line+"clean) d"), want)
	differs("the table's comment", rowsOf(t, r.target, `SELECT coalesce(obj_description('clean'::regclass), '')`), "kept")
	differs("its indexes", rowsOf(t, r.target, `SELECT count(*) FROM pg_indexes WHERE tablename = 'clean'`), "2")
	differs("tables", rowsOf(t, r.target, `SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`), "clean raw")
	differs("staging tables", rowsOf(t, r.target, `SELECT count(*) FROM pg_class WHERE relname ~ '^drover_[0-9a-f]{32}'`), "0")
	return out
}

// strayFiles lists what is no Parquet file that readers see.
func strayFiles(t *testing.T, dir string) []string {
	t.Helper()
	var stray []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		if err == nil && name != ".keep" && (strings.HasPrefix(name, ".") || !d.IsDir() && filepath.Ext(name) != ".parquet") {
			stray = append(stray, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return stray
}
