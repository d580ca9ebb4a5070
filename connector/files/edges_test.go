package files

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
)

func TestPathsThatAreFoldersFilesGlobsAndLists(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a/1.parquet", "a/b/2.parquet", "a/b/3.pq", "c/4.parquet", "a/_hidden.parquet", "a/.h/5.parquet", "a/_tmp/6.parquet", "a/notes.txt"} {
		parquetFile(t, dir+"/"+name, fmt.Sprintf("SELECT %d AS id", i+1))
	}
	for name, c := range map[string]struct {
		paths []string
		rows  string
		keys  string
	}{
		"folder":             {[]string{"a"}, "1 2 3", "1.parquet b/2.parquet b/3.pq"},
		"file":               {[]string{"a/1.parquet"}, "1", "1.parquet"},
		"hidden, by name":    {[]string{"a/_hidden.parquet"}, "5", "_hidden.parquet"},
		"glob":               {[]string{"a/*.parquet"}, "1", "1.parquet"},
		"glob, any depth":    {[]string{"**/*.parquet"}, "1 2 4", "a/1.parquet a/b/2.parquet c/4.parquet"},
		"glob in a folder":   {[]string{"*/[0-9].parquet"}, "1 4", "a/1.parquet c/4.parquet"},
		"list":               {[]string{"a/b", "c/4.parquet"}, "2 3 4", "a/b/2.parquet a/b/3.pq c/4.parquet"},
		"list that overlaps": {[]string{"a/b", "a/b/2.parquet"}, "2 3", "2.parquet 3.pq"},
	} {
		t.Run(name, func(t *testing.T) {
			var paths []string
			for _, p := range c.paths {
				paths = append(paths, dir+"/"+p)
			}
			r := mustRead(t, In(paths...), drover.Chunking{})
			want(t, "rows", strings.ReplaceAll(r.rows(t), "\n", " "), c.rows)
			want(t, "keys", r.keys(), c.keys)
		})
	}
}

func TestOddNames(t *testing.T) {
	dir := t.TempDir() + "/da ta 'x' [1]*?é"
	for i, name := range []string{"a b.parquet", "it's.parquet", `q"q.parquet`, "[x]*?.parquet", "100%.parquet", "a%20b.parquet", "new\nline.parquet", "日本.parquet", "{a,b}.parquet", "tab\t.parquet"} {
		parquetFile(t, t.TempDir()+"/x.parquet", "SELECT 1")
		tmp := t.TempDir() + "/x.parquet"
		parquetFile(t, tmp, fmt.Sprintf("SELECT %d AS id", i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "rows", mustRead(t, In(dir), drover.Chunking{}).rows(t), "0\n1\n2\n3\n4\n5\n6\n7\n8\n9")
	want(t, "one", mustRead(t, In(dir+"/[x]*?.parquet"), drover.Chunking{}).rows(t), "3")
	out := t.TempDir() + "/o'ut [1]*?é\n%41"
	run(t, Out(out).PartitionBy("k"), "SELECT 1 AS id, 2 AS k")
	want(t, "rows", contents(t, out), "1|2")
}

func TestLinkedFoldersAreFollowedOnce(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/real/1.parquet", "SELECT 1 AS id")
	for from, to := range map[string]string{dir + "/in/link": dir + "/real", dir + "/in/loop": dir + "/in", dir + "/in/f.parquet": dir + "/real/1.parquet"} {
		if err := os.MkdirAll(dir+"/in", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "keys", mustRead(t, In(dir+"/in"), drover.Chunking{}).keys(), "f.parquet link/1.parquet")
}

func TestHivePartitionsBelowTheRoot(t *testing.T) {
	dir := t.TempDir() + "/env=prod"
	parquetFile(t, dir+"/zip=00501/n=1/a.parquet", "SELECT 1 AS id")
	parquetFile(t, dir+"/zip=99501/n=-20/a.parquet", "SELECT 2 AS id")
	parquetFile(t, dir+"/zip=__HIVE_DEFAULT_PARTITION__/n=3/a.parquet", "SELECT 3 AS id")
	parquetFile(t, dir+"/zip=a%2Fb%25/n=__HIVE_DEFAULT_PARTITION__/a.parquet", "SELECT 4 AS id")
	parquetFile(t, dir+"/zip=/n=4/a.parquet", "SELECT 5 AS id")
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(r.schema), "id INTEGER, zip VARCHAR, n BIGINT")
	want(t, "rows", r.rows(t), "1|00501|1\n2|99501|-20\n3|NULL|3\n4|a/b%|NULL\n5||4")
	// k=v in the root itself adds no column, however the root is written.
	want(t, "glob", describe(mustRead(t, In(dir+"/zip=00501/*/*.parquet"), drover.Chunking{}).schema), "id INTEGER, n BIGINT")
	want(t, "file", describe(mustRead(t, In(dir+"/zip=00501/n=1/a.parquet"), drover.Chunking{}).schema), "id INTEGER")
}

func TestPartitionTypesComeFromCommonMetadata(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/day=2020-01-02/code=7/1.parquet", "SELECT 1 AS id")
	want(t, "without", describe(mustRead(t, In(dir), drover.Chunking{}).schema), "id INTEGER, day VARCHAR, code BIGINT")
	parquetFile(t, dir+"/_common_metadata", "SELECT 1 AS id, DATE '2020-01-01' AS day, 'x' AS code WHERE false")
	want(t, "with", describe(mustRead(t, In(dir), drover.Chunking{}).schema), "id INTEGER, day DATE, code VARCHAR")
}

func TestPartitionValuesKeepTheirType(t *testing.T) {
	dir := t.TempDir() + "/out"
	run(t, Out(dir).PartitionBy("day", "code"), "SELECT 1 AS id, DATE '2020-01-02' AS day, '7' AS code")
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(r.schema), "id INTEGER, day DATE, code VARCHAR")
	want(t, "rows", r.rows(t), "1|2020-01-02|7")
	// Beside a file that declares nothing, only the values speak.
	parquetFile(t, dir+"/day=2020-01-03/code=8/1.parquet", "SELECT 2 AS id")
	want(t, "schema", describe(mustRead(t, In(dir), drover.Chunking{}).schema), "id INTEGER, day VARCHAR, code BIGINT")
}

func TestEmptyObjectsAreIgnoredWithAWarning(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT 1 AS id")
	write(t, dir+"/0.parquet", "")
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "rows", r.rows(t), "1")
	if len(r.warnings) != 1 || !strings.Contains(r.warnings[0], "0.parquet has 0 bytes") {
		t.Errorf("warnings: %q", r.warnings)
	}
}

func TestZeroRowFilesKeepTheirSchema(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT 1::BIGINT AS id, 'x' AS s WHERE false")
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(r.schema), "id BIGINT, s VARCHAR")
	want(t, "rows", r.rows(t), "")
	if len(r.chunks) != 1 {
		t.Errorf("%d chunks", len(r.chunks))
	}
}

func TestSourceRefusals(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/empty/readme.txt", "x")
	write(t, dir+"/mixed/1.csv", "a\n1\n")
	parquetFile(t, dir+"/mixed/2.parquet", "SELECT 1 AS a")
	parquetFile(t, dir+"/cut/1.parquet", "SELECT 1 AS a")
	parquetFile(t, dir+"/cut/2.parquet", "SELECT range AS a FROM range(1000)")
	if err := os.Truncate(dir+"/cut/2.parquet", 200); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/notparquet/1.parquet", "this is no Parquet file, whatever its name says")
	write(t, dir+"/badarrow/1.arrow", "ARROW1 but no more than that")
	write(t, dir+"/badjson/1.json", "{\"a\": 1}\n{\"a\": \n")
	parquetFile(t, dir+"/case/1.parquet", "SELECT 1 AS a")
	write(t, dir+"/unnamed/data", "a,b\n1,2\n")
	for name, c := range map[string]struct {
		paths  []string
		format string
		kind   drover.Kind
		parts  []string
	}{
		"nothing there":  {[]string{"nope"}, "", drover.Refused, []string{dir + "/nope"}},
		"no data":        {[]string{"empty"}, "", drover.Refused, []string{dir + "/empty", "*.parquet"}},
		"glob of none":   {[]string{"*.csv"}, "", drover.Refused, []string{"*.csv"}},
		"mixed":          {[]string{"mixed"}, "", drover.Refused, []string{"1.csv is csv", "2.parquet is parquet"}},
		"truncated":      {[]string{"cut"}, "", drover.Refused, []string{"cut/2.parquet is not a readable Parquet file"}},
		"no parquet":     {[]string{"notparquet"}, "", drover.Refused, []string{"1.parquet is not a readable Parquet file"}},
		"no arrow":       {[]string{"badarrow"}, "", drover.Refused, []string{"1.arrow is not readable as Arrow"}},
		"no json":        {[]string{"badjson"}, "", drover.Refused, []string{"1.json is not readable as JSON"}},
		"no format":      {[]string{"unnamed/data"}, "", drover.Refused, []string{"data says no format", "format:"}},
		"unknown format": {[]string{"unnamed/data"}, "orc", drover.Invalid, []string{"orc"}},
	} {
		t.Run(name, func(t *testing.T) {
			spec := &Source{Format: c.format}
			for _, p := range c.paths {
				spec.Path = append(spec.Path, dir+"/"+p)
			}
			_, err := read(t, spec, drover.Chunking{})
			wantError(t, err, c.kind, c.parts...)
		})
	}
	_, err := read(t, In("s3://bucket/x"), drover.Chunking{})
	wantError(t, err, drover.Invalid, "s3:// is not supported by this version")
	want(t, "explicit format", mustRead(t, &Source{Path: drover.Strings{dir + "/unnamed"}, Format: "csv"}, drover.Chunking{}).rows(t), "1|2")
}

func TestColumnsThatDifferInCaseAlone(t *testing.T) {
	dir := t.TempDir()
	// In one file they cannot be told apart; across files they are one column, spelled as the first file does.
	exec(t, fmt.Sprintf("COPY (SELECT 1 AS a) TO %s (FORMAT parquet)", duck.Literal(dir+"/1.parquet")))
	exec(t, fmt.Sprintf("COPY (SELECT 2 AS A) TO %s (FORMAT parquet)", duck.Literal(dir+"/2.parquet")))
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(r.schema), "a INTEGER")
	want(t, "rows", r.rows(t), "1\n2")
}

func TestIntegersOfDifferentWidthWiden(t *testing.T) {
	for pair, want := range map[[2]string]string{
		{"INTEGER", "BIGINT"}: "BIGINT", {"UTINYINT", "TINYINT"}: "SMALLINT", {"UINTEGER", "INTEGER"}: "BIGINT", {"UTINYINT", "UINTEGER"}: "UINTEGER",
		{"UBIGINT", "BIGINT"}: "", {"BIGINT", "DOUBLE"}: "", {"FLOAT", "DOUBLE"}: "DOUBLE", {"DECIMAL(10,2)", "DECIMAL(12,4)"}: "DECIMAL(12,4)",
		{"DECIMAL(38,0)", "DECIMAL(38,10)"}: "", {"INTEGER", "VARCHAR"}: "", {`"NULL"`, "DATE"}: "DATE", {"DECIMAL(10,2)", "DECIMAL(10,2)[]"}: "",
	} {
		for range 2 {
			if got, ok := widen(pair[0], pair[1]); got != want || ok != (want != "") {
				t.Errorf("%v: %s, %t; want %s", pair, got, ok, want)
			}
			pair[0], pair[1] = pair[1], pair[0]
		}
	}
}

func TestAChangedFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT 1 AS id")
	parquetFile(t, dir+"/2.parquet", "SELECT 2 AS id")
	r := mustRead(t, In(dir), drover.Chunking{})
	by := mustRead(t, In(dir), drover.Chunking{By: "id"})
	parquetFile(t, dir+"/2.parquet", "SELECT 3 AS id, 4 AS more")
	for _, x := range []*reading{r, by} {
		_, err := x.src.Open(t.Context(), newSession(t), x.schema, x.state, x.chunks)
		wantError(t, err, drover.Refused, "2.parquet", "changed")
	}
	if err := os.Remove(dir + "/2.parquet"); err != nil {
		t.Fatal(err)
	}
	_, err := r.src.Open(t.Context(), newSession(t), r.schema, r.state, r.chunks)
	wantError(t, err, drover.Refused, "2.parquet")
}

func TestAConversionErrorOfACSVFileNamesFileAndLine(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1.csv", "id,v\n1,2\n")
	r := mustRead(t, In(dir), drover.Chunking{})
	schema := r.schema
	write(t, dir+"/2.csv", "id,v\n1,2\n2,oops\n")
	later := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(schema), "id BIGINT, v BIGINT")
	s := newSession(t)
	rel, err := later.src.Open(t.Context(), s, schema, later.state, later.chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	err = s.Exec(t.Context(), "SELECT sum(v) FROM "+rel.All())
	wantError(t, err, drover.Data, "2.csv", "oops", "3")
}

func TestCSVDialects(t *testing.T) {
	for name, c := range map[string]struct{ file, content, schema, rows string }{
		"tabs":          {"a.tsv", "id\tname\n1\tx, y\n", "id BIGINT, name VARCHAR", "1|x, y"},
		"semicolons":    {"a.csv", "id;name\n1;x\n2;y\n", "id BIGINT, name VARCHAR", "1|x\n2|y"},
		"numeric names": {"a.csv", "2020,2021\n1,2\n", "2020 BIGINT, 2021 BIGINT", "1|2"},
		"header alone":  {"a.csv", "id,t\n", "id VARCHAR, t VARCHAR", ""},
		"hash":          {"a.csv", "id,tag\n1,#a\n2,b\n#3,c\n", "id VARCHAR, tag VARCHAR", "#3|c\n1|#a\n2|b"},
		"spaces":        {"a.csv", "id,n,d\n 1, 2.5 ,2020-01-02\n", "id BIGINT, n DOUBLE, d DATE", "1|2.5|2020-01-02"},
		"not ISO":       {"a.csv", "d\n01/02/2020\n", "d VARCHAR", "01/02/2020"},
		"empty name":    {"a.csv", ",v\n1,2\n", "column0 BIGINT, v BIGINT", "1|2"},
		"big integers":  {"a.csv", "n\n9007199254740993\n1.5\n", "n DECIMAL(17,1)", "1.5\n9007199254740993.0"},
		"no double":     {"a.csv", "n\n1e400\n1.5\n", "n VARCHAR", "1.5\n1e400"},
		"year 0":        {"a.csv", "d\n0000-01-01\n2020-01-01\n", "d VARCHAR", "0000-01-01\n2020-01-01"},
		"letters t, f":  {"a.csv", "b\nt\nf\n", "b VARCHAR", "f\nt"},
		"one column":    {"a.csv", "n\n1\n2\n", "n BIGINT", "1\n2"},
		"all quoted":    {"a.csv", "\"id\",\"v\"\n\"1\",\"\"\n\"2\",\"5\"\n", "id BIGINT, v BIGINT", "1|NULL\n2|5"},
		"empty text":    {"a.csv", "id,s\n1,\"\"\n2,\n3,x\n", "id BIGINT, s VARCHAR", "1|\n2|NULL\n3|x"},
		"leading zeros": {"a.csv", "zip\n00501\n10016\n", "zip VARCHAR", "00501\n10016"},
		"long numbers":  {"a.csv", "n\n12345678901234567890123\n1\n", "n VARCHAR", "1\n12345678901234567890123"},
		"crlf":          {"a.csv", "id,s\r\n1,x\r\n", "id BIGINT, s VARCHAR", "1|x"},
		"bom":           {"a.csv", "\ufeffid,s\n1,x\n", "id BIGINT, s VARCHAR", "1|x"},
		"quoted line":   {"a.csv", "id,s\n1,\"a\nb\"\n", "id BIGINT, s VARCHAR", "1|a\nb"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, c.file), c.content)
			r := mustRead(t, In(dir), drover.Chunking{})
			want(t, "schema", describe(r.schema), c.schema)
			want(t, "rows", r.rows(t), c.rows)
		})
	}
}

func TestAResumedRunKeepsItsSurvey(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1.csv", "id,v\n1,2\n")
	r := mustRead(t, In(dir), drover.Chunking{})
	write(t, dir+"/2.csv", "id,v\n1,text\n")
	again, err := Definition().OpenSource(t.Context(), In(dir), connector.Env{TempDir: t.TempDir(), Warn: func(string, ...any) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, again)
	state, err := again.Begin(t.Context(), drover.Chunking{}, r.state)
	if err != nil || string(state) != string(r.state) {
		t.Fatal(string(state), err)
	}
	s := newSession(t)
	rel, err := again.Open(t.Context(), s, r.schema, state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "rows", rowsOf(t, s, "SELECT id, v FROM "+rel.All()), "1|2")
	if err := rel.Close(); err != nil {
		t.Error(err)
	}
}

func TestAThousandSmallFilesInOneTask(t *testing.T) {
	dir := t.TempDir()
	exec(t, "SET partitioned_write_max_open_files = 2000",
		fmt.Sprintf("COPY (SELECT range AS id, range %% 1000 AS k FROM range(10000)) TO %s (FORMAT parquet, PARTITION_BY (k))", duck.Literal(dir)))
	began := time.Now()
	r := mustRead(t, In(dir), drover.Chunking{})
	s := newSession(t)
	rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	want(t, "sums", rowsOf(t, s, "SELECT count(*), sum(id), sum(k), count(DISTINCT __drover_tag) FROM "+rel.All()), "10000|49995000|4995000|1000")
	t.Logf("%d files in %v", len(r.chunks), time.Since(began))
}

// A stream by pyarrow of one column of lists of the fixed size 0, at which arrow-go panics.
func TestASchemaThatArrowGoPanicsAtIsRefused(t *testing.T) {
	raw, err := base64.StdEncoding.DecodeString("/////6gAAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAEAAAAEAAAA1P///wAAARAUAAAAHAAAAAQAAAABAAAAJAAAAAEAAABhAAAABAAEAAQAAAAQABQACAAGAAcADAAAABAAEAAAAAAAAQIQAAAAIAAAAAQAAAAAAAAABAAAAGl0ZW0AAAAACAAMAAgABwAIAAAAAAAAAQgAAAD/////AAAAAA==")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir+"/a.arrow", string(raw))
	_, err = read(t, In(dir), drover.Chunking{})
	wantError(t, err, drover.Refused, "a.arrow is not readable as Arrow IPC")
}
