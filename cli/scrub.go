package cli

import "regexp"

// passwords finds what must never be shown: the password of a URL, and a password as a parameter or a libpq keyword. Whoever builds
// an error leaves passwords out; this is the last line behind them, for texts of drivers and servers.
var passwords = regexp.MustCompile(`(?i)(://[^\s/:@?#'"]*:)[^\s@/'"]+(@)|((?:password|passwd|passfile|sslpassword)\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'")]+)`)

// scrub hides passwords in a text for the user.
func scrub(text string) string {
	return passwords.ReplaceAllString(text, "$1$3***$2")
}

// secretName finds names of variables whose values are likely secrets.
var secretName = regexp.MustCompile(`(?i)pass|secret|token|key|credential|_url$|dsn`)
