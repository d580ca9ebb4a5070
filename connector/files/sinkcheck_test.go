package files

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

func TestAFileInTheWayIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "x")
	for _, path := range []string{dir + "/file", dir + "/file/below"} {
		_, err := newJob(t, openTarget(t, Out(path), false), "SELECT 1 AS id")
		wantError(t, err, drover.Refused, dir+"/file")
	}
}

func TestTypesThatParquetWouldChangeAreRefused(t *testing.T) {
	for typ, ok := range map[string]bool{
		"HUGEINT": false, "UHUGEINT[]": false, "INTERVAL": false, "TIMETZ": false, "STRUCT(a HUGEINT)": false, "UNION(a INTEGER)": false,
		"ENUM('HUGEINT')": true, "UUID": true, "DECIMAL(38,10)": true, "TIMESTAMP_NS": true, "JSON": true, "BLOB": true, "MAP(VARCHAR, INTEGER)": true,
	} {
		_, err := newJob(t, openTarget(t, Out(t.TempDir()+"/out"), false), "SELECT 1 AS id, NULL::"+typ+" AS c")
		if ok && err != nil {
			t.Errorf("%s: %v", typ, err)
		} else if !ok {
			wantError(t, err, drover.Invalid, "column c", "cannot be written as parquet")
		}
	}
	_, err := newJob(t, openTarget(t, &Sink{Path: t.TempDir(), Format: formatCSV}, false), "SELECT [1] AS c")
	wantError(t, err, drover.Invalid, "column c", "nested", "to_json")
}

func TestPartitionColumnsAreChecked(t *testing.T) {
	for columns, why := range map[string]string{
		"nope": "no column", "l": "folders", "_h": "pass over", "id,l,_h": "folders",
	} {
		spec := Out(t.TempDir() + "/out").PartitionBy(strings.Split(columns, ",")...)
		s := openTarget(t, spec, false)
		_, err := s.Check(t.Context(), drover.Schema{{Name: "id", Type: "BIGINT"}, {Name: "l", Type: "INTEGER[]"}, {Name: "_h", Type: "VARCHAR"}})
		wantError(t, err, drover.Invalid, why)
	}
}

func TestJSONRefusesNumbersThatItCannotCarry(t *testing.T) {
	for _, v := range []string{"'nan'::DOUBLE", "['inf'::DOUBLE]", "{'NaN': '-inf'::FLOAT}"} {
		j, err := newJob(t, openTarget(t, &Sink{Path: t.TempDir() + "/out", Format: formatJSON}, false), "SELECT 1 AS id, "+v+" AS x")
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, j.write(j.chunks...), drover.Data, "column x holds NaN")
	}
	dir := t.TempDir() + "/out"
	run(t, &Sink{Path: dir, Format: formatJSON}, `SELECT 1.5::DOUBLE AS x, {'NaN': [0.5::DOUBLE], 's': 'a "NaN", Infinity\\'} AS n`, "SELECT NULL, NULL")
	want(t, "rows", contents(t, dir), `1.5|{'NaN': [0.5], 's': 'a "NaN", Infinity\\\\'}`+"\nNULL|NULL")
}

func TestADeltaTableIsNotWrittenInto(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/_delta_log/0.json", "{}")
	_, err := newJob(t, openTarget(t, Out(dir).Append(), false), "SELECT 1 AS id")
	wantError(t, err, drover.Refused, "Delta")
}
