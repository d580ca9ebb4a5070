package pgdial

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// noPassfile is appended to keywords, and without its quotes to a URL: the last one counts.
const noPassfile = "passfile="

// passfile is the parameter in a URL or among keywords.
var passfile = regexp.MustCompile(`[?&\s]passfile\s*=\s*('[^']*'|[^&\s]*)`)

// WithoutPublicPassfile returns a connection string with which no password is taken from a file that others may read; libpq ignores such a file, too:
// https://www.postgresql.org/docs/current/libpq-pgpass.html
func WithoutPublicPassfile(text string) string {
	switch {
	case PublicPassfile(text) == "":
		return text
	case !strings.Contains(text, "://"):
		return text + " " + noPassfile + "''"
	case strings.Contains(text, "?"):
		return text + "&" + noPassfile
	}
	return text + "?" + noPassfile
}

// PublicPassfile returns the name of the password file of a connection string, also of one that WithoutPublicPassfile has returned, if others may
// read it.
func PublicPassfile(text string) string {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "''"), noPassfile)
	name := os.Getenv("PGPASSFILE")
	if m := passfile.FindStringSubmatch(" " + text); m != nil {
		name = strings.Trim(m[1], "'")
		if plain, err := url.QueryUnescape(name); err == nil && strings.Contains(text, "://") {
			name = plain
		}
	} else if name == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		name = filepath.Join(home, ".pgpass")
	}
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
		return ""
	}
	return name
}

// HintOfPassfile adds to the hint of a server's refusal of a password that a file might have held one.
func HintOfPassfile(hint, connString, password string) string {
	if file := PublicPassfile(connString); file != "" && password == "" {
		return "chmod 0600 " + file + ": others may read it, so its passwords are ignored, as by psql; or " + hint
	}
	return hint
}
