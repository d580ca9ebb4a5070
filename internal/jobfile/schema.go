package jobfile

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/vocabulary"
)

// comments holds the Go comments of the vocabulary's types, by "package.Type.Field". A test keeps it up to date.
//
//go:embed comments.json
var comments []byte

// Schema returns the JSON Schema (draft 2020-12) of a job file that uses the registry's connectors, for editors to complete and check with.
// It is as strict as Parse about keys, forms and enums, but knows nothing of combinations. Where a number, an enum or a truth
// value is expected it takes a text with ${NAME} in it, too.
func Schema(connectors connector.Registry) ([]byte, error) {
	r := &jsonschema.Reflector{Anonymous: true, DoNotReference: true, RequiredFromJSONSchemaTags: true}
	if err := json.Unmarshal(comments, &r.CommentMap); err != nil {
		return nil, fmt.Errorf("read the schema's descriptions: %w", err)
	}
	b := &schemaBuilder{reflector: r, connectors: connectors}
	r.Mapper = b.mapType
	s := b.object(reflect.TypeFor[Document]())
	s.Version = jsonschema.Version
	s.Title = "drover job file"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(text, '\n'), nil
}

type schemaBuilder struct {
	reflector  *jsonschema.Reflector
	connectors connector.Registry
}

// interpolation is the pattern of a text that has a ${...} in it.
const interpolation = `\$\{`

func textSchema() *jsonschema.Schema {
	// YAML reads true and 00501 as something else; a job file keeps their text.
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Pattern: `\S`},
		{Type: "number"},
		{Type: "boolean"},
	}}
}

func number(n uint64) *uint64 { return &n }

// mapType gives the types whose form in a job file is not that of their JSON.
func (b *schemaBuilder) mapType(t reflect.Type) *jsonschema.Schema {
	switch t {
	case stringsType:
		return &jsonschema.Schema{AnyOf: append(textSchema().AnyOf, b.list(textSchema()))}
	case pairsType:
		value := textSchema()
		value.AnyOf = append(value.AnyOf, &jsonschema.Schema{Type: "null"})
		return &jsonschema.Schema{Type: "object", MinProperties: number(1), AdditionalProperties: value}
	case varsType:
		empty := textSchema()
		empty.AnyOf[0].Pattern = ""
		return &jsonschema.Schema{
			Type: "object", AdditionalProperties: empty,
			PropertyNames: &jsonschema.Schema{Pattern: variableName.String()},
		}
	case stepsType:
		step := b.object(reflect.TypeFor[drover.Step]())
		step.AnyOf = oneOperation(step)
		return &jsonschema.Schema{Type: "array", Items: step}
	case expectType:
		return b.expectSchema()
	case acceptedType:
		return b.acceptedSchema()
	case sourceType:
		return connectorSchema(b, newSourceSpec)
	case sinkType:
		return connectorSchema(b, newSinkSpec)
	case rejectsType:
		s := connectorSchema(b, newRejectsSpec)
		s.MaxProperties = nil
		for _, name := range slices.Sorted(maps.Keys(b.connectors)) {
			if _, ok := s.Properties.Get(name); ok {
				s.OneOf = append(s.OneOf, &jsonschema.Schema{Required: []string{name}})
			}
		}
		for p := b.object(reflect.TypeFor[drover.Rejects]()).Properties.Oldest(); p != nil; p = p.Next() {
			s.Properties.Set(p.Key, p.Value)
		}
		return s
	}
	return nil
}

// oneOperation says that a step is one operation; a function has options beside it.
func oneOperation(step *jsonschema.Schema) []*jsonschema.Schema {
	options := []any{"python"}
	for _, key := range functionOptions() {
		options = append(options, key)
	}
	var operations []*jsonschema.Schema
	for _, key := range stepKeys() {
		operations = append(operations, &jsonschema.Schema{Required: []string{key}})
	}
	return []*jsonschema.Schema{
		{MaxProperties: number(1), AnyOf: operations},
		{Required: []string{"python"}, PropertyNames: &jsonschema.Schema{Enum: options}},
	}
}

func (b *schemaBuilder) list(items *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "array", Items: items, MinItems: number(1)}
}

// object reflects a struct type and gives its fields their forms in a job file.
func (b *schemaBuilder) object(t reflect.Type) *jsonschema.Schema {
	s := b.reflector.ReflectFromType(t)
	s.Version = ""
	for _, f := range vocabulary.Fields(t) {
		property, ok := s.Properties.Get(f.Key)
		if !ok {
			continue
		}
		description := property.Description
		if goName := t.Field(f.Index).Name; strings.HasPrefix(description, goName+" ") {
			description = f.Key + description[len(goName):]
		}
		property = b.property(property, f)
		property.Description = strings.Join(strings.Fields(description), " ")
		if optional(f) {
			// The description stands outside, where editors look for it.
			inner := *property
			inner.Description = ""
			property = &jsonschema.Schema{Description: property.Description, AnyOf: []*jsonschema.Schema{&inner, {Type: "null"}}}
		}
		s.Properties.Set(f.Key, property)
	}
	return s
}

func (b *schemaBuilder) property(s *jsonschema.Schema, f vocabulary.Field) *jsonschema.Schema {
	variable := &jsonschema.Schema{Type: "string", Pattern: interpolation}
	switch kind := f.Type.Kind(); {
	case len(f.Enum) > 0:
		s.Description = ""
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, variable}}
	case f.Bytes:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Pattern: sizePattern}, variable}}
	case f.Age:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Pattern: agePattern}, variable}}
	case f.Chunks:
		s.Description = ""
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, {Type: "string", Pattern: chunkPattern}, variable}}
	case kind == reflect.Float64:
		s.Description = ""
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, variable}}
	case kind == reflect.Bool || kind >= reflect.Int && kind <= reflect.Int64:
		s.Description = ""
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, variable}}
	case kind == reflect.String:
		return textSchema()
	case f.Type == stringsType || f.Type == pairsType || f.Type == acceptedType:
		return s
	case kind == reflect.Slice && f.Type.Elem().Kind() == reflect.String:
		return b.list(textSchema())
	case kind == reflect.Struct && f.Type != sourceType && f.Type != sinkType && f.Type != rejectsType:
		return b.object(f.Type)
	}
	return s
}

// connectorSchema is a map of exactly one of the connectors.
func connectorSchema[T any](b *schemaBuilder, prototype func(connector.Definition) (T, bool)) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema,
		MinProperties: number(1), MaxProperties: number(1),
	}
	for _, name := range slices.Sorted(maps.Keys(b.connectors)) {
		if v, ok := prototype(b.connectors[name]); ok {
			s.Properties.Set(name, b.object(reflect.TypeOf(v).Elem()))
		}
	}
	return s
}
