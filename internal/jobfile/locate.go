package jobfile

import (
	"errors"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/vocabulary"
)

// Locate returns err with its place in the file if it is a *drover.Error whose Field is a path of the file, such as
// "steps[2].set.revenue", "sink.files.partition_by[0]" or "limits", or vocabulary.Key of one. Offset, where it is set, narrows the place down
// within the field's text. A path that leads further than the file does is shown at the last key that it has. Any other error is
// returned as it is.
func (f *File) Locate(err error) error {
	var placed *Error
	var e *drover.Error
	if f.source == nil || errors.As(err, &placed) || !errors.As(err, &e) || e.Field == "" {
		return err
	}
	return f.source.locate(f.root, e)
}

// locate places e by its Field.
func (s *source) locate(root *node, e *drover.Error) error {
	n, key, whole := lookup(root, e.Field)
	if path, ok := vocabulary.CutKey(e.Field); ok && !whole {
		if _, key, whole := lookup(root, path); whole && key != nil {
			return s.fail(s.extent(key), e)
		}
		n, key, whole = lookup(root, path)
	}
	switch {
	case n == nil, n == root && !whole:
		return s.fail(place{}, e)
	case whole && n.kind == scalar && e.Offset > 0 && n.done:
		return s.fail(s.offset(n, e.Offset-1), e)
	case whole && n.kind == scalar, key == nil:
		return s.fail(s.extent(n), e)
	default:
		return s.fail(s.extent(key), e)
	}
}

// pathPlace is the place of the key that path ends in, or of n if path is no key's.
func (d *decoder) pathPlace(path string, n *node) place {
	if d.root != nil && path != "" {
		if _, key, whole := lookup(d.root, path); whole && key != nil {
			return d.extent(key)
		}
	}
	return d.extent(n)
}

// lookup follows path from root as far as it leads. It returns the node that it reached, the last key on the way, and whether path ends there.
// Column names may hold any character, so the keys that the file has decide where a name in the path ends: the longest one that fits.
func lookup(root *node, path string) (n, key *node, whole bool) {
	n = root
	for path != "" {
		if rest, index, ok := cutIndex(path); ok && n.kind == list && index < len(n.items) {
			n, key, path = n.items[index], nil, rest
			continue
		}
		var best *entry
		var rest string
		for _, e := range n.entries {
			after, ok := strings.CutPrefix(path, e.name)
			if ok && (best == nil || len(e.name) > len(best.name)) && (after == "" || after[0] == '.' || after[0] == '[') {
				best, rest = e, strings.TrimPrefix(after, ".")
			}
		}
		if best == nil {
			return n, key, false
		}
		n, key, path = best.value, best.key, rest
	}
	return n, key, true
}

// cutIndex cuts "[3]" and the dot after it off path.
func cutIndex(path string) (rest string, index int, ok bool) {
	inside, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
	if !ok || !strings.HasPrefix(path, "[") {
		return path, 0, false
	}
	index, err := strconv.Atoi(inside)
	return strings.TrimPrefix(rest, "."), index, err == nil && index >= 0
}
