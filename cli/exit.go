package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/jobfile"
	"github.com/droverdata/drover/internal/redact"
)

// Exit codes, as docs/commands.md lists them.
const (
	exitDone        = 0
	exitErrors      = 1 // the run ended with failed chunks, more rejects than it may have, or broken expectations
	exitUsage       = 2 // the job file or the command line is wrong
	exitRefused     = 3 // a source, sink, ledger or engine cannot be reached or refused
	exitDifferent   = 4 // test or diff found a difference
	exitInterrupted = 130
)

// errChunksFailed ends a run whose chunks failed. The closing lines of the run have told about them.
var errChunksFailed = errors.New("chunks failed")

// end is the one way out: it shows err and returns the exit code.
func (a *app) end(err error) int {
	code := exitCode(err)
	if err == nil || errors.Is(err, errChunksFailed) || errors.Is(err, errDifferent) || code == exitInterrupted && a.shown {
		return code
	}
	if code == exitInterrupted {
		err = a.interrupted(err)
	}
	if a.logJSON {
		a.errorf("%s", errorLine(err))
		return code
	}
	a.errorf("%s", redact.Passwords(describe(err)))
	return code
}

// interrupted says what a stop means to the user; what was being done at that moment does not.
func (a *app) interrupted(cause error) error {
	e := &drover.Error{Kind: drover.Interrupted, Message: "nothing was begun", Cause: cause}
	if a.begun {
		e.Message = "what is finished is safe"
	}
	return e.WithHint("%s", a.again())
}

// errorLine is an error as a line of a JSON log.
func errorLine(err error) []byte {
	e := &drover.Error{Kind: drover.Refused, Message: err.Error()}
	if found, ok := errors.AsType[*drover.Error](err); ok {
		e = found
	}
	clean := *e
	clean.Message, clean.Hint, clean.Sample = redact.Passwords(e.Message), redact.Passwords(e.Hint), redact.Passwords(e.Sample)
	line := struct {
		Time  time.Time     `json:"time"`
		Event string        `json:"event"`
		Place string        `json:"place,omitempty"`
		Error *drover.Error `json:"error"`
	}{Time: time.Now().UTC(), Event: "error", Error: &clean}
	if located, ok := errors.AsType[*jobfile.Error](err); ok && located.Line > 0 {
		line.Place = fmt.Sprintf("%s:%d:%d", located.File, located.Line, located.Column)
	}
	data, err := marshalJSON(line)
	if err != nil {
		return nil // these types encode
	}
	return data
}

func exitCode(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errChunksFailed):
		return exitErrors
	case errors.Is(err, errDifferent):
		return exitDifferent
	}
	if e, ok := errors.AsType[*drover.Error](err); ok && e.Code == connector.TooManyRejects {
		return exitErrors
	}
	switch drover.KindOf(err) {
	case drover.Invalid:
		return exitUsage
	case drover.Interrupted:
		return exitInterrupted
	case "":
		if errors.Is(err, context.Canceled) {
			return exitInterrupted
		}
	}
	return exitRefused
}

// describe is an error as lines: what and where, then what next.
func describe(err error) string {
	if located, ok := errors.AsType[*jobfile.Error](err); ok {
		return located.Render()
	}
	e, ok := errors.AsType[*drover.Error](err)
	if !ok {
		return block("error", err.Error())
	}
	text := err.Error()
	if e.Field != "" && !strings.Contains(text, e.Field) {
		text = e.Field + ": " + text
	}
	if e.Sample != "" && !strings.Contains(text, e.Sample) {
		text += " · value " + e.Sample
	}
	label := "error"
	if e.Kind == drover.Interrupted {
		label = "stopped"
	}
	out := block(label, text)
	if e.Hint != "" {
		out += block("next", e.Hint)
	}
	return out
}

// block sets text beside a label, and its further lines below.
func block(label, text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text)) {
		b.WriteString(human.Line(label, strings.TrimRight(line, "\n")) + "\n")
		label = ""
	}
	return b.String()
}

// reportPanic tells about a defect of drover without its stack, which goes into a file.
func (a *app) reportPanic(r any) int {
	stack := redact.Passwords(fmt.Sprintf("%s\n%v\n\n%s", buildVersion(), r, debug.Stack()))
	where := "it could not be written down"
	name := filepath.Join(stateDir, "crash-"+time.Now().UTC().Format("20060102-150405")+".txt")
	if err := os.MkdirAll(stateDir, 0o755); err == nil {
		if err := os.WriteFile(name, []byte(stack), 0o600); err == nil {
			where = "the details are in " + name
		}
	}
	message, _, _ := strings.Cut(fmt.Sprint(r), "\n")
	a.errorf("%s%s", redact.Passwords(block("error", "drover itself failed, which is a defect: "+message)),
		block("next", "please report it; "+where+". What was committed is safe, and the same command resumes the run"))
	return exitRefused
}

func marshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
