package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/droverdata/drover/internal/fault"
)

// Local is the store of this machine's file systems. Areas are hidden folders on the dataset's own file system, so that a commit is a
// rename.
type Local struct{}

func absolute(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("make %s absolute: %w", name, err)
	}
	return abs, nil
}

// Stat implements Store.
func (Local) Stat(_ context.Context, path string) (Object, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return Object{}, err
	}
	return object(path, fi), nil
}

func object(path string, fi fs.FileInfo) Object {
	return Object{Path: path, Size: fi.Size(), ModTime: fi.ModTime(), Dir: fi.IsDir()}
}

type localReader struct {
	*os.File
	size int64
}

func (r localReader) Size() int64 { return r.size }

// Open implements Store.
func (Local) Open(_ context.Context, path string) (Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return localReader{f, fi.Size()}, nil
}

// Put implements Store.
func (Local) Put(ctx context.Context, path string, data []byte) error {
	fault.Point(ctx)
	return write(path, data)
}

// write makes a durable temporary file and then gives it its name.
func write(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "_drover_put_*")
	if err != nil {
		return err
	}
	defer func() {
		if e := os.Remove(f.Name()); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}()
	// CreateTemp's mode is for secrets; a dataset's files are for whoever the umask allows.
	if err := f.Chmod(0o666 &^ umask()); err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

// Remove implements Store.
func (Local) Remove(ctx context.Context, path string) error {
	fault.Point(ctx)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Prune implements Store.
func (Local) Prune(_ context.Context, dir, root string) error {
	for strings.HasPrefix(dir, root+string(filepath.Separator)) {
		entries, err := os.ReadDir(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case len(entries) > 0:
			return nil
		default:
			// Somebody may write into it just now: then it is not empty any more, and stays.
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				if again, e := os.ReadDir(dir); e == nil && len(again) > 0 {
					return nil
				}
				return err
			}
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

// OpenArea implements Store.
func (Local) OpenArea(ctx context.Context, area string) error {
	fault.Point(ctx)
	return os.MkdirAll(area, 0o777)
}

// HasArea implements Store.
func (Local) HasArea(_ context.Context, area string) (bool, error) { return exists(area) }

// Scratch implements Store. It makes one folder, never the area: a late attempt must not bring a closed area back.
func (Local) Scratch(_ context.Context, area, name string) (string, error) {
	dir := filepath.Join(area, name)
	return dir, os.Mkdir(dir, 0o777)
}

// syncsAtOnce is how many files are made durable at once: the file system then writes its journal once for many, and the disk has more to do than to wait.
const syncsAtOnce = 8

// Stage implements Store. A token is the file's path within the area.
func (Local) Stage(ctx context.Context, area string, files []string) (tokens []string, err error) {
	dirs := map[string]bool{}
	for _, file := range files {
		token, err := filepath.Rel(area, file)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, filepath.ToSlash(token))
		for dir := filepath.Dir(file); len(dir) >= len(area); dir = filepath.Dir(dir) {
			dirs[dir] = true
		}
	}
	var g errgroup.Group
	g.SetLimit(syncsAtOnce)
	for _, file := range files {
		fault.Point(ctx)
		g.Go(func() error { return syncPath(file) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for dir := range dirs {
		if err := syncPath(dir); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// Staged implements Store.
func (l Local) Staged(ctx context.Context, area, token string) (Object, error) {
	return l.Stat(ctx, filepath.Join(area, filepath.FromSlash(token)))
}

// Commit implements Store.
func (Local) Commit(ctx context.Context, area, token, path string) error {
	fault.Point(ctx)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	err := os.Rename(filepath.Join(area, filepath.FromSlash(token)), path)
	if errors.Is(err, fs.ErrNotExist) {
		if done, e := exists(path); e == nil && done {
			return nil
		}
	}
	return err
}

// Sync implements Store.
func (Local) Sync(_ context.Context, dir string) error { return syncPath(dir) }

// CloseArea implements Store. The rename closes the area at once, for whoever still writes into it.
func (Local) CloseArea(ctx context.Context, area string) error {
	fault.Point(ctx)
	closed := area + "~"
	if err := os.RemoveAll(closed); err != nil {
		return err
	}
	if err := os.Rename(area, closed); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := syncPath(filepath.Dir(area)); err != nil {
		return err
	}
	fault.Point(ctx)
	return os.RemoveAll(closed)
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// syncPath makes the data of a file, or the names in a folder, durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync %s: %w", path, err), f.Close())
	}
	return f.Close()
}
