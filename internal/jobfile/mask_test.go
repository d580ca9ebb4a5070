package jobfile

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://u:secret@h/db":              "postgres://u:***@h/db",
		"url: postgres://u:se:c/r@e@t@h/db x@y": "url: postgres://u:***@h/db x@y",
		"postgres://:secret@h":                  "postgres://:***@h",
		"postgres://u@h/db":                     "postgres://u@h/db",
		"postgres://u:${PW}@h/db":               "postgres://u:${PW}@h/db",
		"${URL:-postgres://u:secret@h/db}":      "${URL:-postgres://u:***@h/db}",
		"host=h password=secret dbname=x":       "host=h password=*** dbname=x",
		"host=h PASSWORD = 'a b\\' c' dbname=x": "host=h PASSWORD = *** dbname=x",
		"postgres://h/db?user=u&password=s&a=b": "postgres://h/db?user=u&password=***&a=b",
		"sslpassword=s":                         "sslpassword=***",
		"https://h:80/x":                        "https://h:80/x",
		"a: b":                                  "a: b",
	} {
		if got := mask(text); got != want {
			t.Errorf("mask(%q) = %q, want %q", text, got, want)
		}
	}
}

// A masked line keeps its carets below the place.
func TestMaskedColumn(t *testing.T) {
	text := `{url: "postgres://u:sécret@h/db", tabel: x, a: "password=x"}`
	masked := mask(text)
	for _, word := range []string{"{url", "@h/db", "tabel", `"}`} {
		column := len([]rune(text[:strings.Index(text, word)])) + 1
		at := maskedColumn(text, column)
		if !strings.HasPrefix(string([]rune(masked)[at-1:]), word) {
			t.Errorf("%s is at %d of %q", word, at, masked)
		}
	}
}

// An error that others built is masked as it is placed.
func TestLocateMasks(t *testing.T) {
	f := parse(t, taxi, options())
	err := f.Locate(drover.Errorf(drover.Refused, "connect to postgres://u:hunter2@h/db").WithField("sink").WithHint("postgres://u:hunter2@h/db"))
	if strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
