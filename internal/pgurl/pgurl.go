// Package pgurl reads what drover adds to the connection strings of libpq: URLs and keyword strings.
package pgurl

import (
	"net/url"
	"regexp"
	"strings"
)

// SchemaParameter names drover's own schema in a connection string. Postgres must not see it.
const SchemaParameter = "drover_schema"

var (
	urlScheme = regexp.MustCompile(`^postgres(ql)?://`)
	// keywords are those that a keyword string may begin with: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
	keywords = regexp.MustCompile(`^\s*(host|hostaddr|port|dbname|user|password|passfile|service|servicefile|options|application_name|connect_timeout|` +
		`client_encoding|target_session_attrs|ssl\w+|` + SchemaParameter + `)\s*=`)
	schemaKeyword = regexp.MustCompile(`(^|\s)` + SchemaParameter + `\s*=\s*('(?:[^'\\]|\\.)*'|\S*)`)
)

// Is reports whether text is a connection string: a postgres:// or postgresql:// URL, or keywords such as "host=h dbname=d".
func Is(text string) bool { return urlScheme.MatchString(text) || keywords.MatchString(text) }

// Split takes SchemaParameter out of a connection string. given says that it is there.
func Split(text string) (rest, schema string, given bool) {
	if !urlScheme.MatchString(text) {
		m := schemaKeyword.FindStringSubmatchIndex(text)
		if m == nil {
			return text, "", false
		}
		return strings.TrimSpace(text[:m[0]] + text[m[1]:]), strings.Trim(text[m[4]:m[5]], "'"), true
	}
	// The rest stays as it is written: net/url would drop the slashes of postgres://?service=x.
	base, query, _ := strings.Cut(text, "?")
	var others []string
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key != SchemaParameter {
			others = append(others, pair)
			continue
		}
		given = true
		var err error
		if schema, err = url.QueryUnescape(value); err != nil {
			schema = value
		}
	}
	switch {
	case !given:
		return text, "", false
	case len(others) == 0:
		return base, schema, true
	}
	return base + "?" + strings.Join(others, "&"), schema, true
}
