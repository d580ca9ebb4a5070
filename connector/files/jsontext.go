package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/storage"
)

// jsonSurvey is what all records of a set of JSON files are. DuckDB looks at a sample, reads no key that is not in it, and changes texts
// that look like times and numbers that a DOUBLE rounds: so every value is looked at here, and DuckDB is told the types.
type jsonSurvey struct {
	ctx     context.Context
	path    string // the file that is read
	records int64  // in it
	top     jsonNode
}

// add reads one file: objects one after another, such as one a line, or one array of objects.
func (j *jsonSurvey) add(ctx context.Context, store storage.Store, path string) (err error) {
	in, err := openText(ctx, store, path)
	if err != nil {
		return drover.Errorf(drover.Refused, "%s is not readable as JSON: %w", path, err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	j.ctx, j.path, j.records = ctx, path, 0
	return j.failed(j.file(jsontext.NewDecoder(in)))
}

func (j *jsonSurvey) file(d *jsontext.Decoder) error {
	array := d.PeekKind() == '['
	if array {
		if _, err := d.ReadToken(); err != nil {
			return err
		}
	}
	for {
		switch kind := d.PeekKind(); {
		case kind == '{':
			if j.records++; j.records%1000 == 0 && j.ctx.Err() != nil {
				return j.ctx.Err()
			}
			if err := j.object(d, &j.top); err != nil {
				return err
			}
		case array && kind == ']':
			if _, err := d.ReadToken(); err != nil {
				return err
			}
			if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
				return errors.Join(err, errors.New("something follows the array of records"))
			}
			return nil
		case kind == 0:
			_, err := d.ReadToken()
			if errors.Is(err, io.EOF) && !array {
				return nil
			}
			return err
		default:
			return fmt.Errorf("record %d is not an object", j.records+1)
		}
	}
}

// failed says in which file and record an error is.
func (j *jsonSurvey) failed(err error) error {
	switch {
	case err == nil || j.ctx.Err() != nil || drover.KindOf(err) != "":
		return err
	case errors.Is(err, jsontext.ErrDuplicateName):
		return drover.Errorf(drover.Refused, "record %d of %s has a key twice: %w", j.records, j.path, err).WithHint("rename one of them in the file")
	}
	return drover.Errorf(drover.Refused, "%s is not readable as JSON: in record %d: %w", j.path, j.records, err).
		WithHint("a JSON file holds one object a line, or one array of objects")
}

// object takes in an object, whose opening brace comes next.
func (j *jsonSurvey) object(d *jsontext.Decoder, n *jsonNode) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == '"' {
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		c := n.children[string(raw[1:len(raw)-1])] // makes no copy
		if c == nil || bytes.IndexByte(raw, '\\') >= 0 {
			key, err := jsontext.AppendUnquote(nil, raw)
			if err != nil {
				return err
			}
			if c, err = j.key(n, string(key)); err != nil {
				return err
			}
		}
		if err := j.value(d, c); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// key returns the node of a key. Those of records are columns.
func (j *jsonSurvey) key(n *jsonNode, key string) (*jsonNode, error) {
	if n != &j.top || n.children[key] != nil {
		return n.child(key), nil
	}
	if other, ok := n.spelled[strings.ToLower(key)]; ok {
		return nil, drover.Errorf(drover.Refused, "the keys %q in %s and %q in %s differ only in case", other, n.children[other].from, key, j.path).
			WithHint("rename one of them in the files, or read the files in separate jobs")
	}
	if key == "" {
		return nil, drover.Errorf(drover.Refused, "record %d of %s has a key without a name", j.records, j.path).WithHint("rename it in the file")
	}
	if len(n.keys) == maxKeys {
		return nil, drover.Errorf(drover.Refused, "the records have more than %d keys, at record %d of %s", maxKeys, j.records, j.path).
			WithHint("records have the same keys, which are columns: rewrite the file with what varies in a value")
	}
	c := n.child(key)
	c.from = j.path
	return c, nil
}

// value takes in the value that comes next.
func (j *jsonSurvey) value(d *jsontext.Decoder, n *jsonNode) error {
	switch d.PeekKind() {
	case '{':
		n.saw(jsonObject, j.path)
		return j.object(d, n)
	case '[':
		n.saw(jsonArray, j.path)
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for kind := d.PeekKind(); kind != ']'; kind = d.PeekKind() {
			if err := j.value(d, n.element("[]")); err != nil {
				return err
			}
		}
		_, err := d.ReadToken()
		return err
	}
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	switch raw.Kind() {
	case 't', 'f':
		n.saw(jsonBoolean, j.path)
	case '"':
		n.text(j.path, raw[1:len(raw)-1])
	case '0':
		return n.number(j.path, raw)
	}
	return nil
}

// columns returns the columns and their types.
func (j *jsonSurvey) columns(ctx context.Context, s *duck.Session) (drover.Schema, error) {
	if len(j.top.keys) == 0 {
		return nil, drover.Errorf(drover.Refused, "no record of the files has a key, %s last", j.path).WithHint("check source.files.path")
	}
	var sh drover.Schema
	for _, key := range j.top.keys {
		typ, err := j.top.children[key].typ(0)
		if err != nil {
			return nil, err
		}
		if typ != nullType {
			as, err := s.Describe(ctx, "SELECT CAST(NULL AS "+typ+") AS t")
			if err != nil {
				return nil, fmt.Errorf("the type of key %s: %w", key, err)
			}
			typ = as[0].Type
		}
		sh = append(sh, drover.Column{Name: key, Type: typ})
	}
	return sh, nil
}
