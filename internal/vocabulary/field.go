// Package vocabulary reads what the tags of a job's types say: which keys there are, which are required, which values
// and ranges a key takes. The job file's parser, its JSON Schema and the connectors' own checks share this one source of truth.
package vocabulary

import (
	"reflect"
	"strconv"
	"strings"
)

// Field is one key of a vocabulary type.
type Field struct {
	// Key is the name in a job file, from the json tag.
	Key string
	// Index is the struct field's index.
	Index int
	Type  reflect.Type
	// Required, Enum and Minimum come from the jsonschema tag. Minimum is nil where the tag has none.
	Required bool
	Enum     []string
	Minimum  *int64
	// Bytes says that an integer is a size in bytes, written with its unit: the tag `unit:"bytes"`.
	Bytes bool
	// Age says that an integer is a time in nanoseconds, written in weeks, days or less: the tag `unit:"age"`.
	Age bool
	// Chunks says that an integer counts chunks, and may be written with the word: the tag `unit:"chunks"`.
	Chunks bool
}

// Fields returns the keys of a struct type in the order of its declaration. A field with the tag `jsonschema:"-"` is for programs only.
func Fields(t reflect.Type) []Field {
	fields := make([]Field, 0, t.NumField())
	for i := range t.NumField() {
		sf := t.Field(i)
		key, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if key == "" || key == "-" || sf.Tag.Get("jsonschema") == "-" || !sf.IsExported() {
			continue
		}
		f := Field{Key: key, Index: i, Type: sf.Type, Bytes: sf.Tag.Get("unit") == "bytes", Age: sf.Tag.Get("unit") == "age", Chunks: sf.Tag.Get("unit") == "chunks"}
		for option := range strings.SplitSeq(sf.Tag.Get("jsonschema"), ",") {
			name, value, _ := strings.Cut(option, "=")
			switch name {
			case "required":
				f.Required = true
			case "enum":
				f.Enum = append(f.Enum, value)
			case "minimum":
				if n, err := strconv.ParseInt(value, 10, 64); err == nil {
					f.Minimum = &n
				}
			}
		}
		fields = append(fields, f)
	}
	return fields
}

// Keys returns the names of fields.
func Keys(fields []Field) []string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.Key
	}
	return keys
}
