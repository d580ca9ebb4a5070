package cli

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

func TestDiffExitsWith4WhereSidesDiffer(t *testing.T) {
	d := newDir(t)
	d.write(t, "a.csv", "id,city\n1,Bern\n2,Graz\n3,Rom\n")
	d.write(t, "b/1.csv", "city,id\nBasel,1\nRom,3\n")
	d.write(t, "b/2.csv", "city,id\nOslo,4\n")
	r := d.drover(t, "diff", "a.csv", "b", "--key", "id")
	if r.code != exitDifferent || r.stderr != "" {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
	for _, part := range []string{"a.csv: 3 rows", "b: 3 rows", "1 missing, 1 extra, 1 changed", "city in 1 row", "id=1 · city Bern -> Basel", "id=2 · city Graz", "id=4 · city Oslo"} {
		if !contains(r.stdout, part) {
			t.Errorf("no %q in\n%s", part, r.stdout)
		}
	}
	if r := d.drover(t, "diff", "a.csv", "a.csv", "--key", "id"); r.code != exitDone || !contains(r.stdout, "equal") {
		t.Errorf("exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if files := d.files(t); len(files) != 4 {
		t.Errorf("it left %v", files)
	}
}

func TestDiffJSON(t *testing.T) {
	d := newDir(t)
	d.write(t, "a.csv", "id,line,city\n1,a,Bern\n2,a,\n")
	d.write(t, "b.csv", "id,line,city\n1,a,Basel\n3,b,Oslo\n")
	r := d.drover(t, "diff", "a.csv", "b.csv", "--key", "id,line", "--json")
	const want = `{"equal":false,"left":{"name":"a.csv","rows":2},"right":{"name":"b.csv","rows":2},"missing":1,"extra":1,"changed":1,` +
		`"columns":[{"column":"city","changed":1}],"only_left":[],"only_right":[],"types":[],"samples":[` +
		`{"kind":"changed","key":{"id":"1","line":"a"},"columns":{"city":{"left":"Bern","right":"Basel"}}},` +
		`{"kind":"missing","key":{"id":"2","line":"a"},"row":{"city":null}},{"kind":"extra","key":{"id":"3","line":"b"},"row":{"city":"Oslo"}}]}` + "\n"
	if r.stdout != want {
		t.Errorf("got\n%s%s", r.stdout, r.stderr)
	}
}

func TestDiffRefusals(t *testing.T) {
	d := newDir(t)
	d.write(t, "a.csv", "id,city\n1,Bern\n")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"diff a.csv --key id", exitUsage, "was given 1"},
		{"diff a.csv a.csv", exitUsage, "needs the columns that say which rows belong together"},
		{"diff a.csv a.csv --key nr", exitUsage, `has no column "nr"`},
		{"diff a.csv a.csv --key id --ignore nr", exitUsage, `has a column "nr" to ignore`},
		{"diff a.csv a.csv --key id,ID", exitUsage, "twice"},
		{"diff a.csv a.csv --key id --tolerance -1", exitUsage, "a tolerance of -1"},
		{"diff a.csv a.csv --key id --samples -1", exitUsage, "--samples"},
		{"diff a.csv none/ --key id", exitRefused, "none/: there is no file or folder"},
		{"diff postgres//u:hunter2@h/db x --key id", exitUsage, "resembles"},
		{"diff a.csv postgres:/u:hunter2@h/db#t --key id", exitUsage, "resembles"},
		{"init postgres//u:hunter2@h/db#t -o -", exitUsage, "resembles"},
		{"init u:hunter2@h/db", exitUsage, "resembles"},
		{"status --ledger postgres//u:hunter2@h/five", exitUsage, "resembles"},
		{"diff a.csv s3://b/c --key id", exitUsage, "s3://"},
		{"diff a.csv postgres://u:hunter2@localhost/db --key id", exitUsage, "does not say which table"},
		{"diff a.csv postgres://u:hunter2@127.0.0.1:1/db#t --key id", exitRefused, "cannot connect to 127.0.0.1:1/db"},
		{"diff a.csv postgres://u:hunt#er2@127.0.0.1:1/db#t --key id", exitUsage, "cannot be read"},
	} {
		r := d.drover(t, strings.Fields(c.args)...)
		if r.code != c.code || !contains(r.stderr, c.says) || r.stdout != "" {
			t.Errorf("%s: exit %d, %s%s", c.args, r.code, r.stdout, r.stderr)
		}
		if contains(r.stderr, "hunt") || contains(r.stderr, "source.files") || strings.Count(r.stderr, "\n") > 2 {
			t.Errorf("%s: %s", c.args, r.stderr)
		}
	}
}

func TestDiffOfPostgresAndFilesShowsNoPassword(t *testing.T) {
	address := pgtest.Database(t)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `CREATE SCHEMA s; CREATE TABLE s."T" AS SELECT 1::bigint AS id, 1.50::numeric AS amount UNION ALL SELECT 2, 2`); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "hunter2") // the test server trusts everybody
	d := newDir(t)
	d.write(t, "a.csv", "id,amount\n1,1.5\n2,2.5\n")
	for _, args := range [][]string{{"a.csv", u.String() + `#s."T"`}, {u.String() + `#s."T"`, "a.csv", "--json"}} {
		r := d.drover(t, append(append([]string{"diff"}, args...), "--key", "id")...)
		if r.code != exitDifferent || contains(r.stdout+r.stderr, "hunter2") || !contains(r.stdout, `s.`) {
			t.Errorf("exit %d: %s%s", r.code, r.stdout, r.stderr)
		}
		if len(args) > 2 {
			var found struct{ Missing, Extra, Changed int }
			if err := json.Unmarshal([]byte(r.stdout), &found); err != nil || found.Changed != 1 || found.Missing+found.Extra != 0 {
				t.Errorf("%+v, %v", found, err)
			}
		}
	}
	r := d.drover(t, "diff", "a.csv", u.String()+"#s.u", "--key", "id")
	if r.code != exitRefused || contains(r.stderr, "hunter2") || !contains(r.stderr, "table s.u does not exist") {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
}
