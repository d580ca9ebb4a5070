package jobfile

import "slices"

// kind is what a node is in YAML's own terms. Which text means a number or a truth value is not YAML's to say: a scalar keeps its text
// (00501 stays 00501) and the key that it belongs to decides.
type kind uint8

const (
	absent kind = iota // nothing was written: "key:"
	scalar
	list
	mapping
)

type style uint8

const (
	plain style = iota
	singleQuoted
	doubleQuoted
	literal
	folded
)

// node is a value of the document. Aliases share the node that they name.
type node struct {
	kind  kind
	style style
	// text is a scalar's content, before interpolation.
	text string
	// at is where the value starts: a scalar's first character or quote, a block scalar's header.
	at      place
	items   []*node
	entries []*entry
	// null says that a plain scalar is YAML's null: null, Null, NULL or ~.
	null bool
	// flow says that the value was written inside [] or {}.
	flow bool

	// value and pieces are what interpolation made of text, once done is set.
	value  string
	pieces []piece
	done   bool
}

// entry is a key of a mapping with its value.
type entry struct {
	key   *node
	value *node
	// name is the key's text after interpolation, where the key is a column name.
	name string
	// merged says that the entry came by a merge key.
	merged bool
}

func (n *node) find(key string) *entry {
	for _, e := range n.entries {
		if e.name == key {
			return e
		}
	}
	return nil
}

// interpolated reports whether any part of the scalar came from a ${...}.
func (n *node) interpolated() bool {
	return slices.ContainsFunc(n.pieces, func(p piece) bool { return !p.literal })
}
