package jobfile

import (
	"github.com/goccy/go-yaml/token"

	"github.com/droverdata/drover"
)

// The parser recurses once for each level of nesting and each anchor or tag in front of a value, so a hostile file could
// exhaust the stack, which no recover catches. Job files need a handful of each.
const (
	maxDepth      = 64   // [ and { open at a time
	maxIndent     = 1000 // characters in front of the last of a block line's keys and dashes, each of which may open a level
	maxProperties = 1000 // anchors, aliases and tags in a file
)

// checkShape refuses tokens that no job file has, before the parser sees them.
func (s *source) checkShape(tokens token.Tokens) error {
	depth, properties := 0, 0
	for _, t := range tokens {
		at := tokenPlace(t)
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			if depth++; depth > maxDepth {
				return s.fail(at, drover.Errorf(drover.Invalid, "brackets are nested more than %d deep", maxDepth))
			}
		case token.SequenceEndType, token.MappingEndType:
			depth = max(0, depth-1)
		case token.AnchorType, token.AliasType, token.TagType:
			if properties++; properties > maxProperties {
				return s.fail(at, drover.Errorf(drover.Invalid, "more than %d anchors, aliases and tags", maxProperties))
			}
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if depth == 0 && at.column > maxIndent {
				return s.fail(at, drover.Errorf(drover.Invalid, "a key or dash stands behind more than %d characters", maxIndent))
			}
		}
	}
	return nil
}

func tokenPlace(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{line: t.Position.Line, column: max(1, t.Position.Column), width: 1}
}
