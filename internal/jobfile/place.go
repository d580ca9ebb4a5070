package jobfile

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// extent is what a node covers of the line that it starts on.
func (s *source) extent(n *node) place {
	at := n.at
	if at.line < 1 || at.line > len(s.lines) || at.column > len(s.lines[at.line-1]) {
		at.width = 1
		return at
	}
	switch {
	case n.kind == scalar && n.style <= doubleQuoted:
		end := s.walk(n, len(n.text))
		if n.style != plain {
			end.column++ // the closing quote
		}
		if end.line == at.line {
			at.width = max(1, end.column-at.column)
			return at
		}
		at.width = len(s.lines[at.line-1]) - at.column + 1
	case n.kind == scalar && n.text != "":
		at = s.blockPlace(n, 0)
		at.width = len(s.lines[at.line-1]) - at.column + 1
	default:
		at.width = 1
	}
	return at
}

// offset returns the place of the character at a byte offset (from 0) of the scalar's interpolated value. Inside what
// a ${...} brought it is the ${...} itself.
func (s *source) offset(n *node, offset int) place {
	raw, length := rawOffset(n.pieces, min(max(offset, 0), len(n.value)))
	if length == 0 {
		length = wordLength(n.text[min(raw, len(n.text)):])
	}
	raw = min(raw, len(n.text))
	var at place
	if n.style == literal || n.style == folded {
		at = s.blockPlace(n, raw)
	} else {
		at = s.walk(n, raw)
	}
	if at.line < 1 || at.line > len(s.lines) {
		return s.extent(n)
	}
	at.width = max(1, min(utf8.RuneCountInString(n.text[raw:min(len(n.text), raw+length)]), len(s.lines[at.line-1])-at.column+1))
	return at
}

// wordLength is the length in bytes of the identifier, quoted name or single character that text starts with.
func wordLength(text string) int {
	r, size := utf8.DecodeRuneInString(text)
	switch {
	case r == '"' || r == '\'':
		if end := strings.IndexRune(text[1:], r); end >= 0 {
			return end + 2
		}
	case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
		end := strings.IndexFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if end < 0 {
			return len(text)
		}
		return end
	}
	return size
}

// walk finds the place of byte offset raw of a plain or quoted scalar's text by reading the file beside the text: escapes are one
// character, and a line end with the white space around it is what folding made of it.
func (s *source) walk(n *node, raw int) place {
	line, column := n.at.line, n.at.column
	if n.style != plain {
		column++
	}
	text, i := n.text, 0
	for ; i < raw && line <= len(s.lines); line++ {
		runes := s.lines[line-1]
		end := len(runes)
		for end > 0 && (runes[end-1] == ' ' || runes[end-1] == '\t') {
			end--
		}
		if line > n.at.line {
			column = 1
			for column <= end && (runes[column-1] == ' ' || runes[column-1] == '\t') {
				column++
			}
		}
		escaped := false
		for {
			escaped = n.style == doubleQuoted && column == end && runes[end-1] == '\\'
			if escaped || column > end || i >= raw {
				break
			}
			column += sourceLength(n.style, runes[column-1:])
			_, size := utf8.DecodeRuneInString(text[i:])
			i += size
		}
		if column <= end && !escaped || raw >= len(text) && i >= raw || line == len(s.lines) {
			break
		}
		for !escaped && i < raw && (text[i] == ' ' || text[i] == '\n') {
			i++
		}
		if i >= raw {
			return s.firstCharacter(line + 1)
		}
	}
	return place{line: min(line, len(s.lines)), column: column, width: 1}
}

// firstCharacter is the place of a line's first character that is not white space.
func (s *source) firstCharacter(line int) place {
	runes := s.lines[line-1]
	column := 1
	for column <= len(runes) && (runes[column-1] == ' ' || runes[column-1] == '\t') {
		column++
	}
	return place{line: line, column: column, width: 1}
}

// sourceLength is how many characters of the file the next character of a scalar takes (YAML 1.2.2, sections 5.7 and 7.3).
func sourceLength(style style, file []rune) int {
	length := 1
	switch {
	case style == singleQuoted && file[0] == '\'':
		length = 2
	case style == doubleQuoted && file[0] == '\\' && len(file) > 1:
		switch file[1] {
		case 'x':
			length = 4
		case 'u':
			length = 6
		case 'U':
			length = 10
		default:
			length = 2
		}
	}
	return min(length, len(file))
}

// blockPlace finds the place of byte offset raw of a block scalar's text: each line of the file is matched, without its
// indentation, to where the text has it.
func (s *source) blockPlace(n *node, raw int) place {
	at := place{line: min(n.at.line+1, len(s.lines)), column: 1, width: 1}
	i := 0
	for line := n.at.line + 1; line <= len(s.lines) && i <= raw; line++ {
		content := strings.TrimLeft(string(s.lines[line-1]), " \t")
		if content == "" {
			continue
		}
		for i < len(n.text) && !strings.HasPrefix(n.text[i:], content) && strings.ContainsRune(" \t\n", rune(n.text[i])) {
			i++
		}
		if !strings.HasPrefix(n.text[i:], content) {
			break
		}
		indent := len(s.lines[line-1]) - utf8.RuneCountInString(content)
		at = place{line: line, column: indent + 1, width: 1}
		if raw <= i+len(content) {
			at.column += utf8.RuneCountInString(n.text[i:max(i, raw)])
			return at
		}
		i += len(content)
	}
	return at
}
