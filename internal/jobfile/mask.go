package jobfile

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// secrets finds passwords as connection strings spell them: user:PASSWORD@host in a URL, and password=PASSWORD as a URL's parameter or
// as a libpq keyword, in quotes or not. A password that should have been percent-encoded may hold anything but white space, so the
// match runs to the last @ before white space.
var secrets = regexp.MustCompile(`(?i)(://[^\s/:@?#]*:)(\S*)(@)|((?:password|passwd|pwd)\s*=\s*)('(?:[^'\\]|\\.)*'?|[^\s&'"]+)`)

// mask replaces passwords by ***.
func mask(text string) string {
	var b strings.Builder
	at := 0
	for _, m := range findSecrets(text) {
		b.WriteString(text[at:m[0]])
		b.WriteString("***")
		at = m[1]
	}
	b.WriteString(text[at:])
	return b.String()
}

// findSecrets returns the byte ranges of passwords. References such as ${PASSWORD} are not secret.
func findSecrets(text string) [][2]int {
	var found [][2]int
	for _, m := range secrets.FindAllStringSubmatchIndex(text, -1) {
		start, end := m[4], m[5]
		if start < 0 {
			start, end = m[10], m[11]
		}
		if start == end || reference.FindString(text[start:end]) == text[start:end] {
			continue
		}
		found = append(found, [2]int{start, end})
	}
	return found
}

// reference is exactly one ${NAME}.
var reference = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

// maskedColumn returns where the character at column stands after mask.
func maskedColumn(text string, column int) int {
	at := 0 // the byte offset of column
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	shift := 0
	for _, m := range findSecrets(text) {
		switch {
		case at >= m[1]:
			shift += len("***") - utf8.RuneCountInString(text[m[0]:m[1]])
		case at > m[0]:
			shift -= utf8.RuneCountInString(text[m[0]:at])
		}
	}
	return column + shift
}
