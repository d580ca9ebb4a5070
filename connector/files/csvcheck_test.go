package files

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

// beyond is columns of a large CSV file: what all values are but one of the last.
var beyond = []struct{ usual, odd, typ, fine string }{
	{"10016", "00501", "BIGINT", ""},
	{"10016", "1.5", "BIGINT", ""},
	{"1.25", "0.12345678901234567", "DOUBLE", ""},
	{"1.25", "9007199254740993", "DOUBLE", ""},
	{"1.25", "12.50", "DOUBLE", "12.5"},
	{"2020-01-02", "2020-1-3", "DATE", ""},
	{"9007199254740993.5", "1.55", "DECIMAL(17,1)", ""},
	{"9007199254740993.5", "1.500", "DECIMAL(17,1)", "1.5"},
	{"7", `""`, "BIGINT", "NULL"},
}

func TestAValueBeyondTheSampleIsNeverChanged(t *testing.T) {
	dir := t.TempDir()
	var w strings.Builder
	var names, usual, odd, schema []string
	for i, c := range beyond {
		names, usual, odd = append(names, fmt.Sprintf("v%d", i)), append(usual, c.usual), append(odd, c.odd)
		schema = append(schema, fmt.Sprintf("v%d %s", i, c.typ))
	}
	line := strings.Join(usual, ",") + strings.Repeat(" ", 250) + "\n" // the last column is a number
	w.WriteString(strings.Join(names, ",") + "\n")
	for range sampleRows + 1000 {
		w.WriteString(line)
	}
	w.WriteString(strings.Join(odd, ",") + "\n" + line)
	write(t, dir+"/1.csv", w.String())
	write(t, dir+"/2.csv", "v0,v1\n1,2\n")
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(r.schema), strings.Join(schema, ", "))
	s := newSession(t)
	for i, c := range beyond {
		rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks[:1])
		if err != nil {
			t.Fatal(err)
		}
		query := fmt.Sprintf("SELECT v%d FROM %s WHERE v%[1]d IS DISTINCT FROM '%[3]s'", i, rel.Chunk(0), c.usual)
		if c.fine != "" {
			want(t, c.odd, rowsOf(t, s, query), c.fine)
		} else {
			err = s.Exec(t.Context(), query)
			wantError(t, err, drover.Data, fmt.Sprintf("column v%d", i), c.typ, "'"+c.odd+"'", dir+"/1.csv", fmt.Sprintf("types: {v%d: VARCHAR}", i))
		}
		closed(t, rel)
	}
}

func TestTypesThatAJobDeclaresAreChecked(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1.csv", "zip,amount,id,note\n10016,1.5,3,a\n")
	write(t, dir+"/2.csv", "zip,amount,id,note\n20016,2,,\"\"\n")
	spec := In(dir)
	spec.Types = []drover.Pair{{Key: "ZIP", Value: "text"}, {Key: "amount", Value: "decimal(8, 2)"}, {Key: "id", Value: "int"}}
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	r := mustRead(t, spec, drover.Chunking{})
	want(t, "schema", describe(r.schema), "zip VARCHAR, amount DECIMAL(8,2), id INTEGER, note VARCHAR")
	want(t, "rows", r.rows(t), "10016|1.50|3|a\n20016|2.00|NULL|")
	write(t, dir+"/3.csv", "zip,amount\n1,1.555\n")
	r = mustRead(t, spec, drover.Chunking{})
	s := newSession(t)
	rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	wantError(t, s.Exec(t.Context(), "SELECT sum(amount) FROM "+rel.All()), drover.Data, "column amount", "1.555", "3.csv")

	spec.Types = []drover.Pair{{Key: "nope", Value: "VARCHAR"}}
	_, err = read(t, spec, drover.Chunking{})
	wantError(t, err, drover.Invalid, `"nope"`, "zip, amount")
	spec.Types = []drover.Pair{{Key: "zip", Value: "NOTYPE"}}
	_, err = read(t, spec, drover.Chunking{})
	wantError(t, err, drover.Invalid, "NOTYPE", "DECIMAL(12,2)")
	for _, typ := range []string{"INT) AS a, (1", "BIGINT[]", ""} {
		spec.Types[0].Value = typ
		if err := spec.Validate(); err == nil {
			t.Errorf("%q is taken for a type", typ)
		}
	}
	parquetFile(t, dir+"/p/1.parquet", "SELECT 1 AS zip")
	_, err = read(t, &Source{Path: drover.Strings{dir + "/p"}, Types: spec.Types}, drover.Chunking{})
	wantError(t, err, drover.Invalid, "types is for csv files")
}

// DuckDB takes the line break inside a name for how the file's lines end, and then reads not one row, without an error.
func TestANameWithAnotherLineBreakThanTheLinesEndIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"windows.csv": "id,\"a\nb\"\r\n1,2\r\n3,4\r\n",
		"unix.csv":    "id,\"a\r\nb\"\n1,2\n3,4\n",
	} {
		path := filepath.Join(dir, name)
		write(t, path, content)
		_, err := read(t, &Source{Path: drover.Strings{path}}, drover.Chunking{})
		wantError(t, err, drover.Refused, path, `"a\nb"`, "rename")
	}
	for name, content := range map[string]string{
		"windows-alike.csv": "id,\"a\r\nb\"\r\n1,2\r\n3,4\r\n",
		"unix-alike.csv":    "id,\"a\nb\"\n1,2\n3,4\n",
	} {
		path := filepath.Join(dir, name)
		write(t, path, content)
		want(t, name, mustRead(t, &Source{Path: drover.Strings{path}}, drover.Chunking{}).rows(t), "1|2\n3|4")
	}
}

func TestAnEmptyFirstLineOfACSVFileIsRefusedInWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	write(t, path, "\nid,v\n1,2\n")
	_, err := read(t, &Source{Path: drover.Strings{path}}, drover.Chunking{})
	wantError(t, err, drover.Refused, path+" is empty")
	if strings.Contains(err.Error(), "%!") {
		t.Error(err)
	}
}
