package jobfile

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"

	"github.com/droverdata/drover"
)

// stepsKey and sinkKey match a top-level key that begins a block. A job file has one of each.
var (
	stepsKey = regexp.MustCompile(`^steps:[ \t]*(#.*)?$`)
	sinkKey  = regexp.MustCompile(`^sink:`)
)

// AddStep returns a job file with one more step behind its last. text writes the step as a line of a block sequence with that indentation.
// All else stays as it is, comments and layout too. A file in which that cannot be done safely is refused.
func AddStep(name string, data []byte, opts Options, step drover.Step, text func(indent string) string) ([]byte, error) {
	before, err := Parse(name, data, opts)
	if err != nil {
		return nil, err
	}
	refused := func() error {
		return drover.Errorf(drover.Refused, "the steps of %s are written in a way that no step can be added to safely", name).
			WithHint("add this line to them by hand: %s", strings.TrimSpace(text("")))
	}
	lines := strings.SplitAfter(string(data), "\n")
	end := "\n"
	if bytes.Contains(data, []byte("\r\n")) {
		end = "\r\n"
	}
	at, added := placeForStep(lines, text, end)
	if at < 0 {
		return nil, refused()
	}
	if at > 0 && !strings.HasSuffix(lines[at-1], "\n") {
		added = end + added
	}
	edited := []byte(strings.Join(lines[:at], "") + added + strings.Join(lines[at:], ""))
	after, err := Parse(name, edited, opts)
	if err != nil {
		return nil, refused()
	}
	want := before.Job
	want.Frame.Steps = append(want.Frame.Steps[:len(want.Frame.Steps):len(want.Frame.Steps)], step)
	if !reflect.DeepEqual(after.Job, want) {
		return nil, refused()
	}
	return edited, nil
}

// placeForStep returns the line before which a step goes, and what to insert there; -1 where there is no such place.
func placeForStep(lines []string, text func(indent string) string, end string) (int, string) {
	sink := -1
	for i, l := range lines {
		bare := strings.TrimRight(l, "\r\n")
		if sinkKey.MatchString(bare) {
			sink = i
		}
		if !stepsKey.MatchString(bare) {
			continue
		}
		last, indent := -1, ""
		for j, l := range lines[i+1:] {
			trimmed := strings.TrimSpace(l)
			if trimmed == "" || strings.HasPrefix(trimmed, "#") {
				continue
			}
			if !strings.HasPrefix(l, " ") && !strings.HasPrefix(l, "-") {
				break
			}
			if last < 0 {
				indent = l[:len(l)-len(strings.TrimLeft(l, " "))]
			}
			last = i + 1 + j
		}
		if last < 0 {
			return -1, ""
		}
		return last + 1, text(indent) + end
	}
	if sink < 0 {
		return -1, ""
	}
	return sink, "steps:" + end + text("  ") + end
}
