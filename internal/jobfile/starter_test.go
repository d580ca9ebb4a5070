package jobfile

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/connector/postgres"
	"github.com/droverdata/drover/internal/pgurl"
)

func TestStarter(t *testing.T) {
	schema := drover.Schema{
		{Name: "id", Type: "BIGINT", NotNull: true},
		{Name: "Fare Amount", Type: "DECIMAL(12,2)"},
		{Name: "addr", Native: "inet"},
	}
	for name, c := range map[string]struct {
		source drover.Source
		sink   drover.Sink
	}{
		"files":    {files.In("data/2017/"), nil},
		"postgres": {postgres.Table("postgres://u:hunter2@db/x", "public.raw"), postgres.Into("postgres://u:hunter2@db/x", "raw_clean")},
		"query":    {postgres.Query("postgres://u:hunter2@db/x", "SELECT '${x}'\nFROM t"), nil},
		"paths":    {files.In("a b.csv", "c: d", "yes"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Starter("Taxi 2017!", c.source, schema, c.sink)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "hunter2") {
				t.Fatalf("a password appears:\n%s", text)
			}
			golden(t, "testdata/starter-"+name+".yaml", string(text))
			opts := options()
			opts.Env = env(map[string]string{"RAW_URL": "postgres://u:hunter2@db/x", "CLEAN_URL": "postgres://u:hunter2@db/x"})
			f := parse(t, string(text), opts)
			if f.Job.Name != "taxi-2017" {
				t.Errorf("name %q", f.Job.Name)
			}
			if diff := cmp.Diff(c.source, f.Job.Frame.Source, cmp.AllowUnexported(postgres.Source{})); diff != "" {
				t.Error(diff)
			}
			v, ok := value(t, string(text))
			if !ok {
				t.Fatal("not YAML")
			}
			if err := compiled(t).Validate(v); err != nil {
				t.Error(err)
			}
			for what, text := range uncommented(string(text)) {
				f, err := Parse("job.yaml", []byte(text), opts)
				if err != nil {
					t.Errorf("%s: %v\n%s", what, err, text)
				} else if v, ok := value(t, text); !ok || compiled(t).Validate(v) != nil {
					t.Errorf("%s: the schema refuses it\n%s", what, text)
				}
				if what == "all" && (len(f.Job.Frame.Steps) != 4 || f.Job.Frame.Chunk.By != "id") {
					t.Errorf("with its examples: %+v", f.Job.Frame)
				}
			}
		})
	}
}

var commentedKey = regexp.MustCompile(`(?m)^( *)# (- [a-z]+:|[a-z_]+:)`)

// uncommented is a starter with each of its commented keys and steps alone, and with all of them.
func uncommented(text string) map[string]string {
	made := map[string]string{"all": commentedKey.ReplaceAllString(text, "$1$2")}
	for _, at := range commentedKey.FindAllStringSubmatchIndex(text, -1) {
		made[text[at[4]:at[5]]] = text[:at[3]] + text[at[4]:]
	}
	return made
}

// Whatever a source's path and columns are called, the starter file parses and names them.
func TestStarterWithAnyNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.String().Filter(func(s string) bool {
			return strings.TrimSpace(s) != "" && !strings.Contains(s, "://") && pgurl.Of(s) == pgurl.Path // init refuses what resembles a URL
		}).Draw(t, "path")
		column := rapid.StringN(1, 20, -1).Draw(t, "column")
		text, err := Starter(rapid.String().Draw(t, "name"), files.In(path), drover.Schema{{Name: column, Type: "BIGINT"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse("job.yaml", text, options())
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if got := f.Job.Frame.Source.(*files.Source).Path[0]; got != path {
			t.Fatalf("path %q became %q", path, got)
		}
	})
}
