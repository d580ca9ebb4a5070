package files

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/storage"
)

// hiveTypes collects the partition columns of the files' paths, and what there is to know of their types.
type hiveTypes struct {
	order []string
	text  map[string]bool // has a value that is not an integer
	some  map[string]bool // has a value
	// said is the types that the files' own metadata declare; silent is set once one file declares none.
	said   map[string]string
	silent bool
}

func (h *hiveTypes) add(rel string) {
	for _, p := range parseHive(rel) {
		if h.text == nil {
			h.text, h.some = map[string]bool{}, map[string]bool{}
		}
		if _, ok := h.text[p.Column]; !ok {
			h.order = append(h.order, p.Column)
			h.text[p.Column] = false
		}
		if !p.Null {
			h.some[p.Column] = true
			h.text[p.Column] = h.text[p.Column] || !printsAsInteger(p.Value)
		}
	}
}

// declare takes in what some Parquet files declare about their folders.
func (h *hiveTypes) declare(ctx context.Context, s *duck.Session, paths []string) error {
	if len(h.order) == 0 || h.silent {
		return nil
	}
	escaped := make([]string, len(paths))
	for i, p := range paths {
		escaped[i] = globEscape(p)
	}
	files := 0
	err := texts(ctx, s, "SELECT decode(value), count(*)::VARCHAR FROM parquet_kv_metadata("+literals(escaped)+") WHERE decode(key) = "+
		duck.Literal(partitionTypesKey)+" GROUP BY 1", func(row []cell) error {
		types, ok := partitionTypes(row[0].Text)
		if !ok {
			return nil // not what we wrote: the files count as silent
		}
		var n int
		if _, err := fmt.Sscan(row[1].Text, &n); err != nil {
			return err
		}
		files += n
		for column, typ := range types {
			h.say(column, typ)
		}
		return nil
	})
	h.silent = h.silent || files != len(paths)
	return err
}

// partitionTypes reads what the sink's partitionTypes wrote.
func partitionTypes(text string) (map[string]string, bool) {
	var types map[string]string
	return types, gojson.Unmarshal([]byte(text), &types) == nil
}

// say unifies one declaration with the earlier ones. Types that do not widen exactly leave the column a text, as its folders hold it.
func (h *hiveTypes) say(column, typ string) {
	if h.said == nil {
		h.said = map[string]string{}
	}
	key := strings.ToLower(column)
	old, ok := h.said[key]
	if !ok {
		h.said[key] = typ
		return
	}
	wide, ok := widen(old, typ)
	if !ok {
		wide = "VARCHAR"
	}
	h.said[key] = wide
}

// columns decides the types: as the dataset's _common_metadata, the columns of the same name in the files, or the metadata of every file
// declare them; else integer where every value prints back the same (00501 stays text).
func (h *hiveTypes) columns(ctx context.Context, store storage.Store, s *duck.Session, roots []root, inFiles drover.Schema) ([]drover.Column, error) {
	if len(h.order) == 0 {
		return nil, nil
	}
	var declared drover.Schema
	for _, r := range roots {
		path := filepath.Join(r.Base, commonMetadata)
		if _, err := store.Stat(ctx, path); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, drover.Errorf(drover.Refused, "read %s: %w", path, err)
		}
		sh, err := parquetShape(ctx, s, path)
		if err != nil {
			return nil, err
		}
		declared = append(declared, sh...)
	}
	declared = append(declared, inFiles...)
	var out []drover.Column
	for _, name := range h.order {
		c := drover.Column{Name: name, Type: "VARCHAR"}
		typ, said := h.said[strings.ToLower(name)]
		switch i := declared.Index(name); {
		case i >= 0:
			c.Type = declared[i].Type
		case said && !h.silent:
			c.Type = typ
		case h.some[name] && !h.text[name]:
			c.Type = "BIGINT"
		}
		out = append(out, c)
	}
	return out, nil
}

// commonMetadata is the Parquet file without rows by which other writers declare a dataset's whole schema, partition columns included.
const commonMetadata = "_common_metadata"
