package files

import (
	"compress/gzip"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverdata/drover"
)

func TestJSONIsReadAsItIsWritten(t *testing.T) {
	for name, c := range map[string]struct{ content, schema, rows string }{
		"unsigned":          {`{"a":18446744073709551615}` + "\n" + `{"a":1}`, "a UBIGINT", "1\n18446744073709551615"},
		"uuid in capitals":  {`{"a":"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}`, "a VARCHAR", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"},
		"time of minutes":   {`{"a":"10:30"}`, "a VARCHAR", "10:30"},
		"times":             {`{"a":"10:30:00","b":"2024-02-29","c":"2024-01-01T10:00:00.5"}`, "a TIME, b DATE, c TIMESTAMP", "10:30:00|2024-02-29|2024-01-01 10:00:00.5"},
		"zones":             {`{"a":"2024-01-01T10:00:00+02:00"}` + "\n" + `{"a":"2024-01-01 10:00:00Z"}`, "a TIMESTAMP WITH TIME ZONE", "2024-01-01 08:00:00+00\n2024-01-01 10:00:00+00"},
		"no dates":          {`{"a":"2024-02-30","b":"2024-1-1","c":"2024-01-01"}` + "\n" + `{"c":"soon"}`, "a VARCHAR, b VARCHAR, c VARCHAR", "2024-02-30|2024-1-1|2024-01-01\nNULL|NULL|soon"},
		"kinds within":      {`{"a":{"x":1,"y":[1,"b",{"c":null}]}}` + "\n" + `{"a":{"x":"1"}}`, "a STRUCT(x JSON, y JSON[])", `{'x': '"1"', 'y': NULL}` + "\n" + `{'x': 1, 'y': [1, "b", {"c":null}]}`},
		"case within":       {`{"a":{"x":1,"X":2}}`, "a JSON", `{"x":1,"X":2}`},
		"empty":             {`{"a":[],"b":{},"c":null,"d":""}`, "a VARCHAR[], b JSON, c VARCHAR, d VARCHAR", "[]|{}|NULL|"},
		"digits of doubles": {`{"a":0.10000000000000001,"b":1e5,"c":2.50,"d":5e-324}`, "a DOUBLE, b DOUBLE, c DOUBLE, d DOUBLE", "0.1|100000.0|2.5|5e-324"},
		"bom, lines":        {"\ufeff{\"a\":\n1}\r\n\r\n{\"a\":2}{\"a\":3}", "a BIGINT", "1\n2\n3"},
		"array":             {"[{\"a\":1},\n{\"b\":\"x\"}]\n", "a BIGINT, b VARCHAR", "1|NULL\nNULL|x"},
		"escapes":           {`{"\u0061 \"b\"":"\ud83d\ude00\n"}` + "\n" + `{"a \"b\"":"y"}`, `a "b" VARCHAR`, "y\n😀\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/1.json", c.content)
			r := mustRead(t, In(dir), drover.Chunking{})
			want(t, "schema", describe(r.schema), c.schema)
			want(t, "rows", r.rows(t), c.rows)
		})
	}
}

func TestAKeyOfTheLastRecordIsRead(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(dir + "/1.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	for range 200 {
		if _, err := z.Write([]byte(strings.Repeat("{\"a\":1}\n", 1500))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := z.Write([]byte("{\"late\":{\"x\":2.5}}\n")); err != nil {
		t.Fatal(err)
	}
	closed(t, z)
	closed(t, f)
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "schema", describe(r.schema), "a BIGINT, late STRUCT(x DOUBLE)")
	s := newSession(t)
	rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	want(t, "rows", rowsOf(t, s, "SELECT count(*), sum(a), max(late.x) FROM "+rel.All()), "300001|300000|2.5")
}

func TestObjectsWithManyKeysAreMaps(t *testing.T) {
	dir := t.TempDir()
	var same, mixed strings.Builder
	for i := range 2 * mapKeys {
		fmt.Fprintf(&same, "{\"m\":{\"k%d\":%d}}\n", i, i)
		fmt.Fprintf(&mixed, "{\"m\":{\"k%d\":%d,\"t%d\":\"x\"}}\n", i, i, i)
	}
	write(t, dir+"/s/1.json", same.String())
	write(t, dir+"/m/1.json", mixed.String())
	r := mustRead(t, In(dir+"/s"), drover.Chunking{})
	want(t, "schema", describe(r.schema), "m MAP(VARCHAR, BIGINT)")
	if rows := r.rows(t); !strings.Contains(rows, "{k399=399}") || strings.Count(rows, "\n") != 2*mapKeys-1 {
		t.Error(rows)
	}
	r = mustRead(t, In(dir+"/m"), drover.Chunking{})
	want(t, "schema", describe(r.schema), "m MAP(VARCHAR, JSON)")
	if rows := r.rows(t); !strings.Contains(rows, `{k399=399, t399='"x"'}`) {
		t.Error(rows)
	}
}

func TestAFolderThatContradictsJSONIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/p=7/1.json", `{"id":1,"p":7}`+"\n"+`{"id":2}`)
	write(t, dir+"/p=8/1.json", `{"id":3}`)
	r := mustRead(t, In(dir), drover.Chunking{})
	want(t, "rows", r.rows(t), "1|7\n2|7\n3|8")
	write(t, dir+"/p=9/1.json", `{"id":4,"p":5}`)
	r = mustRead(t, In(dir), drover.Chunking{})
	s := newSession(t)
	rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	wantError(t, s.Exec(t.Context(), "SELECT sum(p) FROM "+rel.All()), drover.Data, "column p is in a file and in its folder's name", "5 and 9 in "+dir+"/p=9/1.json")
}

func TestDoublesThatPrintTheSameDigitsHoldANumber(t *testing.T) {
	for number, want := range map[string]bool{
		"0": true, "-0.0": true, "1.5": true, "123456789012345": true, "9007199254740993": false, "9007199254740992": true, "0.30000000000000004": true,
		"0.12345678901234567": false, "1e400": false, "1e-400": false, "0e400": true, "1e22": true, "100000000000000000000000000000000000000.0": true, "2.2250738585072014e-308": true,
		"0.1000000000000000055511151231257827": true, "0.1000000000000000055": false, "0." + strings.Repeat("0", 400) + "1": false,
	} {
		if got := doubleHolds([]byte(number)); got != want {
			t.Errorf("%s: %t", number, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64Range(-1e308, 1e308).Draw(t, "f")
		for _, format := range []string{"%v", "%.17g", "%.16e", "%.15g"} {
			if text := fmt.Sprintf(format, f); !doubleHolds([]byte(text)) && f != 0 {
				t.Fatal(text)
			}
		}
	})
}
