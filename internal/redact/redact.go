// Package redact hides passwords in texts for people. Whoever builds an error leaves passwords out; this is the last line behind them, for
// texts of users, drivers and servers.
package redact

import (
	"regexp"
	"strings"
)

// passwords are as connection strings spell them: user:PASSWORD@host in a URL, or in what was meant as one, and password=PASSWORD as a
// URL's parameter or as a libpq keyword, in quotes or not. A password that should have been percent-encoded may hold anything but white
// space, so the match runs to the last @ before white space. Without a scheme it begins with neither : nor /, as SQL's casts and URLs go on.
var passwords = regexp.MustCompile(`(?i)(?:://|postgre\w*[:;/]+)[^\s/:@?#]*:(\S*)@` +
	`|(?:^|[\s"'=/])[\w.%+~-]+:([^\s:/@]\S*)@` +
	`|(?:password|passwd|pwd)\s*=\s*('(?:[^'\\]|\\.)*'?|[^\s&'"]+)`)

// reference is exactly one ${NAME}, as a job file or a shell has it.
var reference = regexp.MustCompile(`^['"]*\$\{[A-Za-z_][A-Za-z0-9_]*(?::\?)?\}['"]*$`)

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
		start, end := max(m[2], m[4], m[6]), max(m[3], m[5], m[7]) // of the only group that matched
		if start == end || reference.MatchString(text[start:end]) {
			continue
		}
		found = append(found, [2]int{start, end})
	}
	return found
}
