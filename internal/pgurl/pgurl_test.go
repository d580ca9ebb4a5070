package pgurl

import "testing"

func TestSplit(t *testing.T) {
	for text, want := range map[string][2]string{
		"postgres://u:p@h/db?drover_schema=mine&sslmode=disable":  {"postgres://u:p@h/db?sslmode=disable", "mine"},
		"postgres://u:p@h/db?sslmode=disable&drover_schema=a+%22": {"postgres://u:p@h/db?sslmode=disable", `a "`},
		"postgresql://h1:1,h2:2/db?drover_schema=mine":            {"postgresql://h1:1,h2:2/db", "mine"},
		"postgres://?service=x&drover_schema=mine":                {"postgres://?service=x", "mine"},
		"postgres://?drover_schema=mine":                          {"postgres://", "mine"},
		"postgres://?service=x":                                   {"postgres://?service=x", ""},
		"postgres://u:p@h/db":                                     {"postgres://u:p@h/db", ""},
		"host=h drover_schema='my s' dbname=d":                    {"host=h dbname=d", "my s"},
		"drover_schema=s service=x":                               {"service=x", "s"},
		"host=h dbname=d":                                         {"host=h dbname=d", ""},
		"postgres://u:p@%2Frun%2fpg:5612/db?a=b&drover_schema=s":  {"postgres://u:p@/db?host=%2Frun%2fpg&port=5612&a=b", "s"},
		"postgresql://%2Frun":                                     {"postgresql:///?host=%2Frun", ""},
	} {
		rest, schema, given := Split(text)
		if rest != want[0] || schema != want[1] || given != (want[1] != "") {
			t.Errorf("%s: %q, %q, %v", text, rest, schema, given)
		}
	}
	for _, empty := range []string{"postgres://h/db?drover_schema=", "host=h drover_schema="} {
		if _, schema, given := Split(empty); schema != "" || !given {
			t.Errorf("%s: %q, %v", empty, schema, given)
		}
	}
}

// A text that was meant for Postgres is never a file: each machine would have a ledger of its own, below a folder called like the password.
func TestAMistypedURLIsNoPath(t *testing.T) {
	for text, want := range map[string]Form{
		"postgres://u:p@h/db": Connection, "postgresql://h/db": Connection, "host=h dbname=d": Connection,
		"postgres:/u:p@h/db": Mistyped, "postgres//u:p@h/db": Mistyped, "postgresql:host": Mistyped, "postgres:u:p@h/db": Mistyped,
		"postgress://u:p@h/db": Mistyped, "Postgres://u:p@h/db": Mistyped, " postgres://u:p@h/db": Mistyped, "postgres;//u:p@h/db": Mistyped,
		"postgres//h/db": Mistyped, "psql:/h/db": Mistyped, "pgsql//h/db": Mistyped, "postgre:/h": Mistyped,
		"u:p@h/db": Mistyped, "//u:p@h/db": Mistyped, ":p@h": Mistyped, "u:a/b?c@h:5432/db": Mistyped, "://u:p@h/db": Mistyped,
		"hots=h password=p": Mistyped,
		"ledger.db":         Path, "data/": Path, "postgres.db": Path, "postgres/ledger.db": Path, "pg": Path, "data/at 12:30/x@y.csv": Mistyped, "data/at 12:30/x.csv": Path,
		"./postgres:/x": Path, "../u:p@h": Path, "/data/12:30@home.csv": Path, "s3://bucket/x": Path, "pg://u:p@h/db": Mistyped, "": Path,
		"my=ledger.db": Path, "s3://bucket/12:30@x": Path,
	} {
		if got := Of(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestIs(t *testing.T) {
	for text, want := range map[string]bool{
		"postgres://h/db": true, "postgresql://": true, "host=h": true, " service = mine": true, "sslmode=require host=h": true,
		"ledger.db": false, ".drover/ledger.db": false, "my=ledger.db": false, "/data/host=x/ledger.db": false, "mysql://h/db": false,
	} {
		if Is(text) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}
