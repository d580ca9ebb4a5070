package sqlstep

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
	"github.com/droverdata/drover/internal/vocabulary"
)

func (c *compiler) selectColumns(names []string, field string) error {
	var out []column
	for n, name := range names {
		i, err := c.find(name, fmt.Sprintf("%s[%d]", field, n))
		if err != nil {
			return err
		}
		if err := c.fits(c.columns[i].Name, fmt.Sprintf("%s[%d]", field, n), out); err != nil {
			return err
		}
		out = append(out, c.columns[i])
	}
	c.columns = out
	c.project(c.items())
	return nil
}

// downcast leaves the columns as they are: it is a matter of functions in other languages (exactness.md 33).
func (c *compiler) downcast(names []string, field string) error {
	if slices.Equal(names, []string{drover.AllColumns}) {
		return nil
	}
	for n, name := range names {
		if _, err := c.find(name, fmt.Sprintf("%s[%d]", field, n)); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) drop(names []string, field string) error {
	gone := map[int]bool{}
	for n, name := range names {
		i, err := c.find(name, fmt.Sprintf("%s[%d]", field, n))
		if err != nil {
			return err
		}
		if gone[i] {
			return drover.Errorf(drover.Invalid, "column %q is dropped twice", name).WithField(fmt.Sprintf("%s[%d]", field, n))
		}
		gone[i] = true
	}
	var out []column
	for i, col := range c.columns {
		if !gone[i] {
			out = append(out, col)
		}
	}
	if len(out) == 0 {
		return drover.Errorf(drover.Invalid, "every column is dropped").WithField(field)
	}
	c.columns = out
	c.project(c.items())
	return nil
}

// rename gives all new names at once, so that two columns can swap theirs.
func (c *compiler) rename(pairs []drover.Pair, field string) error {
	out := append([]column(nil), c.columns...)
	items := c.items()
	done := map[int]bool{}
	for _, p := range pairs {
		at := field + "." + p.Key
		i, err := c.find(p.Key, vocabulary.Key(at))
		if err != nil {
			return err
		}
		if done[i] {
			return drover.Errorf(drover.Invalid, "column %q is renamed twice", p.Key).WithField(vocabulary.Key(at))
		}
		done[i] = true
		if p.Value == "" {
			return drover.Errorf(drover.Invalid, "column %q needs a new name", p.Key).WithField(at)
		}
		items[i] = duck.Ident(out[i].Name) + " AS " + duck.Ident(p.Value)
		out[i].Name = p.Value
	}
	for i, col := range out {
		if !done[i] {
			continue
		}
		others := append(append([]column(nil), out[:i]...), out[i+1:]...)
		if err := c.fits(col.Name, field+"."+c.columns[i].Name, others); err != nil {
			return err
		}
	}
	c.columns = out
	c.project(items)
	return nil
}

// find returns the position of a column.
func (c *compiler) find(name, field string) (int, error) {
	schema := c.schema()
	if i := schema.Index(name); i >= 0 {
		return i, nil
	}
	return -1, unknownColumn(name, schema).WithField(field)
}

// fits refuses a name for a new column beside others.
func (c *compiler) fits(name, field string, others []column) error {
	if name == "" {
		return drover.Errorf(drover.Invalid, "a column needs a name").WithField(field)
	}
	if len(name) >= len(step.Tag) && strings.EqualFold(name[:len(step.Tag)], step.Tag) {
		return drover.Errorf(drover.Invalid, "the column name %q is drover's own", name).WithField(field).
			WithHint("give the column another name")
	}
	for _, o := range others {
		if strings.EqualFold(o.Name, name) {
			e := drover.Errorf(drover.Invalid, "two columns are called %q", name).WithField(field)
			if o.Name != name {
				e = drover.Errorf(drover.Invalid, "columns %q and %q differ only in case", o.Name, name).WithField(field)
			}
			return e.WithHint("rename or drop one of them")
		}
	}
	return nil
}

// untyped refuses to read a column that DuckDB has no type for.
func (c *compiler) untyped(col drover.Column, field string) *drover.Error {
	native := col.Native
	if native == "" {
		native = "its type"
	}
	e := drover.Errorf(drover.Invalid, "column %q cannot be read by a step: %s has no exact counterpart in DuckDB", col.Name, native)
	e.Column = col.Name
	return e.WithField(field).WithHint("cast it in source.postgres.query, for example %s::text", duck.Ident(col.Name))
}

// unknownColumn says that a column does not exist, and which one may be meant.
func unknownColumn(name string, schema drover.Schema) *drover.Error {
	e := drover.Errorf(drover.Invalid, "column %q does not exist", name)
	if near := vocabulary.Nearest(name, schema.Names()); near != "" {
		return e.WithHint("Did you mean %q?", near)
	}
	return e.WithHint("the columns here are %s", shorten(strings.Join(schema.Names(), ", "), 200))
}

// shorten cuts a text to about n bytes.
func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "..."
}
