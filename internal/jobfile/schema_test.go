package jobfile

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/vocabulary"
)

func compiled(t *testing.T) *validator.Schema {
	t.Helper()
	text, err := Schema(registry())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("drover.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("drover.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value is a job file as an editor's schema check sees it.
func value(t *testing.T, text string) (any, bool) {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, false
	}
	v, err := validator.UnmarshalJSON(bytes.NewReader(data))
	return v, err == nil
}

func TestSchemaAcceptsWhatParseAccepts(t *testing.T) {
	s := compiled(t)
	for name, text := range map[string]string{
		"taxi":                 taxi,
		"companies":            companies,
		"interpolated numbers": with("limits: {workers: '${N:-4}', memory: '${M:-1GiB}'}\nchunk: {by: a, spool: '${S:-true}'}\n"),
		"interpolated enum":    with("sink: {files: {path: o, mode: '${MODE:-append}'}}\n"),
		"scalars":              with("vars: {a: 1, b: true, c: ''}\nsteps: [{filter: true}, {select: [1, 2.5]}, {set: {a: null}}]\nledger: '${a}${b}${c}'\n"),
		"list of paths":        with("source: {files: {path: [a, b]}}\n"),
		"empty sections":       with("vars:\nsteps:\nlimits:\nchunk:\n"),
		"libpq url":            with("sink: {postgres: {url: host=db, table: t}}\n"),
	} {
		t.Run(name, func(t *testing.T) {
			parse(t, text, options())
			v, ok := value(t, text)
			if !ok {
				t.Fatal("not YAML")
			}
			if err := s.Validate(v); err != nil {
				t.Errorf("%#v", err)
			}
		})
	}
}

func TestSchemaAcceptsSurfaceTaxi(t *testing.T) {
	v, _ := value(t, strings.NewReplacer("data/2017/", "s3://ursa-labs-taxi-data/2017/", "out/taxi/", "s3://my-bucket/taxi/").Replace(taxi))
	if err := compiled(t).Validate(v); err != nil {
		t.Error(err)
	}
}

// beyondSchema are the refusals that a JSON Schema does not express: they concern the text, names, references or combinations.
var beyondSchema = map[string]bool{
	"later: s3":              true,
	"column twice in select": true, "column twice in set": true, "column twice after interpolation": true,
	"two columns of one new name": true, "size too large": true, "no memory": true, "expression cut by a comment": true,
	"unset variable": true, "unset variable near a known one": true, "unset variable in a block": true, "unclosed reference": true,
	"malformed reference": true, "cycle of vars": true, "var of itself": true, "set that nothing uses": true, "set where nothing is used": true,
	"set with a bad name": true, "empty after interpolation": true, "number from a secret": true, "defaults nested too deep": true,
	"name with a space": true, "name with a dash first": true, "name too long": true, "unknown timezone": true, "the machine's timezone": true,
	"chunk by and rows": true, "chunk by and files": true, "chunk rows and files": true, "keys without by": true, "spool without by": true,
	"others without by": true, "others without keys": true, "new_keys without by": true, "new_keys of a sink that keeps nothing": true, "files of a postgres source": true, "table and query": true, "neither table nor query": true,
	"url of another system": true, "url that is none": true, "url with a raw password": true, "upsert without key": true, "key without upsert": true,
	"on_conflict without upsert": true, "latest without upsert": true, "column twice in key": true, "column twice in partition_by": true,
	"unknown compression": true, "compression of another format": true, "row groups of csv": true, "overwrite_partitions without partitions": true,
	"python without function": true, "schema of no type": true, "comma in a flow expression": true, "set without expression": true, "long line": true,
	"expected rows that compare nothing": true, "expected column twice": true, "expectations of a sink that commits early": true,
}

func TestSchemaRefusesWhatParseRefuses(t *testing.T) {
	s := compiled(t)
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			v, ok := value(t, c.text)
			if !ok {
				return // not YAML: an editor says so without a schema
			}
			if err := s.Validate(v); err == nil && !beyondSchema[c.name] {
				t.Error("the schema takes it")
			} else if err != nil && beyondSchema[c.name] {
				t.Errorf("the schema does refuse it: %v", err)
			}
		})
	}
}

func TestSchemaNamesEveryKey(t *testing.T) {
	text, err := Schema(registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Document](), reflect.TypeFor[drover.Step](), reflect.TypeFor[drover.Chunking](), reflect.TypeFor[drover.Limits](), reflect.TypeFor[drover.Rejects](),
	} {
		for _, key := range vocabulary.Keys(vocabulary.Fields(typ)) {
			if !bytes.Contains(text, []byte(`"`+key+`": {`)) {
				t.Errorf("no property %q", key)
			}
		}
	}
	golden(t, "testdata/schema.json", string(text))
}

// The descriptions are the Go comments of the types, kept in a file because a binary has no comments.
func TestCommentsAreThoseOfTheTypes(t *testing.T) {
	const module = "github.com/droverdata/drover"
	wanted := map[string]bool{}
	add := func(typ reflect.Type) {
		for _, f := range vocabulary.Fields(typ) {
			wanted[typ.PkgPath()+"."+typ.Name()+"."+typ.Field(f.Index).Name] = true
		}
	}
	add(reflect.TypeFor[drover.Step]())
	add(reflect.TypeFor[drover.Chunking]())
	add(reflect.TypeFor[drover.Limits]())
	add(reflect.TypeFor[drover.Rejects]())
	add(reflect.TypeFor[drover.Expectation]())
	dirs := []string{"."}
	for name, d := range registry() {
		dirs = append(dirs, "connector/"+name)
		add(reflect.TypeOf(d.NewSource()).Elem())
		add(reflect.TypeOf(d.NewSink()).Elem())
	}
	t.Chdir("../..")
	found := map[string]string{}
	for _, dir := range dirs {
		var r jsonschema.Reflector
		for _, file := range []string{"frame.go", "step.go", "job.go", "expect.go", "spec.go"} {
			if _, err := os.Stat(path.Join(dir, file)); err == nil {
				if err := r.AddGoComments(module, path.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for key, text := range r.CommentMap {
			if wanted[key] {
				found[key] = strings.Join(strings.Fields(text), " ")
			}
		}
	}
	var r jsonschema.Reflector
	if err := r.AddGoComments(module, "internal/jobfile/document.go"); err != nil {
		t.Fatal(err)
	}
	for key, text := range r.CommentMap {
		if strings.Contains(key, ".Document.") {
			found[key] = strings.Join(strings.Fields(text), " ")
		}
	}
	got, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("internal/jobfile")
	golden(t, "comments.json", string(got)+"\n")
	if *update {
		return
	}
	if diff := cmp.Diff(string(comments), string(got)+"\n"); diff != "" {
		t.Error(diff)
	}
}
