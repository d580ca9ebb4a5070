package cli

import (
	"slices"
	"strings"

	"github.com/droverdata/drover/internal/monitor"
)

// once are flags that a resuming command must not repeat.
var once = map[string]bool{"--new": true, "--keep-committed": true, "--retry-errors": true}

// next are the commands that the closing lines of run offer.
func (a *app) next(ledger string) monitor.Next {
	again := a.again()
	return monitor.Next{
		Again: again, Rest: a.again("--only", "--limit-chunks"), Retry: again + " --retry-errors", Wider: a.again("--memory") + " --retry-errors --memory ",
		// A run that is given up keeps its name.
		Afresh: a.again("--run") + " --new", Errors: a.showErrorsWith(ledger),
	}
}

// showErrorsWith is the command that shows the errors of a run of a ledger; the run's name is still to be added.
func (a *app) showErrorsWith(ledger string) string {
	if ledger == a.ledgerName("", "") {
		return a.program() + " errors"
	}
	return a.program() + " errors --ledger " + a.paste(ledger)
}

// again returns the command that goes on with the run that the process's own command line is about, without some of its flags with a
// value. Values that may be secret are replaced by variables.
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
		word := a.paste(arg)
		if value, found := strings.CutPrefix(arg, "--set="); found {
			word = "--set=" + a.pasteAssignment(value)
		}
		if set {
			word = a.pasteAssignment(arg)
		}
		set = !set && arg == "--set"
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
