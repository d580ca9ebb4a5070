package jobfile

import (
	"fmt"
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/droverdata/drover"
)

// Error is a *drover.Error with its place in a job file.
type Error struct {
	File string
	// Line and Column count from 1, in lines and characters. Line is 0 where the error concerns the whole file.
	Line, Column int
	// Width is the number of characters at fault, at least 1.
	Width int
	// Snippet is the line before the one at fault, if it is not blank, and the line itself: the file's own text with passwords
	// masked and before interpolation.
	Snippet []string
	Err     *drover.Error

	// caret is the column in the masked line.
	caret int
}

// Error returns one line: file:line:column: message; hint
func (e *Error) Error() string {
	if e.Err.Hint == "" {
		return e.headline()
	}
	if question(e.Err.Hint) {
		return e.headline() + ". " + e.Err.Hint
	}
	return e.headline() + "; " + e.Err.Hint
}

// Unwrap returns the *drover.Error.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) headline() string {
	if e.Line == 0 {
		return e.File + ": " + e.Err.Error()
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Err.Error())
}

// question says whether a hint is one ("Did you mean ...?"): those stand behind the message, all others on a line of their own.
func question(hint string) bool { return strings.HasSuffix(hint, "?") }

// Render returns the error as lines for a terminal: what, the source with carets below the place, and what next.
func (e *Error) Render() string {
	var b strings.Builder
	b.WriteString(e.headline())
	hint := e.Err.Hint
	if question(hint) {
		b.WriteString(". " + hint)
		hint = ""
	}
	b.WriteByte('\n')
	gutter := max(4, len(fmt.Sprint(e.Line)))
	for i, line := range e.Snippet {
		n := e.Line - len(e.Snippet) + 1 + i
		b.WriteString(strings.TrimRight(fmt.Sprintf("%*d | %s", gutter, n, line), " ") + "\n")
	}
	if len(e.Snippet) > 0 {
		line := []rune(e.Snippet[len(e.Snippet)-1])
		start := min(max(e.caret-1, 0), len(line))
		end := min(start+e.Width, len(line))
		carets := max(1, runewidth.StringWidth(string(line[start:end])))
		fmt.Fprintf(&b, "%*s | %s%s\n", gutter, "", blank(line[:start]), strings.Repeat("^", carets))
	}
	if hint != "" {
		fmt.Fprintf(&b, "%*s = %s\n", gutter, "", hint)
	}
	return b.String()
}

// blank returns white space as wide as text on a terminal: tabs stay tabs.
func blank(text []rune) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\t' {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Repeat(" ", runewidth.RuneWidth(r)))
		}
	}
	return b.String()
}
