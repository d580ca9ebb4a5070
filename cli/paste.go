package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/droverdata/drover/internal/pgdial"
	"github.com/droverdata/drover/internal/pgurl"
	"github.com/droverdata/drover/internal/redact"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// secretName finds names of variables whose values are likely secrets.
	secretName = regexp.MustCompile(`(?i)pass|secret|token|key|credential|_url$|dsn`)
	plainWord  = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)
	flagWord   = regexp.MustCompile(`^--[a-z-]+=`)
	// shellName is what a shell takes for a variable's name. Some shells keep the last command in _.
	shellName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	// passwordKeyword ends before the value of libpq's keyword.
	passwordKeyword = regexp.MustCompile(`(?:^|\s)password\s*=\s*$`)
)

// unnamed is the variable that stands for a password which no variable of the environment holds.
const unnamed = "PASSWORD"

// quote writes a word so that a shell reads it back.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// paste writes a word of the command line so that a shell reads it back, but for passwords: one that libpq's variables or password file give is left out; in
// another one's place stands a variable of the environment that holds it, or the whole word, else unnamed.
func (a *app) paste(word string) string {
	found := redact.Find(word)
	if len(found) == 0 {
		return quote(word)
	}
	flag := flagWord.FindString(word)
	word = word[len(flag):]
	if found = redact.Find(word); len(found) == 1 {
		if without, ok := stripped(word, found[0]); ok {
			return flag + quote(without)
		}
	}
	if name := a.holder(word); name != "" {
		return flag + reference(name)
	}
	var b strings.Builder
	b.WriteString(flag)
	at := 0
	part := func(text string) {
		if text != "" {
			b.WriteString(quote(text))
		}
	}
	for _, m := range found {
		part(word[at:m[0]])
		name := a.holder(word[m[0]:m[1]])
		if name == "" {
			name = unnamed
		}
		b.WriteString(reference(name))
		at = m[1]
	}
	part(word[at:])
	return b.String()
}

// pasteAssignment is paste for the NAME=VALUE of --set, all of whose value may be secret.
func (a *app) pasteAssignment(assignment string) string {
	name, value, assigned := strings.Cut(assignment, "=")
	if !assigned || !secretName.MatchString(name) {
		return a.paste(assignment)
	}
	from := a.holder(value)
	if from == "" || a.getenv(name) == value {
		from = name
	}
	return quote(name+"=") + reference(from)
}

// reference has the shell put a variable's value there, or say that it has none.
func reference(name string) string { return `"${` + name + `:?}"` }

// holder names the environment's variable of this value, the first by its name; "" if there is none.
func (a *app) holder(value string) string {
	if a.environ == nil || value == "" {
		return ""
	}
	pairs := a.environ()
	slices.Sort(pairs)
	for _, pair := range pairs {
		if name, v, _ := strings.Cut(pair, "="); v == value && shellName.MatchString(name) {
			return name
		}
	}
	return ""
}

// stripped returns a connection string without the password at m, if libpq's variables or password file give the same one.
func stripped(text string, m [2]int) (string, bool) {
	before, after := text[:m[0]], text[m[1]:]
	switch {
	case !pgurl.Is(text):
		return "", false
	case strings.HasSuffix(before, ":"):
		before = strings.TrimSuffix(before, ":")
	default:
		at := passwordKeyword.FindStringIndex(before)
		if at == nil {
			return "", false
		}
		before, after = before[:at[0]], strings.TrimLeft(after, " ")
		if before != "" && after != "" {
			before += " "
		}
	}
	with, errWith := passwordOf(text)
	without, err := passwordOf(before + after)
	return before + after, errWith == nil && err == nil && with != "" && with == without
}

// passwordOf is the password with which a connection string would connect.
func passwordOf(text string) (string, error) {
	text, _, _ = pgurl.Split(text)
	config, err := pgconn.ParseConfig(pgdial.WithoutPublicPassfile(text))
	if err != nil {
		return "", err
	}
	return config.Password, nil
}
