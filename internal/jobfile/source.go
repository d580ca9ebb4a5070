package jobfile

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/redact"
)

// The largest job file, in bytes and lines: far more than anyone writes, and little enough for a YAML parser whose time grows with
// the square of some inputs (blank lines of a block scalar, keys of a map).
const (
	maxFile  = 256 << 10
	maxLines = 10_000
)

// longLine is how many characters of a line a snippet shows.
const longLine = 160

// source is a job file's text with LF line ends and no byte order mark.
type source struct {
	name  string
	text  string
	lines [][]rune
}

// place is a stretch of one line. Line and column count from 1.
type place struct{ line, column, width int }

func newSource(name string, data []byte) (*source, error) {
	s := &source{name: name}
	if len(data) > maxFile {
		return nil, s.fail(place{}, drover.Errorf(drover.Invalid, "the job file has %d bytes, more than the %d that drover reads", len(data), maxFile).
			WithHint("Is this the right file?"))
	}
	if bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		return nil, s.fail(place{}, drover.Errorf(drover.Invalid, "the job file is UTF-16").WithHint("save it as UTF-8"))
	}
	data = bytes.TrimPrefix(data, []byte{0xEF, 0xBB, 0xBF})
	// YAML knows three line ends that mean the same. With one of them everything after this counts lines alike.
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	s.text = string(data)
	for line := range strings.SplitSeq(s.text, "\n") {
		s.lines = append(s.lines, []rune(line))
	}
	if len(s.lines) > maxLines {
		return nil, s.fail(place{}, drover.Errorf(drover.Invalid, "the job file has %d lines, more than the %d that drover reads", len(s.lines), maxLines).
			WithHint("Is this the right file?"))
	}
	return s, s.checkCharacters()
}

func (s *source) checkCharacters() error {
	line, column := 1, 1
	for i, r := range s.text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s.text[i:]); size == 1 {
				return s.fail(place{line, column, 1}, drover.Errorf(drover.Invalid, "byte 0x%02X is not UTF-8", s.text[i]).WithHint("save the file as UTF-8"))
			}
		}
		if r != '\n' && r != '\t' && forbidden(r) {
			return s.fail(place{line, column, 1}, drover.Errorf(drover.Invalid, "control character U+%04X in the job file", r).
				WithHint(`remove it, or write it as an escape such as "\u%04X" in double quotes`, r))
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return nil
}

// fail places err in the file.
func (s *source) fail(at place, err *drover.Error) error {
	clean := *err
	clean.Message, clean.Hint = redact.Passwords(err.Message), redact.Passwords(err.Hint)
	e := &Error{File: s.name, Line: at.line, Column: at.column, Width: max(1, at.width), Err: &clean}
	if at.line < 1 || at.line > len(s.lines) {
		e.Line, e.Column = 0, 0
		return e
	}
	if at.line > 1 {
		if before := s.snippet(at.line-1, 1); strings.TrimSpace(before.text) != "" {
			e.Snippet = append(e.Snippet, before.text)
		}
	}
	line := s.snippet(at.line, at.column)
	e.Snippet = append(e.Snippet, line.text)
	e.caret = line.caret
	return e
}

type snippet struct {
	text  string
	caret int
}

// snippet returns a line as errors show it: without passwords, and cut around column where it is long.
func (s *source) snippet(line, column int) snippet {
	runes := s.lines[line-1]
	column = min(max(column, 1), len(runes)+1)
	shown := []rune(redact.Passwords(strings.Map(printable, string(runes))))
	// Masking keeps what precedes a password, so the place moves by as much as the text up to it does.
	caret := column
	if len(shown) != len(runes) {
		caret = maskedColumn(string(runes), column)
	}
	runes = shown
	if len(runes) > longLine {
		start := max(0, min(caret-1-longLine/2, len(runes)-longLine))
		end := min(len(runes), start+longLine)
		text := string(runes[start:end])
		if end < len(runes) {
			text += "…"
		}
		if start > 0 {
			text = "…" + text
			caret++
		}
		return snippet{text, caret - start}
	}
	return snippet{string(runes), caret}
}

// maskedColumn returns where the character at column stands once passwords are hidden.
func maskedColumn(text string, column int) int {
	at := 0 // the byte offset of column
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	shift := 0
	for _, m := range redact.Find(text) {
		switch {
		case at >= m[1]:
			shift += len(redact.Hidden) - utf8.RuneCountInString(text[m[0]:m[1]])
		case at > m[0]:
			shift -= utf8.RuneCountInString(text[m[0]:at])
		}
	}
	return column + shift
}

// forbidden reports whether a job file may not hold r as it is: a control character, a second byte order mark, or a line end that only some
// editors and YAML readers take for one.
func forbidden(r rune) bool {
	return unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || r == 0xFEFF
}

// printable replaces what could steer a terminal.
func printable(r rune) rune {
	if r != '\t' && forbidden(r) {
		return utf8.RuneError
	}
	return r
}
