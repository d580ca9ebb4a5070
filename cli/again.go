package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/droverdata/drover/internal/monitor"
	"github.com/droverdata/drover/internal/redact"
)

// once are flags that a resuming command must not repeat.
var once = map[string]bool{"--new": true, "--keep-committed": true, "--retry-errors": true}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// secretName finds names of variables whose values are likely secrets.
var secretName = regexp.MustCompile(`(?i)pass|secret|token|key|credential|_url$|dsn`)

// next are the commands that the closing lines of run offer.
func (a *app) next(ledger string) monitor.Next {
	again := a.again()
	return monitor.Next{
		Again: again, Rest: a.again("--only", "--limit-chunks"), Retry: again + " --retry-errors",
		// A run that is given up keeps its name.
		Afresh: a.again("--run") + " --new", Errors: a.showErrorsWith(ledger),
	}
}

// showErrorsWith is the command that shows the errors of a run of a ledger; the run's name is still to be added.
func (a *app) showErrorsWith(ledger string) string {
	if ledger == a.ledgerName("", "") {
		return a.program() + " errors"
	}
	return a.program() + " errors --ledger " + quote(redact.Passwords(ledger))
}

// again returns the command that goes on with the run that the process's own command line is about, without some of its flags with a
// value. Values that may be secret are replaced by their names.
func (a *app) again(without ...string) string {
	words := []string{a.program()}
	set, skip := false, false
	for _, arg := range a.args {
		flag, _, assigned := strings.Cut(arg, "=")
		if skip || once[flag] {
			skip = false
			continue
		}
		if !set && slices.Contains(without, flag) {
			skip = !assigned
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
