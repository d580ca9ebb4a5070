package jobfile

import (
	"errors"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/droverdata/drover"
)

// parse returns the document's root node.
func (s *source) parse() (*node, error) {
	tokens := lexer.Tokenize(s.text)
	if err := s.checkShape(tokens); err != nil {
		return nil, err
	}
	if err := s.checkFlow(tokens); err != nil {
		return nil, err
	}
	file, err := parseTokens(tokens)
	if err != nil {
		return nil, s.syntaxError(err)
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); directive || doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, s.fail(tokenPlace(doc.Start), drover.Errorf(drover.Invalid, "a second document starts here").
				WithHint("a job file is one document: put each job into a file of its own"))
		}
		root = doc.Body
	}
	if root == nil {
		return nil, s.fail(place{}, drover.Errorf(drover.Invalid, "the job file is empty").
			WithHint("drover init SOURCE writes one to start from"))
	}
	b := &builder{source: s, anchors: map[string]*node{}}
	return b.build(root, false)
}

// parseTokens contains the parser's panics: it is not ours, and what it reads comes from anywhere.
func parseTokens(tokens token.Tokens) (file *ast.File, err error) {
	defer func() {
		if recover() != nil {
			file, err = nil, errors.New("it confuses the YAML parser")
		}
	}()
	// Duplicate keys are allowed here because our own refusal of them points better.
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

func (s *source) syntaxError(err error) error {
	var y yaml.Error
	if !errors.As(err, &y) {
		return s.fail(place{}, drover.Errorf(drover.Invalid, "the job file is not YAML: %w", err))
	}
	at, message := tokenPlace(y.GetToken()), y.GetMessage()
	if at.line < 1 || at.line > len(s.lines) {
		return s.fail(place{}, drover.Errorf(drover.Invalid, "the job file is not YAML: %s", message))
	}
	line := string(s.lines[at.line-1])
	if indent, _, _ := strings.Cut(line, strings.TrimLeft(line, " \t")); strings.Contains(indent, "\t") && strings.TrimSpace(line) != "" {
		at.column = strings.Index(line, "\t") + 1
		return s.fail(at, drover.Errorf(drover.Invalid, "the line is indented with a tab").WithHint("YAML indents with spaces only"))
	}
	if m := afterQuote.FindStringSubmatchIndex(line); m != nil {
		at.column, at.width = len([]rune(line[:m[2]]))+1, len([]rune(line[m[2]:m[3]]))
		return s.fail(at, drover.Errorf(drover.Invalid, "text goes on after its closing quote").WithHint("%s", quoteWhole))
	}
	if m := startsWithSign.FindStringSubmatchIndex(line); m != nil {
		at.column, at.width = len([]rune(line[:m[2]]))+1, 1
		return s.fail(at, drover.Errorf(drover.Invalid, "plain text cannot start with %s", line[m[2]:m[3]]).WithHint("%s", quoteWhole))
	}
	e := drover.Errorf(drover.Invalid, "not YAML: %s", message)
	switch {
	case strings.Contains(line, "\t"):
		e.Hint = "there is a tab in this line: use spaces"
	case strings.Count(line, ": ") > 1:
		e.Hint = quoteWhole
	default:
		e.Hint = "check the indentation, brackets and quotes of this line and those above it"
	}
	return s.fail(at, e)
}

var (
	// afterQuote finds a value that begins with a quoted word and goes on: "fare amount" > 1.
	afterQuote = regexp.MustCompile(`(?:^|[:\-]) +((?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')[ \t]*[^\s,\]}#:].*)$`)
	// startsWithSign finds a value that begins with a character that YAML keeps for itself.
	startsWithSign = regexp.MustCompile("^[^'\"#]*[:\\-] +([*&!%@`])")
)

const quoteWhole = `put the whole value between quotes, or below a | on lines of its own: YAML reads quotes, colons and signs in its own way`

// checkFlow finds ${...} without quotes inside [] or {}, where YAML takes its braces for a map.
func (s *source) checkFlow(tokens token.Tokens) error {
	for i, t := range tokens {
		if t.Type != token.MappingStartType || i == 0 {
			continue
		}
		before := tokens[i-1]
		if before.Type != token.StringType || !strings.HasSuffix(before.Value, "$") {
			continue
		}
		at, start := tokenPlace(t), tokenPlace(before)
		if at.line != start.line || at.column != start.column+len([]rune(before.Value)) {
			continue
		}
		at.column--
		line := string(s.lines[at.line-1][min(at.column-1, len(s.lines[at.line-1])):])
		if end := strings.Index(line, "}"); end > 0 {
			at.width = len([]rune(line[:end+1]))
		}
		return s.fail(at, drover.Errorf(drover.Invalid, "${...} inside [] or {} needs quotes").
			WithHint(`write "${NAME}" with the quotes, because YAML takes the braces for a map`))
	}
	return nil
}
