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
		`client_encoding|target_session_attrs|gss\w+|keepalives\w*|fallback_application_name|ssl\w+|` + SchemaParameter + `)\s*=`)
	keyword       = regexp.MustCompile(`(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|\S*)`)
	schemaKeyword = regexp.MustCompile(`(^|\s)` + SchemaParameter + `\s*=\s*('(?:[^'\\]|\\.)*'|\S*)`)
)

// Is reports whether text is a connection string: a postgres:// or postgresql:// URL, or keywords such as "host=h dbname=d".
func Is(text string) bool { return urlScheme.MatchString(text) || keywords.MatchString(text) }

// Form is what a text names.
type Form int

// The forms. A URL of another scheme is a Path: whoever reads paths says which schemes it knows.
const (
	Path       Form = iota
	Connection      // of Postgres, a URL or keywords
	Mistyped        // meant for Postgres, or holding what may be a password, and neither of the others
)

// Spelling says how a Mistyped text is written.
const Spelling = "write postgres://USER@HOST:5432/DATABASE, with special characters of a password percent-encoded, or host=HOST dbname=DATABASE; a path that looks like it begins with ./"

var (
	// likeScheme is a name of Postgres followed by what should have been ://.
	likeScheme = regexp.MustCompile(`(?i)^\s*(postgre\w*|psql|pgsql|pg)(\s*[:;]|//)`)
	otherURL   = regexp.MustCompile(`^\w[\w+.-]*://`)
	plainPath  = regexp.MustCompile(`^(\.\.?)?/([^/]|$)`)
	// likeSecret is user:PASSWORD@ or a keyword, where no path is likely to have it.
	likeSecret = regexp.MustCompile(`(?i):[^\s]*@|(^|\s)password\s*=`)
)

// Of says what text names. It looks at the text only. Messages about a Mistyped one must not show it.
func Of(text string) Form {
	switch {
	case Is(text):
		return Connection
	case plainPath.MatchString(text):
		return Path
	case likeScheme.MatchString(text):
		return Mistyped
	case otherURL.MatchString(text):
		return Path
	case likeSecret.MatchString(text):
		return Mistyped
	}
	return Path
}

// Misread reports whether a password that is not percent-encoded has been taken for other parts of a URL: its / ? or # has ended the
// host, and the @ behind it lies where none belongs.
func Misread(p *url.URL) bool {
	key, _, _ := strings.Cut(p.RawQuery, "=")
	return strings.Contains(p.EscapedPath()+p.EscapedFragment()+key, "@")
}

// Server names the server and the database of keywords, without anything else.
func Server(text string) string {
	values := map[string]string{}
	for _, m := range keyword.FindAllStringSubmatch(text, -1) {
		values[m[1]] = strings.Trim(m[2], "'")
	}
	server := values["host"]
	if server == "" {
		server = values["hostaddr"]
	}
	if server == "" && values["service"] != "" {
		return "service " + values["service"]
	}
	if values["port"] != "" {
		server += ":" + values["port"]
	}
	if values["dbname"] != "" {
		server += "/" + values["dbname"]
	}
	return server
}

// socketHost is a folder of sockets in a URL's place for the host, which net/url takes for a mistake.
var socketHost = regexp.MustCompile(`^(postgres(?:ql)?://(?:[^/?#@]*@)?)((?i:%2F)[^/?#@:,]*)(?::(\d*))?(/[^?#]*)?(\?[^#]*)?$`)

// Readable returns a connection string in a form that net/url reads: a folder of sockets in the host's place becomes the parameter host.
func Readable(text string) string {
	m := socketHost.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	query := "?host=" + m[2]
	if m[3] != "" {
		query += "&port=" + m[3]
	}
	if more := strings.TrimPrefix(m[5], "?"); more != "" {
		query += "&" + more
	}
	if m[4] == "" {
		m[4] = "/"
	}
	return m[1] + m[4] + query
}

// Split takes SchemaParameter out of a connection string, and makes the rest Readable. given says that it is there.
func Split(text string) (rest, schema string, given bool) {
	text = Readable(text)
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
