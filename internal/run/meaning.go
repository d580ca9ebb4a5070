package run

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/plan"
	"github.com/droverdata/drover/internal/step/python"
)

// otherMeaning refuses an unfinished run of another job file, or of other functions.
func (r *runner) otherMeaning() error {
	what := "the job file has"
	if changed := r.changedFunctions(); len(changed) == 1 {
		what = changed[0] + " has"
	} else if len(changed) > 1 {
		what = strings.Join(changed, ", ") + " have"
	}
	e := drover.Errorf(drover.Invalid, "run %s of this job is unfinished (%s), and %s changed since it began", r.run.ID, r.run.State, what)
	if r.o.Name != "" {
		return e.WithHint("to resume it, undo the change; else name another run with --run, or abandon this one with --new and without --run")
	}
	return e.WithHint("drover run --new abandons that run and starts afresh; to resume it, undo the change")
}

// changedFunctions names what changed of the functions that steps call, where nothing else of the job did.
func (r *runner) changedFunctions() []string {
	var old doc
	if r.bound == nil || json.Unmarshal(r.run.Doc, &old) != nil || len(old.Functions) != len(r.bound.Functions) {
		return nil // another machine is planning it, or the steps are others
	}
	if same, err := plan.Fingerprint(r.bound.Job, old.Functions); err != nil || same != r.run.Fingerprint {
		return nil
	}
	var names []string
	for i, was := range old.Functions {
		for _, n := range changedFunction(was, r.bound.Functions[i]) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// changedFunction names the files, and the versions of what runs them, in which two functions of one name differ.
func changedFunction(was, is json.RawMessage) (names []string) {
	var a, b struct {
		Program string `json:"program"` // of a function in Go
		python.Info
	}
	if json.Unmarshal(was, &a) != nil || json.Unmarshal(is, &b) != nil {
		return nil
	}
	if a.Program != b.Program {
		names = append(names, "the program")
	}
	for _, f := range slices.Concat(a.Files, b.Files) {
		if slices.Contains(a.Files, f) != slices.Contains(b.Files, f) {
			names = append(names, human.Printable(f.Path))
		}
	}
	version := func(of, then, now string) {
		if then != now {
			names = append(names, fmt.Sprintf("%s (%s then, %s now)", of, then, now))
		}
	}
	version("Python", a.Python, b.Python)
	for _, p := range slices.Sorted(maps.Keys(a.Packages)) {
		version(p, a.Packages[p], b.Packages[p])
	}
	return names
}
