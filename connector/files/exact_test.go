package files

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

func TestCSVLinesWithOtherFieldsThanTheHeaderAreRefusedByName(t *testing.T) {
	for name, content := range map[string]string{
		"more": "id,t\n1,a\n2,b,c\n", "fewer": "id,t\n1,a\nTotal: 2\n", "many": "id,t\n" + strings.Repeat("1,a\n", 1000) + "2\n" + strings.Repeat("1,a\n", 1000),
		"long": "id,t\n1,a\n2,b," + strings.Repeat("x", 20000) + "\n", "open quote": "id,t\n1,\"a\n",
	} {
		dir := t.TempDir()
		write(t, dir+"/1.csv", content)
		_, err := read(t, In(dir), drover.Chunking{})
		wantError(t, err, drover.Refused, "1.csv", "Line: ", "correct the file")
		if text := err.Error(); len(text) > 700 || strings.Contains(text, "ignore_errors") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestCSVLinesThatEndInDifferentWaysAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1.csv", "id,t\r\n1,a\n2,b\r\n3,c\n")
	_, err := read(t, In(dir), drover.Chunking{})
	wantError(t, err, drover.Refused, "1.csv", "end alike")
}

func TestJSONThatWouldChangeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		one, two string
		parts    []string
	}{
		"case across files": {`{"Id":1}`, `{"id":2}`, []string{`"Id"`, "1.json", `"id"`, "2.json"}},
		"case in a record":  {`{"a":1,"A":2}`, `{"a":3}`, []string{`"a"`, `"A"`, "1.json"}},
		"twice":             {`{"a":1}`, `{"a":1,"a":2}`, []string{"2.json", "twice"}},
		"number and text":   {`{"a":1}`, `{"a":"x"}`, []string{"key a is a number", "1.json", "a text", "2.json"}},
		"text and boolean":  {"{\"a\":\"x\"}\n{\"a\":true}", `{"a":null}`, []string{"key a", "a boolean", "a text", "1.json"}},
		"beside a fraction": {`{"a":9007199254740993}`, `{"a":1.5}`, []string{"9007199254740993", "1.json"}},
		"long":              {`{"a":123456789012345678901234567890}`, `{"a":1}`, []string{"123456789012345678901234567890", "1.json"}},
		"below BIGINT":      {`{"a":-9223372036854775809}`, `{"a":1}`, []string{"-9223372036854775809"}},
		"beyond DOUBLE":     {`{"a":1e400}`, `{"a":1}`, []string{"1e400"}},
		"many digits":       {`{"a":0.1234567890123456789}`, `{"a":1}`, []string{"key a", "0.1234567890123456789", "1.json", "in quotes"}},
		"17 digits":         {`{"a":0.12345678901234567}`, `{"a":1}`, []string{"0.12345678901234567", "1.json"}},
		"many, deep":        {`{"a":{"b":[1, 0.1234567890123456789]}}`, `{}`, []string{"key a.b.[]", "0.1234567890123456789"}},
		"twice, deep":       {`{"a":{"b":1,"b":2}}`, `{}`, []string{"1.json", "twice"}},
		"unsigned, below 0": {`{"a":18446744073709551615}`, `{"a":-1}`, []string{"key a", "18446744073709551615", "BIGINT"}},
		"no name":           {`{"":1}`, `{}`, []string{"without a name", "1.json"}},
		"no object":         {"{\"a\":1}\n3", `{}`, []string{"record 2 is not an object", "1.json"}},
		"two arrays":        {"[{\"a\":1}]\n[{\"a\":1}]", `{}`, []string{"follows the array", "1.json"}},
		"bare NaN":          {`{"a":NaN}`, `{}`, []string{"1.json is not readable as JSON", "record 1"}},
		"no UTF-8":          {"{\"a\":\"\xe9\"}", `{}`, []string{"1.json is not readable as JSON"}},
		"UTF-16":            {"\xff\xfe{\x00}\x00", `{}`, []string{"1.json", "UTF-16", "iconv"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/1.json", c.one+"\n")
			write(t, dir+"/2.json", c.two+"\n")
			_, err := read(t, In(dir), drover.Chunking{})
			wantError(t, err, drover.Refused, c.parts...)
		})
	}
}

func TestAFolderThatContradictsItsFilesIsRefused(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/p=7/0.parquet", "SELECT 1 AS id, 7 AS p")
	want(t, "equal", mustRead(t, In(dir), drover.Chunking{}).rows(t), "1|7")
	parquetFile(t, dir+"/P=8/1.parquet", "SELECT 2 AS id, 5 AS p")
	r := mustRead(t, In(dir), drover.Chunking{})
	s := newSession(t)
	rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	err = s.Exec(t.Context(), "SELECT sum(p) FROM "+rel.All())
	if err == nil || !strings.Contains(err.Error(), "column p is in a file and in its folder's name") || !strings.Contains(err.Error(), "5 and 8 in "+dir+"/P=8/1.parquet") {
		t.Error(err)
	}
}

func TestATouchedFileSaysWhen(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT 1 AS id")
	r := mustRead(t, In(dir), drover.Chunking{})
	if err := os.Chtimes(dir+"/1.parquet", time.Time{}, time.Unix(86400, 0)); err != nil {
		t.Fatal(err)
	}
	_, err := r.src.Open(t.Context(), newSession(t), r.schema, r.state, r.chunks)
	wantError(t, err, drover.Refused, "1.parquet", "1970-01-02T00:00:00Z", "--new")
}

func TestCSVWithoutAHeader(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1.csv", "1,2.5\n3,4.5\n")
	r := mustRead(t, &Source{Path: drover.Strings{dir}, NoHeader: true}, drover.Chunking{})
	want(t, "schema", describe(r.schema), "column0 BIGINT, column1 DOUBLE")
	want(t, "rows", r.rows(t), "1|2.5\n3|4.5")
}

func TestThePlanSaysHowCSVFilesAreTakenToBeWritten(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1.csv", "a;b\n\"1\";\"\"\n")
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "reading", r.src.(connector.Describer).Reading(), `csv: delimiter ";", quote '"', names in the first line, an empty field is NULL, "" is the empty text`)
	r = mustRead(t, &Source{Path: drover.Strings{dir}, NoHeader: true}, drover.Chunking{})
	want(t, "reading", r.src.(connector.Describer).Reading(), `csv: delimiter ";", quote '"', no line of names, an empty field is NULL, "" is the empty text`)
	parquetFile(t, dir+"/p/1.parquet", "SELECT 1 AS a")
	want(t, "reading", mustRead(t, In(dir+"/p"), drover.Chunking{}).src.(connector.Describer).Reading(), "")
}

func TestCSVFilesThatDisagreeKeepTheText(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1.csv", "id,v\n9007199254740993,007\n2,1.50\n")
	write(t, dir+"/2.csv", "id,v\n1.5,true\n")
	write(t, dir+"/3.csv", "v,id\n1.50,4\n")
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(r.schema), "id DECIMAL(17,1), v VARCHAR")
	want(t, "rows", r.rows(t), "1.5|true\n2.0|1.50\n4.0|1.50\n9007199254740993.0|007")
	if len(r.warnings) != 1 || !strings.Contains(r.warnings[0], "column v is VARCHAR in "+dir+"/1.csv and BOOLEAN in "+dir+"/2.csv") {
		t.Errorf("warnings: %q", r.warnings)
	}
}

func TestABrokenLinkIsNamedOnce(t *testing.T) {
	dir := t.TempDir()
	parquetFile(t, dir+"/1.parquet", "SELECT 1 AS id")
	if err := os.Symlink(dir+"/nowhere", dir+"/2.parquet"); err != nil {
		t.Fatal(err)
	}
	_, err := read(t, In(dir), drover.Chunking{})
	wantError(t, err, drover.Refused, "2.parquet", "link")
	if strings.Count(err.Error(), "list ") > 1 {
		t.Error(err)
	}
}
