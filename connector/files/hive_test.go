package files

import (
	"slices"
	"strings"
	"testing"
)

func TestHiveEscapeIsHives(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "a b": "a b", "a/b": "a%2Fb", "100%": "100%25", "k=v": "k%3Dv", "é": "é", "": "", "..": "..", "a\x01\x7f": "a%01%7F", `"#'*:?\{[]^`: "%22%23%27%2A%3A%3F%5C%7B%5B%5D%5E",
	} {
		if got := hiveEscape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"%": "%", "%2": "%2", "%zz": "%zz", "%2f": "/", "a%20b": "a b", "%25%": "%%"} {
		if got := hiveUnescape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzHivePath(f *testing.F) {
	for _, s := range []string{"", "a/b", "__HIVE_DEFAULT_PARTITION__", "%41", "k=v", "é\n", "..", "\x00"} {
		f.Add("k", s, false)
	}
	f.Add("a=b/c", "x", true)
	f.Fuzz(func(t *testing.T, column, value string, null bool) {
		if column == "" || value == hiveNull {
			return // no column, or a text that the sink refuses
		}
		if null {
			value = ""
		}
		in := hivePart{Column: column, Value: value, Null: null}
		dir := in.dir()
		if strings.ContainsAny(dir, "/\x00") && !strings.Contains(column+value, "\x00") {
			t.Fatalf("%q is no folder name", dir)
		}
		got := parseHive(dir + "/x=y.parquet")
		if null {
			in.Value = hiveNull
		}
		if !slices.Equal(got, []hivePart{in}) {
			t.Fatalf("%q: %+v, want %+v", dir, got, in)
		}
	})
}
