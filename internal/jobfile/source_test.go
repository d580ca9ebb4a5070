package jobfile

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/redact"
)

// A masked line keeps its carets below the place.
func TestMaskedColumn(t *testing.T) {
	text := `{url: "postgres://u:sécret@h/db", tabel: x, a: "password=x"}`
	masked := redact.Passwords(text)
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
