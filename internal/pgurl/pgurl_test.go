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
