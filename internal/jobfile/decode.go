package jobfile

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/redact"
	"github.com/droverdata/drover/internal/vocabulary"
)

// decoder fills Go values from nodes. Errors come from the first node at fault, in the file's order within a map.
type decoder struct {
	*interpolator
	connectors connector.Registry
	root       *node
}

// maxList bounds the entries of a list or map in a job, steps and columns alike.
const maxList = 10_000

var (
	pairsType   = reflect.TypeFor[[]drover.Pair]()
	stringsType = reflect.TypeFor[drover.Strings]()
	sourceType  = reflect.TypeFor[sourcePart]()
	sinkType    = reflect.TypeFor[sinkPart]()
	rejectsType = reflect.TypeFor[rejectsPart]()
	varsType    = reflect.TypeFor[variables]()
	stepsType   = reflect.TypeFor[[]drover.Step]()
)

// decode fills v, which belongs to key f at path.
func (d *decoder) decode(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	if len(n.items) > maxList || len(n.entries) > maxList {
		return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s has more than %d entries", path, maxList))
	}
	switch t := v.Type(); {
	case t == varsType:
		return nil // resolved before everything else
	case t == pairsType:
		return d.pairs(n, v, path, f)
	case t == stepsType:
		return d.steps(n, v, path, f)
	case t == expectType:
		return d.expectations(n, v, path, f)
	case t == acceptedType:
		return d.accepted(n, v, path, f)
	case t == sourceType:
		part, err := connectorPart(d, n, path, f, newSourceSpec)
		v.Set(reflect.ValueOf(sourcePart{part}))
		return err
	case t == sinkType:
		part, err := connectorPart(d, n, path, f, newSinkSpec)
		v.Set(reflect.ValueOf(sinkPart{part}))
		return err
	case t == rejectsType:
		return d.rejects(n, v, path, f)
	case t == stringsType && n.kind == scalar:
		text, err := d.text(n, path, f, "text or a list")
		if err == nil {
			v.Set(reflect.ValueOf(drover.Strings{text}))
		}
		return err
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return d.strings(n, v, path, f)
	case t.Kind() == reflect.Struct:
		return d.structure(n, v, path, f)
	case t.Kind() == reflect.String:
		text, err := d.text(n, path, f, "text")
		v.SetString(text)
		return err
	case t.Kind() == reflect.Bool:
		return d.boolean(n, v, path, f)
	case v.CanInt():
		return d.integer(n, v, path, f)
	case v.CanFloat():
		return d.number(n, v, path, f)
	default:
		return fmt.Errorf("decode %s: no job file form for %s", path, t)
	}
}

// text returns a scalar's value. An empty one is refused: a key that says nothing is left out.
func (d *decoder) text(n *node, path string, f vocabulary.Field, want string) (string, error) {
	if n.kind != scalar {
		return "", d.wrong(n, path, f, want)
	}
	if n.null {
		return "", d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is %s", path, n.text).
			WithHint("leave the key out, or put %q between quotes if it is a name", n.text))
	}
	if err := d.resolve(n); err != nil {
		return "", err
	}
	if strings.TrimSpace(n.value) == "" {
		if n.interpolated() {
			return "", d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is empty: %s is set to nothing", path, redact.Passwords(n.text)))
		}
		return "", d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is empty", path).WithHint("%s", example(f)))
	}
	if n.style == plain && !n.interpolated() {
		if err := d.checkComment(n); err != nil {
			return "", err
		}
	}
	return n.value, nil
}

// checkComment recognises name = 'a #1': YAML takes " #1'" for a comment, and the expression loses its end.
func (d *decoder) checkComment(n *node) error {
	if strings.Count(n.text, "'")%2 == 0 && strings.Count(n.text, `"`)%2 == 0 {
		return nil
	}
	end := d.walk(n, len(n.text))
	rest := string(d.lines[end.line-1][min(end.column-1, len(d.lines[end.line-1])):])
	if !strings.HasPrefix(strings.TrimLeft(rest, " \t"), "#") {
		return nil
	}
	return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "the value ends in the middle of a quoted text, at a #").
		WithHint("YAML takes # after a space for a comment: put the whole value between quotes"))
}

func (d *decoder) strings(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	if n.kind != list {
		return d.wrong(n, path, f, "a list")
	}
	if len(n.items) == 0 {
		return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is an empty list", path).WithHint("%s", example(f)))
	}
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		text, err := d.text(item, fmt.Sprintf("%s[%d]", path, i), f, "text")
		if err != nil {
			return err
		}
		out.Index(i).SetString(text)
	}
	v.Set(out)
	return nil
}

func (d *decoder) pairs(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	if n.kind != mapping {
		return d.wrong(n, path, f, "a map of columns")
	}
	if len(n.entries) == 0 {
		return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s names no column", path).WithHint("%s", example(f)))
	}
	pairs := make([]drover.Pair, 0, len(n.entries))
	for _, e := range n.entries {
		if err := d.resolve(e.key); err != nil {
			return err
		}
		e.name = e.key.value
		if slices.ContainsFunc(pairs, func(p drover.Pair) bool { return p.Key == e.name }) {
			return d.fail(d.extent(e.key), drover.Errorf(drover.Invalid, "%s has column %q twice", path, e.name))
		}
		if e.value.null && e.value.text != "~" {
			e.value.null = false // set: {fax: null} means SQL's NULL
		}
		text, err := d.text(e.value, path+"."+e.name, f, "text")
		if err != nil {
			return err
		}
		pairs = append(pairs, drover.Pair{Key: e.name, Value: text})
	}
	v.Set(reflect.ValueOf(pairs))
	return nil
}

var wholeNumber = regexp.MustCompile(`^-?[0-9]+$`)

// chunkCount is a number of chunks with the word behind it, for the JSON Schema too.
var chunkCount = regexp.MustCompile(chunkPattern)

const chunkPattern = `^([1-9][0-9]*) chunks?$`

// number reads a number that need not be whole.
func (d *decoder) number(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	text, err := d.text(n, path, f, "a number")
	if err != nil {
		return err
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || n.style != plain && !n.interpolated() {
		return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is %s, not a number", path, d.shown(n)).WithHint("%s", example(f)))
	}
	v.SetFloat(x)
	return nil
}

func (d *decoder) integer(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	want := "a whole number"
	switch {
	case f.Bytes:
		want = "a size"
	case f.Age:
		want = "a time"
	}
	text, err := d.text(n, path, f, want)
	if err != nil {
		return err
	}
	if f.Bytes {
		bytes, err := ParseSize(text)
		if err != nil {
			return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is %s, not a size", path, d.shown(n)).
				WithHint("write a number with its unit, such as 8GiB, 512MiB or 300MB"))
		}
		v.SetInt(bytes)
		return nil
	}
	if f.Age {
		age, err := ParseAge(text)
		if err != nil || age == 0 {
			return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is %s, not a time", path, d.shown(n)).WithHint("%s", ageHint))
		}
		v.SetInt(int64(age))
		return nil
	}
	if m := chunkCount.FindStringSubmatch(text); f.Chunks && m != nil {
		text = m[1]
	}
	i, err := strconv.ParseInt(text, 10, v.Type().Bits())
	if err != nil || !wholeNumber.MatchString(text) || n.style != plain && !n.interpolated() {
		return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is %s, not a whole number", path, d.shown(n)).WithHint("%s", example(f)))
	}
	if f.Minimum != nil && i < *f.Minimum {
		return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is %s: it must be at least %d", path, d.shown(n), *f.Minimum))
	}
	v.SetInt(i)
	return nil
}

func (d *decoder) boolean(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	text, err := d.text(n, path, f, "true or false")
	if err != nil {
		return err
	}
	if text != "true" && text != "false" || n.style != plain && !n.interpolated() {
		return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is %s: it must be true or false", path, d.shown(n)))
	}
	v.SetBool(text == "true")
	return nil
}

// shown is a scalar's value for a message: as it was written, so that nothing that was interpolated is told.
func (d *decoder) shown(n *node) string {
	if n.style == plain {
		return shorten(redact.Passwords(n.text))
	}
	return strconv.Quote(shorten(redact.Passwords(n.text)))
}

func shorten(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}

// wrong refuses a value of the wrong form.
func (d *decoder) wrong(n *node, path string, f vocabulary.Field, want string) error {
	what := map[kind]string{absent: "nothing", scalar: "text", list: "a list", mapping: "a map"}[n.kind]
	if n.kind == absent {
		return d.fail(d.pathPlace(path, n), drover.Errorf(drover.Invalid, "%s has no value: %s is expected", path, want).WithHint("%s", example(f)))
	}
	return d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s must be %s, not %s", path, want, what).WithHint("%s", example(f)))
}

func example(f vocabulary.Field) string {
	if text := examples[f.Key]; text != "" {
		return "for example " + text
	}
	return ""
}
