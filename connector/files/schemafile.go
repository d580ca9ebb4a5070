package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
)

// keepSchema writes what tells readers the columns where the files do not: a file without rows where the dataset has no other, and for partitioned
// Parquet the _common_metadata with the partition columns' types. JSON has no way to say a column without a row.
func (s *sink) keepSchema(ctx context.Context, run connector.Run, output drover.Schema, none bool, dirs map[string]bool) error {
	partitioned := len(s.spec.Partition) > 0
	if !none && (!partitioned || s.format() != formatParquet) {
		return nil
	}
	session, err := duck.Open(ctx, duck.Options{TempDir: s.env.TempDir, Timezone: s.env.Timezone})
	if err != nil {
		return err
	}
	defer session.Close()
	if none && s.format() != formatJSON {
		if none, err = s.isEmpty(ctx, run); err != nil {
			return err
		}
		if none {
			// Partition columns lie in this one file: there is no folder that could say them.
			if err := s.putEmpty(ctx, session, output, filepath.Join(s.root, emptyName(run, s.suffix()))); err != nil {
				return err
			}
			dirs["."] = true
		}
	}
	if !partitioned || s.format() != formatParquet {
		return nil
	}
	if !none {
		if err := s.removeEmpty(ctx, run, dirs); err != nil {
			return err
		}
	}
	common := filepath.Join(s.root, commonMetadata)
	if s.mode() == Append || s.mode() == OverwritePartitions {
		// What was declared before stays declared: other files still hold it.
		if _, err := s.store.Stat(ctx, common); err == nil {
			old, err := parquetShape(ctx, session, common)
			if err != nil {
				return err
			}
			merged := drover.Schema(old)
			for _, c := range output {
				if merged.Index(c.Name) < 0 {
					merged = append(merged, c)
				}
			}
			output = merged
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.putEmpty(ctx, session, output, common)
}

// isEmpty reports whether no data file will be left: a run that replaces all keeps only its own.
func (s *sink) isEmpty(ctx context.Context, run connector.Run) (bool, error) {
	for o, err := range s.store.List(ctx, s.root, false) {
		if err != nil {
			return false, err
		}
		name := filepath.Base(o.Path)
		if formatOf(name) != "" && s.mode() != Overwrite && name != emptyName(run, s.suffix()) {
			return false, nil
		}
	}
	return true, nil
}

// putEmpty writes a file of these columns and no rows.
func (s *sink) putEmpty(ctx context.Context, session *duck.Session, columns drover.Schema, dest string) (err error) {
	dir, err := os.MkdirTemp(s.env.TempDir, "drover-empty-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cols := make([]string, len(columns))
	for i, c := range columns {
		typ := c.Type
		if typ == nullType {
			typ = "INTEGER"
		}
		cols[i] = fmt.Sprintf("NULL::%s AS %s", typ, duck.Ident(c.Name))
	}
	whole := *s
	spec := *s.spec
	spec.Partition, spec.MaxRowsPerFile = nil, 0
	whole.spec = &spec
	query := "SELECT " + strings.Join(cols, ", ") + " WHERE false"
	if whole.format() == formatArrow {
		if err := whole.emptyArrow(session, columns, dir); err != nil {
			return err
		}
	} else if err := whole.copy(ctx, session, columns, query, dir); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(dir, "0"+stagedSuffix))
	if err != nil {
		return err
	}
	return s.store.Put(ctx, dest, data)
}

// removeEmpty removes the file without rows that an earlier run left in the place of data: beside partition folders it would
// confuse readers, as it holds the partition columns.
func (s *sink) removeEmpty(ctx context.Context, run connector.Run, dirs map[string]bool) error {
	for o, err := range s.store.List(ctx, s.root, false) {
		if err != nil {
			return err
		}
		name := filepath.Base(o.Path)
		if filepath.Dir(o.Path) == s.root && strings.HasPrefix(name, "drover-") && strings.HasSuffix(name, "-empty.parquet") && !strings.HasPrefix(name, ownPrefix(run)) {
			if err := s.store.Remove(ctx, o.Path); err != nil {
				return err
			}
			dirs[path.Dir(name)] = true
		}
	}
	return nil
}
