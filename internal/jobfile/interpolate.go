package jobfile

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/redact"
	"github.com/droverdata/drover/internal/vocabulary"
)

// maxNesting bounds defaults inside defaults: ${A:-${B:-...}}.
const maxNesting = 8

// maxValues bounds what all scalars of a file have after interpolation, in bytes: vars that refer to vars multiply.
const maxValues = 4 << 20

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// piece is a stretch of a scalar's value that stands for another stretch of its text: [start, end) of the value for
// [rawStart, rawEnd) of the text.
type piece struct {
	start, end, rawStart, rawEnd int
	// literal says that it is $${, which stands for ${ and brings nothing in.
	literal bool
}

// rawOffset translates an offset of the value into one of the text. Inside a piece it returns the piece's start and length.
func rawOffset(pieces []piece, offset int) (raw, length int) {
	shift := 0
	for _, p := range pieces {
		if offset < p.start {
			break
		}
		if offset < p.end {
			return p.rawStart, p.rawEnd - p.rawStart
		}
		shift = p.rawEnd - p.end
	}
	return offset + shift, 0
}

// interpolator resolves ${NAME}: from --set, then vars, then the environment.
type interpolator struct {
	*source
	set  map[string]string
	vars []*entry
	env  func(string) (string, bool)
	// open is the vars that are being resolved, in order, to find cycles.
	open []string
	// total is the bytes of all values so far.
	total int
}

// resolve fills in n.value.
func (in *interpolator) resolve(n *node) error {
	if n.done {
		return nil
	}
	value, pieces, err := in.expand(n, n.text, 0, 0)
	if err != nil {
		return err
	}
	in.total += len(value)
	n.value, n.pieces, n.done = value, pieces, true
	return nil
}

// expand interpolates text, which is at byte offset base of n's text.
func (in *interpolator) expand(n *node, text string, base, depth int) (string, []piece, error) {
	var b strings.Builder
	var pieces []piece
	for i := 0; i < len(text); {
		next := strings.IndexByte(text[i:], '$')
		if next < 0 {
			b.WriteString(text[i:])
			break
		}
		b.WriteString(text[i : i+next])
		i += next
		start := b.Len()
		switch {
		case strings.HasPrefix(text[i:], "$${"):
			b.WriteString("${")
			pieces = append(pieces, piece{start, b.Len(), base + i, base + i + 3, true})
			i += 3
		case strings.HasPrefix(text[i:], "${"):
			ref, err := in.reference(n, text, i, base)
			if err != nil {
				return "", nil, err
			}
			value, err := in.lookup(n, ref, base+i, depth)
			if err != nil {
				return "", nil, err
			}
			b.WriteString(value)
			pieces = append(pieces, piece{start, b.Len(), base + i, base + ref.end, false})
			i = ref.end
		default:
			b.WriteByte('$')
			i++
		}
		if in.total+b.Len() > maxValues {
			return "", nil, in.fail(in.extent(n), drover.Errorf(drover.Invalid, "the job's values are longer than %d bytes after interpolation", maxValues))
		}
	}
	return b.String(), pieces, nil
}

// ref is one ${NAME} or ${NAME:-default}. Offsets are those of the text that it was read from.
type ref struct {
	name         string
	fallback     string
	hasFallback  bool
	fallbackBase int
	end          int
}

// reference reads the ${...} at offset i of text.
func (in *interpolator) reference(n *node, text string, i, base int) (ref, error) {
	closing := closingBrace(text, i+2)
	if closing < 0 {
		return ref{}, in.fail(in.rawPlace(n, base+i, 2), drover.Errorf(drover.Invalid, "${ has no closing }").WithHint("write ${NAME}, or $${ for the two characters themselves"))
	}
	name, fallback, has := strings.Cut(text[i+2:closing], ":-")
	if !variableName.MatchString(name) {
		at := in.rawPlace(n, base+i, closing+1-i)
		return ref{}, in.fail(at, drover.Errorf(drover.Invalid, "%s is not a variable", redact.Passwords(text[i:closing+1])).
			WithHint("write ${NAME} or ${NAME:-default}, with letters, digits and _ in the name, or $${ for a literal ${"))
	}
	return ref{name: name, fallback: fallback, hasFallback: has, fallbackBase: base + closing - len(fallback), end: closing + 1}, nil
}

// closingBrace returns the offset of the } that ends the reference whose inside starts at i, or -1.
func closingBrace(text string, i int) int {
	open := 1
	for ; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			open++
			i++
		case text[i] == '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

func (in *interpolator) lookup(n *node, r ref, rawStart, depth int) (string, error) {
	value, found, err := in.variable(n, r.name, rawStart)
	// As in a shell, :- stands in for a variable that is empty as well as for one that is not set.
	if err != nil || found && (value != "" || !r.hasFallback) {
		return value, err
	}
	if !r.hasFallback {
		e := drover.Errorf(drover.Invalid, "${%s} is not set", r.name).
			WithHint("set it with --set %s=..., below vars:, or in the environment", r.name)
		if near := vocabulary.Nearest(r.name, in.varNames()); near != "" {
			e = e.WithHint("Did you mean ${%s}?", near)
		}
		return "", in.fail(in.rawPlace(n, rawStart, len("${}")+len(r.name)), e)
	}
	if depth == maxNesting {
		return "", in.fail(in.rawPlace(n, rawStart, len("${}")+len(r.name)), drover.Errorf(drover.Invalid, "defaults are nested more than %d deep", maxNesting))
	}
	value, _, err = in.expand(n, r.fallback, r.fallbackBase, depth+1)
	return value, err
}

func (in *interpolator) variable(n *node, name string, rawStart int) (string, bool, error) {
	if value, ok := in.set[name]; ok {
		return value, true, nil
	}
	for _, v := range in.vars {
		if v.name != name {
			continue
		}
		if slices.Contains(in.open, name) {
			cycle := strings.Join(append(in.open[slices.Index(in.open, name):], name), " -> ")
			return "", false, in.fail(in.rawPlace(n, rawStart, len("${}")+len(name)), drover.Errorf(drover.Invalid, "vars refer to themselves: %s", cycle).
				WithHint("to take %s from the environment, leave it out of vars and write ${%s} where it is used", name, name))
		}
		in.open = append(in.open, name)
		err := in.resolve(v.value)
		in.open = in.open[:len(in.open)-1]
		return v.value.value, true, err
	}
	value, ok := in.env(name)
	return value, ok, nil
}

func (in *interpolator) varNames() []string {
	names := slices.Collect(maps.Keys(in.set))
	for _, v := range in.vars {
		names = append(names, v.name)
	}
	slices.Sort(names)
	return names
}

// rawPlace is the place of length bytes at an offset of the scalar's text, before interpolation.
func (in *interpolator) rawPlace(n *node, raw, length int) place {
	bare := *n
	bare.value, bare.pieces = n.text, nil
	at := in.offset(&bare, raw)
	if at.line >= 1 && at.line <= len(in.lines) {
		at.width = max(1, min(length, len(in.lines[at.line-1])-at.column+1))
	}
	return at
}

// checkUsed refuses --set names that no ${...} of the document names.
func (in *interpolator) checkUsed(root *node) error {
	if len(in.set) == 0 {
		return nil
	}
	used := map[string]bool{}
	collect(root, used, map[*node]bool{})
	names := slices.Sorted(maps.Keys(used))
	for _, name := range in.varNames() {
		if _, isSet := in.set[name]; !isSet || used[name] {
			continue
		}
		e := drover.Errorf(drover.Invalid, "--set %s: nothing in the job file uses ${%s}", name, name)
		switch near := vocabulary.Nearest(name, names); {
		case near != "":
			e.Hint = "Did you mean --set " + near + "=...?"
		case len(names) == 0:
			e.Hint = "it uses no variables"
		default:
			e.Hint = "it uses " + strings.Join(names, ", ")
		}
		return in.fail(place{}, e)
	}
	return nil
}

var mention = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*)`)

// collect adds the names that n's scalars mention.
func collect(n *node, used map[string]bool, seen map[*node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	for _, m := range mention.FindAllStringSubmatch(n.text, -1) {
		if !strings.HasPrefix(m[0], "$$") {
			used[m[1]] = true
		}
	}
	for _, item := range n.items {
		collect(item, used, seen)
	}
	for _, e := range n.entries {
		collect(e.key, used, seen)
		collect(e.value, used, seen)
	}
}
