package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/memory"
)

// keepSchema keeps the columns of a dataset without rows: in one file that has none either, where there is no other file. JSON has no way to say a
// column without a row. As soon as there are partition folders that file goes.
func (s *sink) keepSchema(ctx context.Context, run connector.Run, output drover.Schema, none bool, dirs map[string]bool) error {
	if s.format() == formatJSON {
		return nil
	}
	if !none {
		if len(s.spec.Partition) == 0 {
			return nil
		}
		return s.removeEmpty(ctx, run, dirs)
	}
	empty, err := s.isEmpty(ctx, run)
	if err != nil || !empty {
		return err
	}
	session, err := duck.Open(ctx, duck.Options{
		Memory: memory.Divide(s.env.Memory).Duck, TempDir: s.env.TempDir, Timezone: s.env.Timezone,
	})
	if err != nil {
		return err
	}
	defer session.Close()
	dirs["."] = true
	// Partition columns lie in this one file: there is no folder that could say them.
	return s.putEmpty(ctx, session, output, filepath.Join(s.root, emptyName(run, s.suffix())))
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
		if filepath.Dir(o.Path) == s.root && strings.HasPrefix(name, "drover-") && strings.HasSuffix(name, "-empty"+s.suffix()) && !strings.HasPrefix(name, ownPrefix(run)) {
			if err := s.store.Remove(ctx, o.Path); err != nil {
				return err
			}
			dirs[path.Dir(name)] = true
		}
	}
	return nil
}
