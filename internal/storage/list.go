package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
)

// List implements Store.
func (Local) List(ctx context.Context, dir string, hidden bool) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		fi, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(Object{}, err)
			return
		}
		w := walk{ctx: ctx, hidden: hidden, yield: yield}
		w.dir(dir, []fs.FileInfo{fi})
	}
}

type walk struct {
	ctx    context.Context
	hidden bool
	yield  func(Object, error) bool
}

// dir yields what lies below path. above holds the folders on the way to it, path's own last. It reports whether to go on.
func (w *walk) dir(path string, above []fs.FileInfo) bool {
	if err := w.ctx.Err(); err != nil {
		w.yield(Object{}, err)
		return false
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return w.yield(Object{}, fmt.Errorf("list %s: %w", path, err))
	}
	for _, e := range entries {
		if !w.hidden && Hidden(e.Name()) {
			continue
		}
		full := filepath.Join(path, e.Name())
		fi, err := os.Stat(full)
		if errors.Is(err, fs.ErrNotExist) && e.Type()&fs.ModeSymlink == 0 {
			continue // removed meanwhile
		}
		if err != nil {
			if !w.yield(Object{}, fmt.Errorf("list %s: %w", path, err)) {
				return false
			}
			continue
		}
		switch {
		case fi.IsDir():
			if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, fi) }) {
				continue
			}
			if !w.dir(full, append(above[:len(above):len(above)], fi)) {
				return false
			}
		case fi.Mode().IsRegular():
			if !w.yield(object(full, fi), nil) {
				return false
			}
		}
	}
	return true
}
