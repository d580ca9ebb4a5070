package jobfile

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droverdata/drover"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// refusals has a case for every way in which a job file is refused. What each says is in testdata/refusals.txt, to be read aloud.
var refusals = []struct {
	name, text string
	set        map[string]string
}{
	// The file as a whole.
	{name: "empty file", text: ""},
	{name: "comments only", text: "# nothing\n"},
	{name: "not UTF-8", text: "name: caf\xe9\n"},
	{name: "UTF-16", text: "\xff\xfen\x00"},
	{name: "control character", text: "name: a\x00b\n"},
	{name: "no-break control inside", text: "name: a\u2028b\n"},
	{name: "too large", text: strings.Repeat("#", maxFile+1)},
	{name: "too many lines", text: strings.Repeat("\n", maxLines)},
	{name: "a list", text: "- a\n- b\n"},
	{name: "a word", text: "hello\n"},
	{name: "two documents", text: "name: a\n---\nname: b\n"},
	{name: "tab indentation", text: "source:\n\tfiles:\n\t\tpath: in/\n"},
	{name: "tab within a list", text: "steps:\n  - drop: [a]\n\t- drop: [b]\n"},
	{name: "unclosed quote", text: "name: \"taxi\nsource: {}\n"},
	{name: "unclosed bracket", text: "name: taxi\nsteps: [{drop: [a]}\nsink: x\n"},
	{name: "bad indentation", text: "source:\n  files:\n    path: in/\n   format: csv\n"},
	{name: "brackets nested too deep", text: "steps: " + strings.Repeat("[", 100)},
	{name: "dashes nested too deep", text: strings.Repeat("- ", 2000) + "x"},
	{name: "too many anchors", text: "name: " + strings.Repeat("&a ", 2000)},
	{name: "expression that starts with a quoted name", text: with("steps:\n  - filter: \"fare amount\" > 1\n")},
	{name: "expression that starts with a single quote", text: with("steps:\n  - set:\n      x: 'a' || b\n")},
	{name: "expression with a colon", text: with("steps:\n  - set:\n      x: CASE a: b\n")},
	{name: "expression that starts with a star", text: with("steps:\n  - filter: *a > 1\n")},
	{name: "expression that starts with a bang", text: with("steps:\n  - filter: !is_active\n")},
	{name: "expression cut by a comment", text: with("steps:\n  - filter: name = 'a #1'\n")},
	{name: "expression that starts with a reserved sign", text: with("steps:\n  - filter: \"x\"\n  - filter: @x > 1\n")},
	{name: "unquoted reference in a flow map", text: with("source: {postgres: {url: ${RAW_URL}, table: t}}\n")},
	{name: "unquoted reference in a flow list", text: with("source:\n  files:\n    path: [in/${YEAR}/, b]\n")},
	{name: "comma in a flow expression", text: with("steps:\n  - set: {total: coalesce(a, b), c: d}\n")},
	{name: "alias of nothing", text: with("limits: *big\n")},
	{name: "alias of itself", text: with("steps: &s [*s]\n")},
	{name: "merge of a word", text: with("limits: {<<: 8}\n")},
	{name: "duplicate key", text: with("ledger: a\ntimezone: UTC\nledger: b\n")},
	{name: "key that is a list", text: "? [a, b]\n: c\n"},

	// Keys and their forms.
	{name: "unknown key", text: "name: taxi-2017\nsource:\n  files:\n    path: in/\nsink:\n  files:\n    path: out/\n    format: parquet\n    partition_bye: [passenger_count, payment_type]\n"},
	{name: "unknown key at the top", text: with("stpes: []\n")},
	{name: "unknown key that resembles none", text: with("limits: {frobnicate: 1}\n")},
	{name: "unknown step", text: with("steps:\n  - fliter: a > 1\n")},
	{name: "unknown connector", text: with("source:\n  postgre:\n    url: x\n")},
	{name: "unknown connector that resembles none", text: with("source: {mysql: {url: x}}\n")},
	{name: "two connectors", text: with("sink:\n  files: {path: out/}\n  postgres: {url: x, table: t}\n")},
	{name: "no connector", text: with("source: {}\n")},
	{name: "source without value", text: with("source:\n")},
	{name: "connector without value", text: with("source:\n  files:\n")},
	{name: "connector as a word", text: with("source: data/in\n")},
	{name: "missing name", text: "source: {files: {path: in/}}\nsink: {files: {path: out/}}\n"},
	{name: "missing source", text: "name: a\nsink: {files: {path: out/}}\n"},
	{name: "missing sink", text: "name: a\nsource: {files: {path: in/}}\n"},
	{name: "missing path", text: with("source:\n  files:\n    format: csv\n")},
	{name: "expectations as a map", text: with("expect:\n  rows: 5\n")},
	{name: "expectation as a word", text: with("expect:\n  - rows\n")},
	{name: "empty expectation", text: with("expect:\n  - {}\n")},
	{name: "unknown expectation", text: with("expect:\n  - nonull: [id]\n")},
	{name: "two expectations in one", text: with("expect:\n  - not_null: [id]\n    unique: [id]\n")},
	{name: "expected rows that compare nothing", text: with("expect:\n  - rows: many\n")},
	{name: "expected column twice", text: with("expect:\n  - unique: [id, ID]\n")},
	{name: "accepted values as a list", text: with("expect:\n  - accepted_values: [state, NY]\n")},
	{name: "accepted values of a column as a word", text: with("expect:\n  - accepted_values: {state: NY}\n")},
	{name: "no accepted value", text: with("expect:\n  - accepted_values: {state: []}\n")},
	{name: "accepted NULL", text: with("expect:\n  - accepted_values: {state: [NY, null]}\n")},
	{name: "expectations of a sink that commits early", text: "name: a\nsource: {files: {path: in/}}\nsink: {postgres: {url: \"postgres://h/d\", table: t, mode: append}}\nexpect:\n  - rows: 5\n"},
	{name: "list for text", text: with("ledger: [a]\n")},
	{name: "text for a list", text: with("steps:\n  - drop: vendor_id\n")},
	{name: "map for a list", text: with("steps:\n  drop: [a]\n")},
	{name: "list for a map", text: with("steps:\n  - set: [a, b]\n")},
	{name: "step as a word", text: with("steps:\n  - drop\n")},
	{name: "step without value", text: with("steps:\n  - filter:\n")},
	{name: "empty step", text: with("steps:\n  - {}\n")},
	{name: "two keys in a step", text: with("steps:\n  - drop: [a]\n    filter: b > 1\n")},
	{name: "empty select", text: with("steps:\n  - select: []\n")},
	{name: "empty set", text: with("steps:\n  - set: {}\n")},
	{name: "empty rename", text: with("steps:\n  - rename: {}\n")},
	{name: "empty cast", text: with("steps:\n  - cast: {}\n")},
	{name: "empty filter", text: with("steps:\n  - filter: ''\n")},
	{name: "null filter", text: with("steps:\n  - filter: null\n")},
	{name: "set without expression", text: with("steps:\n  - set:\n      a:\n      b: c\n")},
	{name: "set to a list", text: with("steps:\n  - set:\n      a: [b]\n")},
	{name: "column twice in select", text: with("steps:\n  - select: [id, name, ID]\n")},
	{name: "column twice in set", text: with("steps:\n  - set: {a: b, A: c}\n")},
	{name: "column twice after interpolation", text: with("vars: {c: a}\nsteps:\n  - set: {a: b, '${c}': c}\n")},
	{name: "two columns of one new name", text: with("steps:\n  - rename: {a: c, b: C}\n")},
	{name: "word for a number", text: with("limits: {workers: many}\n")},
	{name: "quoted number", text: with("limits: {workers: \"8\"}\n")},
	{name: "fraction for a number", text: with("limits: {workers: 1.5}\n")},
	{name: "zero workers", text: with("limits: {workers: 0}\n")},
	{name: "negative attempts", text: with("limits: {attempts: -1}\n")},
	{name: "negative max_errors", text: with("limits: {max_errors: -1}\n")},
	{name: "number out of range", text: with("limits: {workers: 99999999999999999999}\n")},
	{name: "age without unit", text: with("keep: 90\n")},
	{name: "no age", text: with("keep: 0d\n")},
	{name: "size without unit", text: with("limits: {memory: 8}\n")},
	{name: "size that is none", text: with("limits: {memory: lots}\n")},
	{name: "size too large", text: with("limits: {memory: 99999999999TB}\n")},
	{name: "no memory", text: with("limits: {memory: 0GiB}\n")},
	{name: "word for a truth value", text: with("chunk: {by: a, spool: yes}\n")},

	// Keys of later versions.
	{name: "later: catalog", text: with("catalog: local\n")},
	{name: "later: table", text: with("sink:\n  files:\n    path: out/\n  table: nyc.trips\n")},
	{name: "go step in a file", text: with("steps:\n  - go: clean\n")},
	{name: "python without function", text: with("steps:\n  - python: clean.py\n")},
	{name: "unknown frame", text: with("steps:\n  - {python: 'clean.py:clean', frame: pandsa}\n")},
	{name: "schema beside filter", text: with("steps:\n  - filter: a > 1\n    schema: {a: INTEGER}\n")},
	{name: "schema of no type", text: with("steps:\n  - python: clean.py:clean\n    schema: {a: }\n")},
	{name: "schema alone", text: with("steps:\n  - schema: {a: INTEGER}\n")},
	{name: "later: bucket_by", text: with("sink:\n  files:\n    path: out/\n    bucket_by: {columns: [a], buckets: 4}\n")},
	{name: "later: s3", text: with("source:\n  files:\n    path: s3://bucket/2017/\n")},

	// Interpolation.
	{name: "unset variable", text: with("source:\n  postgres:\n    url: ${WAREHOUSE}\n    table: t\n")},
	{name: "unset variable near a known one", text: with("vars: {state: NY}\nsteps:\n  - filter: s = '${sate}'\n")},
	{name: "unset variable in a block", text: with("steps:\n  - sql: |\n      SELECT *\n      FROM chunk WHERE a = ${MIN}\n")},
	{name: "unclosed reference", text: with("ledger: ${LEDGER\n")},
	{name: "malformed reference", text: with("ledger: ${LEDGER-x}\n")},
	{name: "cycle of vars", text: with("vars:\n  a: ${b}\n  b: x${a}\nledger: ${a}\n")},
	{name: "var of itself", text: with("vars:\n  a: ${a:-x}\nledger: ${a}\n")},
	{name: "var that is a list", text: with("vars:\n  a: [b]\n")},
	{name: "var with a bad name", text: with("vars:\n  a-b: c\n")},
	{name: "set that nothing uses", text: with("vars: {state: NY}\nsteps:\n  - filter: s = '${state}'\n"), set: map[string]string{"stat": "CA"}},
	{name: "set where nothing is used", text: with(""), set: map[string]string{"stat": "CA"}},
	{name: "set with a bad name", text: with(""), set: map[string]string{"a b": "c"}},
	{name: "empty after interpolation", text: with("source:\n  postgres:\n    url: ${EMPTY}\n    table: t\n")},
	{name: "number from a secret", text: with("limits: {workers: \"${RAW_URL}\"}\n")},
	{name: "defaults nested too deep", text: with("ledger: " + strings.Repeat("${a:-", 12) + strings.Repeat("}", 12) + "\n")},

	// Combinations.
	{name: "name with a space", text: with("name: my job\n")},
	{name: "name with a dash first", text: with("name: -job\n")},
	{name: "name too long", text: with("name: " + strings.Repeat("x", 64) + "\n")},
	{name: "unknown timezone", text: with("timezone: Mars/Olympus\n")},
	{name: "the machine's timezone", text: with("timezone: Local\n")},
	{name: "chunk by and rows", text: with("chunk: {by: a, rows: 10}\n")},
	{name: "chunk by and files", text: with("chunk: {by: a, files: 1}\n")},
	{name: "chunk rows and files", text: with("chunk: {rows: 5, files: 1}\n")},
	{name: "chunk rows zero", text: with("chunk: {rows: 0}\n")},
	{name: "chunk rows negative", text: with("chunk: {rows: -5}\n")},
	{name: "keys without by", text: with("chunk:\n  keys: SELECT 1\n")},
	{name: "spool without by", text: with("chunk:\n  spool: true\n")},
	{name: "others without by", text: with("chunk:\n  others: ignore\n")},
	{name: "new_keys without by", text: with("chunk:\n  new_keys: true\n")},
	{name: "new_keys of a sink that keeps nothing", text: with("chunk:\n  by: a\n  new_keys: true\n")},
	{name: "others without keys", text: with("chunk:\n  by: a\n  others: ignore\n")},
	{name: "unknown others", text: with("chunk:\n  by: a\n  keys: SELECT 1\n  others: keep\n")},
	{name: "files of a postgres source", text: with("source:\n  postgres: {url: \"${RAW_URL}\", table: t}\nchunk:\n  files: 1\n")},
	{name: "table and query", text: with("source:\n  postgres:\n    url: ${RAW_URL}\n    table: t\n    query: SELECT 1\n")},
	{name: "neither table nor query", text: with("source:\n  postgres:\n    url: ${RAW_URL}\n")},
	{name: "url of another system", text: with("source:\n  postgres:\n    url: mysql://root:hunter2@db/x\n    table: t\n")},
	{name: "url that is none", text: with("source:\n  postgres:\n    url: db.example\n    table: t\n")},
	{name: "url with a raw password", text: with("source:\n  postgres:\n    url: postgres://u:p%ss@word@db/x\n    table: t\n")},
	{name: "unknown mode", text: with("sink:\n  files:\n    path: out/\n    mode: overwrit\n")},
	{name: "upsert without key", text: with("sink:\n  postgres:\n    url: ${CLEAN_URL}\n    table: t\n    mode: upsert\n")},
	{name: "key without upsert", text: with("sink:\n  postgres:\n    url: ${CLEAN_URL}\n    table: t\n    key: [id]\n")},
	{name: "on_conflict without upsert", text: with("sink:\n  postgres:\n    url: ${CLEAN_URL}\n    table: t\n    mode: append\n    on_conflict: ignore\n")},
	{name: "latest without upsert", text: with("sink:\n  postgres:\n    url: ${CLEAN_URL}\n    table: t\n    mode: append\n    latest: updated_at\n")},
	{name: "column twice in key", text: with("sink:\n  postgres:\n    url: ${CLEAN_URL}\n    table: t\n    mode: upsert\n    key: [id, Id]\n")},
	{name: "missing table", text: with("sink:\n  postgres:\n    url: ${CLEAN_URL}\n")},
	{name: "unknown format", text: with("source:\n  files:\n    path: in/\n    format: parket\n")},
	{name: "column twice in partition_by", text: with("sink:\n  files:\n    path: out/\n    partition_by:\n      - a\n      - b\n      - A\n")},
	{name: "unknown compression", text: with("sink:\n  files:\n    path: out/\n    compression: zst\n")},
	{name: "compression of another format", text: with("sink:\n  files:\n    path: out/\n    format: csv\n    compression: snappy\n")},
	{name: "row groups of csv", text: with("sink:\n  files:\n    path: out/\n    format: csv\n    row_group_rows: 1000\n")},
	{name: "overwrite_partitions without partitions", text: with("sink:\n  files:\n    path: out/\n    mode: overwrite_partitions\n")},

	// What lines may look like.
	{name: "password in the line", text: with("source:\n  postgres:\n    url: postgres://loader:hunter2@db/x\n    tabel: t\n")},
	{name: "password in the line at fault", text: with("source: {postgres: {url: \"postgres://loader:hunter2@db/x\", tabel: t}}\n")},
	{name: "libpq password in the line", text: with("source:\n  postgres:\n    url: host=db password=hunter2 dbname=x\n    tabel: t\n")},
	{name: "wide characters before the place", text: with("steps: [{set: {名前: a, b: [c]}}]\n")},
	{name: "tab before the place", text: with("limits: {\tworkers: many}\n")},
	{name: "CRLF and a byte order mark", text: "\ufeffname: a\r\nsource: {files: {path: in/}}\r\nsnik: {}\r\n"},
	{name: "long line", text: with("steps: [{select: [" + strings.Repeat("column, ", 60) + "]}]\n")},
}

// styled matches what begins as a sentence does; names such as YAML may come first in any hint.
var styled = regexp.MustCompile("^[A-Z][a-z]* ")

func TestRefusals(t *testing.T) {
	var b strings.Builder
	seen := map[string]bool{}
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			if seen[c.name] {
				t.Fatal("a case of this name exists")
			}
			seen[c.name] = true
			opts := options()
			opts.Set = c.set
			_, err := Parse("job.yaml", []byte(c.text), opts)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Parse returned %v, not an *Error", err)
			}
			if e.Err.Kind != drover.Invalid {
				t.Errorf("kind %q", e.Err.Kind)
			}
			text := e.Render()
			if strings.Contains(text+e.Error(), "hunter") {
				t.Errorf("a password appears:\n%s", text)
			}
			if hint := e.Err.Hint; strings.HasSuffix(hint, ".") && !strings.HasSuffix(hint, "...") || styled.MatchString(hint) != question(hint) {
				t.Errorf("a hint is a question, or else begins in lower case and ends without a stop: %q", hint)
			}
			if len(text) > 1500 {
				t.Errorf("%d bytes of message", len(text))
			}
			fmt.Fprintf(&b, "== %s\n%s\n", c.name, text)
		})
	}
	golden(t, "testdata/refusals.txt", b.String())
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); go test -update rewrites it:\n%s", path, diff)
	}
}
