package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

func TestValidate(t *testing.T) {
	const url = "postgres://u:hunter2@db:5432/x"
	for _, c := range []struct {
		rule        string
		spec        interface{ Validate() error }
		field, part string // "" for a spec that is right
	}{
		{"a source of a table", Table(url, "t"), "", ""},
		{"a source of a query", Query("host=db dbname=x", "SELECT 1"), "", ""},
		{"a folder of sockets", Table("postgres://u:p@%2Frun%2Fpg:5612/x", "t"), "", ""},
		{"several hosts", Table("postgresql://a:1,b:2/x?target_session_attrs=any", "t"), "", ""},
		{"a source needs a url", Table("", "t"), "url", "missing"},
		{"a source reads something", Table(url, ""), "", "neither"},
		{"a source reads one thing", &Source{URL: url, Table: "t", Query: "SELECT 1"}, "query", "both"},
		{"a url is Postgres's", Table("mysql://u:hunter2@db/x", "t"), "url", "not a postgres://"},
		{"a url is no bare host", Table("hunter2", "t"), "url", "neither"},
		{"a url has two slashes", Table("postgres:/u:hunter2@db/x", "t"), "url", "neither"},
		{"a url has a colon", Table("postgres//u:hunter2@db/x?a=b", "t"), "url", "neither"},
		{"a url has a scheme", Table("u:hunter2@db/x?sslmode=require", "t"), "url", "neither"},
		{"a url is well formed", Table("postgres://u:hunter2%zz@db/x", "t"), "url", "percent-encoded"},
		{"a slash in a password is encoded", Table("postgres://u:1/hunter2@db/x", "t"), "url", "percent-encoded"},
		{"a question mark in a password is encoded", Table("postgres://u:1?hunter2@db/x", "t"), "url", "percent-encoded"},
		{"a number sign in a password is encoded", Table("postgres://u:1#hunter2@db/x", "t"), "url", "percent-encoded"},
		{"an @ before a slash in a password is encoded", Table("postgres://u:1@a/hunter2@db/x", "t"), "url", "percent-encoded"},
		{"an @ in a parameter", Table("postgres://db/x?user=me@server&password=hunter2", "t"), "", ""},
		{"a sink", Into(url, "t").Append(), "", ""},
		{"a sink needs a table", Into(url, ""), "table", "missing"},
		{"a sink has a known mode", &Sink{URL: url, Table: "t", Mode: "merge"}, "mode", "unknown mode"},
		{"upsert", Into(url, "t").Upsert("a", "b"), "", ""},
		{"upsert needs a key", Into(url, "t").Upsert(), "mode", "needs a key"},
		{"key columns differ", Into(url, "t").Upsert("a", "A"), "key[1]", "twice"},
		{"key is upsert's", &Sink{URL: url, Table: "t", Key: []string{"a"}}, "key", "upsert"},
		{"on_conflict is upsert's", &Sink{URL: url, Table: "t", OnConflict: "update"}, "on_conflict", "upsert"},
		{"on_conflict is known", &Sink{URL: url, Table: "t", Mode: Upsert, Key: []string{"a"}, OnConflict: "abort"}, "on_conflict", "unknown"},
		{"latest is upsert's", &Sink{URL: url, Table: "t", Latest: "a"}, "latest", "upsert"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			err := c.spec.Validate()
			if c.part == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *drover.Error
			if !errors.As(err, &e) || e.Kind != drover.Invalid || e.Field != c.field || !strings.Contains(e.Message, c.part) {
				t.Errorf("%+v; want %q at %q", err, c.part, c.field)
			}
			if strings.Contains(err.Error()+e.Hint, "hunter2") {
				t.Errorf("a password appears: %v", err)
			}
		})
	}
}

func TestAURLShowsNoPartOfItsPassword(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://u:hunter2@db:5432/x?sslmode=disable": "db:5432/x",
		"postgres://u:1/hunter2@db/x":                    "postgres",
		"postgres://u:1?hunter2@db/x":                    "postgres",
		"postgres://u:1#hunter2@db/x":                    "postgres",
		"postgres://u:1@a/hunter2@db/x":                  "postgres",
		"postgres://u:hunter2%zz@db/x":                   "postgres",
		"host=db password=hunter2":                       "db",
		"password='a host=x b' dbname=d port=1 host=db":  "db:1/d",
		"user=u":                         "postgres",
		"postgres:/u:hunter2@db/x":       "postgres",
		"postgres//u:hunter2@db/x":       "postgres",
		"postgres://db/x?user=me@server": "db/x",
	} {
		if got := URL(in).String(); got != want {
			t.Errorf("%s is shown as %s, want %s", in, got, want)
		}
	}
}

func TestAPostgresSourceHasNoFiles(t *testing.T) {
	if err := new(Source).ValidateChunking(drover.Chunking{Files: 1}); drover.KindOf(err) != drover.Invalid {
		t.Error(err)
	}
	if err := new(Source).ValidateChunking(drover.Chunking{Rows: 1}); err != nil {
		t.Error(err)
	}
}
