package jobfile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/vocabulary"
)

// structure fills a struct from a map.
func (d *decoder) structure(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	if n.kind != mapping {
		return d.wrong(n, path, f, "a map")
	}
	fields := vocabulary.Fields(v.Type())
	for _, e := range n.entries {
		i := slices.IndexFunc(fields, func(f vocabulary.Field) bool { return f.Key == e.name })
		if i < 0 {
			return d.unknown(e, path, vocabulary.Keys(fields))
		}
		if e.value.kind == absent && optional(fields[i]) {
			continue
		}
		if err := d.decode(e.value, v.Field(fields[i].Index), join(path, e.name), fields[i]); err != nil {
			return err
		}
	}
	for _, f := range fields {
		if f.Required && n.find(f.Key) == nil {
			at := d.pathPlace(path, n)
			if path == "" {
				at = place{}
			}
			e := drover.Errorf(drover.Invalid, "%s is missing", join(path, f.Key))
			return d.fail(at, e.WithHint("%s", strings.Replace(example(f), "for example ", "add ", 1)))
		}
	}
	return nil
}

// optional says that a key without a value means the same as no key: a section whose lines are all commented out.
func optional(f vocabulary.Field) bool {
	return !f.Required && (f.Type.Kind() == reflect.Struct || f.Type == stepsType || f.Type == expectType || f.Type == varsType)
}

// unknown refuses a key.
func (d *decoder) unknown(e *entry, path string, known []string) error {
	part, _, _ := strings.Cut(path, "[")
	in := ""
	if path != "" {
		in = " in " + path
	}
	at := d.extent(e.key)
	if slices.Contains(later[part], e.name) {
		return d.fail(at, drover.Errorf(drover.Invalid, "this version of drover does not know %q%s yet", e.name, in).
			WithHint("remove it, or use a later version"))
	}
	return d.fail(at, drover.Errorf(drover.Invalid, "unknown key %q%s", e.name, in).WithHint("%s", vocabulary.DidYouMean(e.name, known)))
}

// steps fills the list of steps. Each is a map of one key, and for a function some that belong to it.
func (d *decoder) steps(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	if n.kind != list {
		return d.wrong(n, path, f, "a list of steps, each with a dash")
	}
	steps := make([]drover.Step, len(n.items))
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.kind != mapping {
			return d.wrong(item, at, f, "a map of one key")
		}
		if first, second := twoSteps(item); second != nil {
			return d.fail(d.extent(second.key), drover.Errorf(drover.Invalid, "%s has two keys, %s and %s", at, first.name, second.name).
				WithHint("a step is one operation: start a new one with a dash, as in - %s: ...", second.name))
		}
		if err := d.structure(item, reflect.ValueOf(&steps[i]).Elem(), at, f); err != nil {
			return err
		}
		if len(item.entries) == 0 {
			return d.fail(d.extent(item), drover.Errorf(drover.Invalid, "%s is empty", at).
				WithHint("write one of %s", strings.Join(stepKeys(), ", ")))
		}
	}
	v.Set(reflect.ValueOf(steps))
	return nil
}

// functionOptions are the keys that stand beside a function.
func functionOptions() []string { return []string{"schema", "frame", "dtypes"} }

// stepKeys are the kinds of steps.
func stepKeys() []string {
	keys := vocabulary.Keys(vocabulary.Fields(reflect.TypeFor[drover.Step]()))
	return slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(functionOptions(), k) })
}

// twoSteps returns the first two keys of a step that are both steps; nil where there is one. An unknown key is the better thing to report.
func twoSteps(step *node) (first, second *entry) {
	known := stepKeys()
	for i := range step.entries {
		e := step.entries[i]
		switch {
		case !slices.Contains(known, e.name):
		case first == nil:
			first = e
		default:
			return first, e
		}
	}
	return first, nil
}

// newSourceSpec returns an empty source of a connector that reads.
func newSourceSpec(d connector.Definition) (drover.Source, bool) {
	if d.NewSource == nil {
		return nil, false
	}
	return d.NewSource(), true
}

// newSinkSpec returns an empty sink of a connector that writes.
func newSinkSpec(d connector.Definition) (drover.Sink, bool) {
	if d.NewSink == nil {
		return nil, false
	}
	return d.NewSink(), true
}

// newRejectsSpec returns an empty sink of a connector that can hold rejects.
func newRejectsSpec(d connector.Definition) (drover.Sink, bool) {
	s, ok := newSinkSpec(d)
	if !ok {
		return nil, false
	}
	_, ok = s.(interface{ Rejects() (drover.Sink, error) })
	return s, ok
}

// rejects fills a sink and its bound: a map of one connector and max.
func (d *decoder) rejects(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	if n.kind != mapping {
		return d.wrong(n, path, f, "a map of one connector with its keys, and max")
	}
	var out drover.Rejects
	bound := vocabulary.Fields(reflect.TypeFor[drover.Rejects]())[0]
	sink := *n
	sink.entries = nil
	for _, e := range n.entries {
		if e.name != bound.Key {
			sink.entries = append(sink.entries, e)
			continue
		}
		if err := d.decode(e.value, reflect.ValueOf(&out).Elem().Field(bound.Index), join(path, e.name), bound); err != nil {
			return err
		}
	}
	var err error
	if out.Sink, err = connectorPart(d, &sink, path, f, newRejectsSpec); err != nil {
		return err
	}
	v.Set(reflect.ValueOf(rejectsPart{&out}))
	return nil
}

// connectorPart fills a source or a sink: a map of one key, the connector, whose prototype the registry has.
func connectorPart[T any](d *decoder, n *node, path string, f vocabulary.Field, prototype func(connector.Definition) (T, bool)) (T, error) {
	var none T
	known := make([]string, 0, len(d.connectors))
	for name, def := range d.connectors {
		if _, ok := prototype(def); ok {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	if n.kind != mapping {
		return none, d.wrong(n, path, f, "a map of one connector with its keys")
	}
	for _, e := range n.entries {
		if !slices.Contains(known, e.name) {
			return none, d.unknown(e, path, known)
		}
	}
	switch len(n.entries) {
	case 0:
		return none, d.fail(d.pathPlace(path, n), drover.Errorf(drover.Invalid, "%s names no connector", path).
			WithHint("write one of %s below it", strings.Join(known, ", ")))
	case 1:
	default:
		return none, d.fail(d.extent(n.entries[1].key), drover.Errorf(drover.Invalid, "%s has two connectors, %s and %s", path, n.entries[0].name, n.entries[1].name).
			WithHint("keep one of them"))
	}
	e := n.entries[0]
	part, _ := prototype(d.connectors[e.name])
	v := reflect.ValueOf(part)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return none, fmt.Errorf("connector %s: its vocabulary is a %T, not a pointer to a struct", e.name, part)
	}
	return part, d.structure(e.value, v.Elem(), join(path, e.name), f)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
