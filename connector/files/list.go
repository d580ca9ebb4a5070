package files

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/storage"
)

// root is one of a source's paths, resolved.
type root struct {
	// Base is the folder that file paths, and partitions, are relative to.
	Base string `json:"base"`
	// Glob is the absolute pattern, or empty.
	Glob string `json:"glob,omitempty"`
	// File is set where the path is a single file.
	File string `json:"file,omitempty"`
}

func (r root) String() string {
	switch {
	case r.Glob != "":
		return r.Glob
	case r.File != "":
		return r.File
	}
	return r.Base
}

// file is one data file.
type file struct {
	// Root is the index of the root that it lies below.
	Root int `json:"root,omitempty"`
	// Rel is the slash-separated path below the root's base.
	Rel   string `json:"path"`
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime"` // nanoseconds since 1970
	// at is where a file lies that is staged and not yet there, as an absolute path.
	at string
}

// resolve finds out what each path of a source is. A path that exists is taken by its letters, glob characters or not.
func resolve(ctx context.Context, paths []string) (storage.Store, []root, error) {
	if len(paths) == 0 {
		return nil, nil, drover.Errorf(drover.Invalid, "no path to read").WithField("source.files.path")
	}
	var (
		store storage.Store
		roots []root
	)
	for _, p := range paths {
		if p == "" {
			return nil, nil, drover.Errorf(drover.Invalid, "a path is empty").WithField("source.files.path")
		}
		s, abs, err := storage.For(p)
		if err != nil {
			return nil, nil, at(err, "source.files.path")
		}
		store = s
		o, err := store.Stat(ctx, abs)
		switch {
		case err == nil && o.Dir:
			roots = append(roots, root{Base: abs})
		case err == nil:
			roots = append(roots, root{Base: filepath.Dir(abs), File: abs})
		case errors.Is(err, fs.ErrNotExist) && storage.HasMeta(p):
			if _, err := storage.Match(abs, ""); err != nil {
				return nil, nil, drover.Errorf(drover.Invalid, "the glob %s: %w", p, err).WithField("source.files.path")
			}
			roots = append(roots, root{Base: filepath.Clean(storage.GlobRoot(abs)), Glob: abs})
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil, drover.Errorf(drover.Refused, "there is no file or folder %s", abs).WithField("source.files.path").
				WithHint("source.files.path is a folder, a file or a glob; relative paths start at the working directory")
		default:
			return nil, nil, drover.Errorf(drover.Refused, "read %s: %w", abs, err).WithField("source.files.path")
		}
	}
	return store, roots, nil
}

// at sets the place in the job of an Error that has none.
func at(err error, field string) error {
	var e *drover.Error
	if errors.As(err, &e) && e.Field == "" {
		e.Field = field
	}
	return err
}

// path returns the file's absolute path.
func (f file) path(roots []root) string {
	if f.at != "" {
		return f.at
	}
	return filepath.Join(roots[f.Root].Base, filepath.FromSlash(f.Rel))
}

// list yields the files of a survey's roots in order, each once, empty ones too. A file counts as data where its name says the
// format, or any format while that is not known; where the job names the format, also if its name says none; a file that
// the job names always does.
func list(ctx context.Context, store storage.Store, sv *survey) iter.Seq2[file, error] {
	format := sv.Format // of the moment: a survey learns it from the first file, and must see the others
	return func(yield func(file, error) bool) {
		seen := map[string]bool{}
		for i, r := range sv.Roots {
			for o, err := range objects(ctx, store, r) {
				if err != nil {
					yield(file{}, drover.Errorf(drover.Refused, "%w", err).
						WithHint("repair or remove what cannot be read, such as a link that leads nowhere, or name the files with a glob in source.files.path"))
					return
				}
				says := formatOf(o.Path)
				if r.File == "" && (says == "" && !sv.Named || format != "" && says != "" && says != format) {
					continue
				}
				if len(sv.Roots) > 1 {
					if seen[o.Path] {
						continue
					}
					seen[o.Path] = true
				}
				if !utf8.ValidString(o.Path) {
					yield(file{}, drover.Errorf(drover.Refused, "the name of the file %q is not UTF-8, and DuckDB opens no such file", o.Path).
						WithHint("rename it, or leave it out with a glob in source.files.path"))
					return
				}
				rel, err := filepath.Rel(r.Base, o.Path)
				if err != nil {
					yield(file{}, err)
					return
				}
				if !yield(file{Root: i, Rel: filepath.ToSlash(rel), Size: o.Size, MTime: o.ModTime.UnixNano()}, nil) {
					return
				}
			}
		}
	}
}

func objects(ctx context.Context, store storage.Store, r root) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		if r.File != "" {
			yield(store.Stat(ctx, r.File))
			return
		}
		// A glob that names hidden files means them.
		hidden := strings.Contains(r.Glob, "/.") || strings.Contains(r.Glob, "/_")
		for o, err := range store.List(ctx, r.Base, hidden) {
			if err == nil && r.Glob != "" {
				if ok, e := storage.Match(r.Glob, o.Path); e != nil {
					err = e
				} else if !ok {
					continue
				}
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}
