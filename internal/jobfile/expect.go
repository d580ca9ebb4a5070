package jobfile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/vocabulary"
)

var (
	expectType   = reflect.TypeFor[[]drover.Expectation]()
	acceptedType = reflect.TypeFor[[]drover.Accepted]()
)

func expectKeys() []string {
	return vocabulary.Keys(vocabulary.Fields(reflect.TypeFor[drover.Expectation]()))
}

// expectations fills the list of expectations. Each is a map of one key.
func (d *decoder) expectations(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	if n.kind != list {
		return d.wrong(n, path, f, "a list of expectations, each with a dash")
	}
	known := expectKeys()
	out := make([]drover.Expectation, len(n.items))
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.kind != mapping {
			return d.wrong(item, at, f, "a map of one key")
		}
		if len(item.entries) == 0 {
			return d.fail(d.extent(item), drover.Errorf(drover.Invalid, "%s is empty", at).WithHint("write one of %s", strings.Join(known, ", ")))
		}
		if err := d.structure(item, reflect.ValueOf(&out[i]).Elem(), at, f); err != nil {
			return err
		}
		if len(item.entries) > 1 {
			first, second := item.entries[0], item.entries[1]
			return d.fail(d.extent(second.key), drover.Errorf(drover.Invalid, "%s has two keys, %s and %s", at, first.name, second.name).
				WithHint("start a new expectation with a dash, as in - %s: ...", second.name))
		}
	}
	v.Set(reflect.ValueOf(out))
	return nil
}

// accepted fills the values that columns may have: a map of lists.
func (d *decoder) accepted(n *node, v reflect.Value, path string, f vocabulary.Field) error {
	if n.kind != mapping {
		return d.wrong(n, path, f, "a map of columns with lists of values")
	}
	out := make([]drover.Accepted, 0, len(n.entries))
	for _, e := range n.entries {
		if err := d.resolve(e.key); err != nil {
			return err
		}
		e.name = e.key.value
		at := path + "." + e.name
		if slices.ContainsFunc(out, func(a drover.Accepted) bool { return a.Column == e.name }) {
			return d.fail(d.extent(e.key), drover.Errorf(drover.Invalid, "%s has column %q twice", path, e.name))
		}
		if e.value.kind != list {
			return d.wrong(e.value, at, f, "a list of values")
		}
		a := drover.Accepted{Column: e.name}
		for i, item := range e.value.items {
			text, err := d.value(item, fmt.Sprintf("%s[%d]", at, i), f)
			if err != nil {
				return err
			}
			a.Values = append(a.Values, text)
		}
		out = append(out, a)
	}
	v.Set(reflect.ValueOf(out))
	return nil
}

// value is one accepted value. Unlike other texts it may be empty, between quotes.
func (d *decoder) value(n *node, path string, f vocabulary.Field) (string, error) {
	if n.kind == scalar && n.null {
		return "", d.fail(d.extent(n), drover.Errorf(drover.Invalid, "%s is %s, and NULL always passes", path, n.text).
			WithHint("leave it out; not_null refuses NULLs; put %q between quotes if it is a text", n.text))
	}
	if n.kind == scalar && n.text == "" && n.style != plain {
		return "", d.resolve(n)
	}
	return d.text(n, path, f, "a value")
}

// expectSchema and acceptedSchema are the forms of expectations in a job file.
func (b *schemaBuilder) expectSchema() *jsonschema.Schema {
	one := b.object(reflect.TypeFor[drover.Expectation]())
	one.MinProperties, one.MaxProperties = number(1), number(1)
	return &jsonschema.Schema{Type: "array", Items: one}
}

func (b *schemaBuilder) acceptedSchema() *jsonschema.Schema {
	value := textSchema()
	value.AnyOf[0].Pattern = ""
	return &jsonschema.Schema{Type: "object", MinProperties: number(1), AdditionalProperties: b.list(value)}
}
