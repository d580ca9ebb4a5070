package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/droverdata/drover/internal/human"
)

// The kinds of a sample.
const (
	Missing = "missing" // a row of the left that the right does not have
	Extra   = "extra"   // a row of the right that the left does not have
	Changed = "changed" // a row of each with one key
)

// Result is what a comparison found, as diff --json prints it.
type Result struct {
	Equal   bool  `json:"equal"`
	Left    Side  `json:"left"`
	Right   Side  `json:"right"`
	Missing int64 `json:"missing"`
	Extra   int64 `json:"extra"`
	Changed int64 `json:"changed"`
	// Columns counts the changed rows by column, without columns in which none changed.
	Columns []ColumnChanges `json:"columns"`
	// OnlyLeft and OnlyRight are columns that one side has, and Types those whose values cannot be equal. They are not compared.
	OnlyLeft  []string         `json:"only_left"`
	OnlyRight []string         `json:"only_right"`
	Types     []TypeDifference `json:"types"`
	Samples   []Sample         `json:"samples"`

	// Part says that the left's rows were limited to the right's keys, so that none could be missing.
	Part bool `json:"-"`

	buckets int64 // that differ
}

// Side is one of the two tables.
type Side struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
}

// ColumnChanges is in how many changed rows a column differs.
type ColumnChanges struct {
	Column  string `json:"column"`
	Changed int64  `json:"changed"`
}

// TypeDifference is a column of two types, in the words of their systems.
type TypeDifference struct {
	Column string `json:"column"`
	Left   string `json:"left"`
	Right  string `json:"right"`
}

// Sample is one difference. Values are texts; nil is NULL.
type Sample struct {
	Kind string
	Key  []Field
	// Values are the columns that differ, or all of a row that is missing or extra.
	Values []Value
}

// Field is one column of a key.
type Field struct {
	Column string
	Text   *string
}

// Value is one column of a sample. Of a row that is missing Right means nothing, of one that is extra Left.
type Value struct {
	Column      string
	Left, Right *string
}

// MarshalJSON writes {"kind":"changed","key":{"id":"5"},"columns":{"city":{"left":"NY","right":"Ny"}}}, of a missing or an extra row
// "row":{"city":"NY"} in the place of columns. Columns keep their order.
func (s Sample) MarshalJSON() ([]byte, error) {
	key := object{}
	for _, f := range s.Key {
		key = append(key, member{f.Column, f.Text})
	}
	values, name := object{}, "row"
	for _, v := range s.Values {
		switch s.Kind {
		case Changed:
			name = "columns"
			values = append(values, member{v.Column, object{{"left", v.Left}, {"right", v.Right}}})
		case Missing:
			values = append(values, member{v.Column, v.Left})
		default:
			values = append(values, member{v.Column, v.Right})
		}
	}
	return object{{"kind", s.Kind}, {"key", key}, {name, values}}.MarshalJSON()
}

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// settle completes the result: lists are never null in JSON.
func (r *Result) settle() {
	r.Equal = r.Missing+r.Extra+r.Changed == 0 && len(r.OnlyLeft)+len(r.OnlyRight)+len(r.Types) == 0
	r.Columns = append([]ColumnChanges{}, r.Columns...)
	r.OnlyLeft, r.OnlyRight = append([]string{}, r.OnlyLeft...), append([]string{}, r.OnlyRight...)
	r.Types, r.Samples = append([]TypeDifference{}, r.Types...), append([]Sample{}, r.Samples...)
}

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		b.WriteString(human.Line(label, fmt.Sprintf(format, args...)) + "\n")
	}
	line("left", "%s: %s", r.Left.Name, human.Plural(r.Left.Rows, "row"))
	line("right", "%s: %s", r.Right.Name, human.Plural(r.Right.Rows, "row"))
	for _, c := range r.OnlyLeft {
		line("only in left", "column %s", c)
	}
	for _, c := range r.OnlyRight {
		line("only in right", "column %s", c)
	}
	for _, t := range r.Types {
		line("types", "column %s is %s in left and %s in right: its values are not compared", t.Column, t.Left, t.Right)
	}
	switch {
	case r.Equal && r.Part:
		line("no difference", "in the rows of left whose keys right has; it may lack others")
	case r.Equal:
		line("equal", "every row of left is in right, and none is more")
	case r.Missing+r.Extra+r.Changed == 0:
		line("different", "the columns; the rows of those that were compared are equal")
	default:
		line("different", "%s missing, %s extra, %s changed", human.Count(r.Missing), human.Count(r.Extra), human.Count(r.Changed))
	}
	for _, c := range r.Columns {
		line("changed", "%s in %s", c.Column, human.Plural(c.Changed, "row"))
	}
	for _, s := range r.Samples {
		line("  "+s.Kind, "%s", s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String is the sample in a line: id=5 · city "NY" -> "Ny".
func (s Sample) String() string {
	var parts []string
	for _, f := range s.Key {
		parts = append(parts, f.Column+"="+shown(f.Text))
	}
	text := strings.Join(parts, " ")
	for _, v := range s.Values {
		switch s.Kind {
		case Changed:
			text += fmt.Sprintf(" · %s %s -> %s", v.Column, shown(v.Left), shown(v.Right))
		case Missing:
			text += " · " + v.Column + " " + shown(v.Left)
		default:
			text += " · " + v.Column + " " + shown(v.Right)
		}
	}
	return text
}

// shown is a value as one word: texts in quotes only where they need them to be told from others.
func shown(t *string) string {
	if t == nil {
		return "NULL"
	}
	text := human.Key(*t)
	if text == "" || text == "NULL" || strings.ContainsAny(text, " \t\"·") {
		return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`
	}
	return text
}
