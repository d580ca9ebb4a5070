// Package redact hides passwords in texts for people. Whoever builds an error leaves passwords out; this is the last line behind them, for
// texts of users, drivers and servers.
package redact

import (
	"regexp"
	"strings"
)

// passwords are as connection strings spell them: user:PASSWORD@host in a URL, and password=PASSWORD as a URL's parameter or as a
// libpq keyword, in quotes or not. A password that should have been percent-encoded may hold anything but white space, so the match runs
// to the last @ before white space.
var passwords = regexp.MustCompile(`(?i)(://[^\s/:@?#]*:)(\S*)(@)|((?:password|passwd|pwd)\s*=\s*)('(?:[^'\\]|\\.)*'?|[^\s&'"]+)`)

// reference is exactly one ${NAME}.
var reference = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

// Hidden is what stands in a password's place.
const Hidden = "***"

// Passwords replaces passwords by Hidden.
func Passwords(text string) string {
	var b strings.Builder
	at := 0
	for _, m := range Find(text) {
		b.WriteString(text[at:m[0]])
		b.WriteString(Hidden)
		at = m[1]
	}
	b.WriteString(text[at:])
	return b.String()
}

// Find returns the byte ranges of passwords, in order. References such as ${PASSWORD} are not secret.
func Find(text string) [][2]int {
	var found [][2]int
	for _, m := range passwords.FindAllStringSubmatchIndex(text, -1) {
		start, end := m[4], m[5]
		if start < 0 {
			start, end = m[10], m[11]
		}
		if start == end || reference.MatchString(text[start:end]) {
			continue
		}
		found = append(found, [2]int{start, end})
	}
	return found
}
