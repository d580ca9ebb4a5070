package cli

import (
	"regexp"
	"strings"

	"github.com/droverdata/drover/internal/redact"
)

// once are flags that a resuming command must not repeat.
var once = map[string]bool{"--new": true, "--keep-committed": true, "--retry-errors": true}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// secretName finds names of variables whose values are likely secrets.
var secretName = regexp.MustCompile(`(?i)pass|secret|token|key|credential|_url$|dsn`)

// again returns the command that goes on with the run that the process's own command line is about. Values that may be secret are
// replaced by their names.
func (a *app) again() string {
	words := []string{"drover"}
	set := false
	for _, arg := range a.args {
		flag, _, _ := strings.Cut(arg, "=")
		if once[flag] {
			continue
		}
		if set {
			arg = hideValue(arg)
		}
		if value, found := strings.CutPrefix(arg, "--set="); found {
			arg = "--set=" + hideValue(value)
		}
		set = arg == "--set"
		words = append(words, quote(redact.Passwords(arg)))
	}
	return strings.Join(words, " ")
}

func hideValue(assignment string) string {
	name, _, _ := strings.Cut(assignment, "=")
	if secretName.MatchString(name) {
		return name + "=***"
	}
	return assignment
}

// quote writes a word so that a shell reads it back.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
