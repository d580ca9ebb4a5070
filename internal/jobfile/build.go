package jobfile

import (
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/droverdata/drover"
)

// maxMerged bounds the entries that merge keys copy in a file: merges of merges multiply.
const maxMerged = 10_000

// builder turns a syntax tree into nodes: anchors, aliases and merge keys are resolved, duplicate keys refused.
type builder struct {
	*source
	// anchors holds nil for an anchor whose value is still being built.
	anchors map[string]*node
	merged  int
}

func (b *builder) build(n ast.Node, flow bool) (*node, error) {
	at := tokenPlace(n.GetToken())
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.mapping(n.Values, n.GetToken(), flow || n.IsFlowStyle)
	case *ast.MappingValueNode:
		return b.mapping([]*ast.MappingValueNode{n}, n.GetToken(), flow)
	case *ast.SequenceNode:
		out := &node{kind: list, at: at, flow: flow || n.IsFlowStyle}
		for _, v := range n.Values {
			item, err := b.build(v, out.flow)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, item)
		}
		return out, nil
	case *ast.LiteralNode:
		out := &node{kind: scalar, style: literal, at: at, text: n.Value.GetToken().Value}
		if n.GetToken().Type == token.FoldedType {
			out.style = folded
		}
		return out, nil
	case *ast.AnchorNode:
		name := n.Name.GetToken().Value
		b.anchors[name] = nil
		value, err := b.build(n.Value, flow)
		if err != nil {
			return nil, err
		}
		b.anchors[name] = value
		return value, nil
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		at.width = 1 + utf8.RuneCountInString(name)
		value, known := b.anchors[name]
		switch {
		case !known:
			return nil, b.fail(at, drover.Errorf(drover.Invalid, "*%s refers to an anchor that no line above defines", name).
				WithHint(`if this is an expression that starts with *, put it between quotes`))
		case value == nil:
			return nil, b.fail(at, drover.Errorf(drover.Invalid, "*%s refers to itself", name))
		}
		return value, nil
	case *ast.TagNode:
		tag := strings.TrimSpace(n.GetToken().Value)
		at.width = utf8.RuneCountInString(tag)
		if tag != "!!str" {
			return nil, b.fail(at, drover.Errorf(drover.Invalid, "%s is a YAML tag, which job files do not use", tag).
				WithHint("if this is an expression that starts with !, put it between quotes, or write NOT"))
		}
		return b.build(n.Value, flow)
	case *ast.MappingKeyNode:
		return b.build(n.Value, flow)
	}
	return b.scalar(n, flow)
}

func (b *builder) scalar(n ast.Node, flow bool) (*node, error) {
	t := n.GetToken()
	out := &node{kind: scalar, at: tokenPlace(t), text: t.Value, flow: flow}
	switch t.Type {
	case token.ImplicitNullType:
		return &node{kind: absent, at: out.at, flow: flow}, nil
	case token.SingleQuoteType:
		out.style = singleQuoted
	case token.DoubleQuoteType:
		out.style = doubleQuoted
	case token.NullType:
		// The parser makes a null of a missing value, too.
		if !b.writes(out.at, t.Value) {
			return &node{kind: absent, at: out.at, flow: flow}, nil
		}
		out.null = true
	default:
		if _, ok := n.(ast.ScalarNode); !ok {
			return nil, b.fail(out.at, drover.Errorf(drover.Invalid, "not YAML that a job file uses"))
		}
	}
	return out, nil
}

// writes reports whether the file has word at a place.
func (s *source) writes(at place, word string) bool {
	if at.line < 1 || at.line > len(s.lines) {
		return false
	}
	line := s.lines[at.line-1]
	return at.column-1 <= len(line) && strings.HasPrefix(string(line[at.column-1:]), word)
}

func (b *builder) mapping(values []*ast.MappingValueNode, t *token.Token, flow bool) (*node, error) {
	out := &node{kind: mapping, at: tokenPlace(t), flow: flow}
	index := map[string]*entry{}
	var merges []*node
	for _, v := range values {
		value, err := b.build(v.Value, flow)
		if err != nil {
			return nil, err
		}
		if v.Key.IsMergeKey() {
			merges = append(merges, value)
			continue
		}
		key, err := b.build(v.Key, flow)
		if err != nil {
			return nil, err
		}
		if key.kind != scalar {
			return nil, b.fail(key.at, drover.Errorf(drover.Invalid, "a key must be a word"))
		}
		if flow && value.kind == absent && v.Value.GetToken().Type != token.NullType {
			if err := b.splitExpression(out, key); err != nil {
				return nil, err
			}
		}
		if first := index[key.text]; first != nil {
			return nil, b.fail(b.extent(key), drover.Errorf(drover.Invalid, "key %q is here a second time; the first is at line %d", key.text, first.key.at.line).
				WithHint("keep one of them"))
		}
		e := &entry{key: key, name: key.text, value: value}
		index[key.text] = e
		out.entries = append(out.entries, e)
	}
	if len(out.entries) > 0 && !flow {
		out.at = out.entries[0].key.at
	}
	for _, m := range merges {
		if err := b.merge(out, index, m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// merge adds the entries of m that out lacks, as YAML's merge key type says (yaml.org/type/merge.html).
func (b *builder) merge(out *node, index map[string]*entry, m *node) error {
	sources := []*node{m}
	if m.kind == list {
		sources = m.items
	}
	for _, from := range sources {
		if from.kind != mapping {
			return b.fail(m.at, drover.Errorf(drover.Invalid, "<< merges maps, and this is none").WithHint("write <<: *NAME for the anchor of a map"))
		}
		if b.merged += len(from.entries); b.merged > maxMerged {
			return b.fail(m.at, drover.Errorf(drover.Invalid, "the file's merge keys add more than %d entries", maxMerged))
		}
		for _, e := range from.entries {
			if index[e.name] == nil {
				c := &entry{key: e.key, name: e.name, value: e.value, merged: true}
				index[e.name] = c
				out.entries = append(out.entries, c)
			}
		}
	}
	return nil
}

// splitExpression recognises what becomes of {total: coalesce(a, b)}: YAML ends the value at the comma and takes "b)" for a key.
func (b *builder) splitExpression(out *node, key *node) error {
	if len(out.entries) == 0 || key.style != plain {
		return nil
	}
	last := out.entries[len(out.entries)-1]
	if last.value.kind != scalar || last.value.style != plain {
		return nil
	}
	return b.fail(b.extent(last.value), drover.Errorf(drover.Invalid, "the value of %q ends at a comma", last.name).
		WithHint(`inside {} put an expression with commas between quotes: {%s: "%s, %s"}`, last.name, last.value.text, key.text))
}
