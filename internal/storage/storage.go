// Package storage is where datasets lie: local folders now, shaped so that an object store is one more implementation of Store.
//
// Data becomes visible only at Commit. What is not committed lies in an area: a hidden folder of the dataset, or the uncompleted uploads of an
// object store. An area is made once and closed once; nothing can be staged into a closed one.
package storage

import (
	"context"
	"io"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/droverdata/drover"
)

// Object is one file, or one folder where Stat found one.
type Object struct {
	// Path is absolute.
	Path    string
	Size    int64
	ModTime time.Time
	Dir     bool
}

// Reader reads ranges of one object.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Store is one system of objects. Methods may be called concurrently. An object that is not there is fs.ErrNotExist.
type Store interface {
	Stat(ctx context.Context, path string) (Object, error)
	// List yields the files below dir that are not Hidden, at any depth, sorted by path segment. Hidden names may be listed as well.
	// Links to folders are followed, except into a folder that the path lies in already. A dir that is not there has no files.
	List(ctx context.Context, dir string, hidden bool) iter.Seq2[Object, error]
	Open(ctx context.Context, path string) (Reader, error)
	// Writable returns an error where objects cannot be made in dir. It writes nothing.
	Writable(ctx context.Context, dir string) error
	// Put makes path hold data, whole or not at all.
	Put(ctx context.Context, path string, data []byte) error
	// Remove deletes an object; one that is gone already is no error.
	Remove(ctx context.Context, path string) error
	// Prune removes dir and its ancestors below root as long as they are empty.
	Prune(ctx context.Context, dir, root string) error

	// OpenArea makes the staging area, and what it lies in, where it is not there yet.
	OpenArea(ctx context.Context, area string) error
	// HasArea reports whether area is open.
	HasArea(ctx context.Context, area string) (bool, error)
	// Scratch makes a new local folder whose files Stage accepts. fs.ErrNotExist where the area is closed, fs.ErrExist where the
	// folder is there already.
	Scratch(ctx context.Context, area, name string) (dir string, err error)
	// Stage makes files of a scratch folder durable and returns the tokens that Commit takes, one a file. The files are not touched any more.
	Stage(ctx context.Context, area string, files []string) (tokens []string, err error)
	// Staged returns the staged file that Commit would make visible.
	Staged(ctx context.Context, area, token string) (Object, error)
	// Commit makes a staged file visible at path. Where it was committed before it changes nothing; fs.ErrNotExist where there is
	// neither the staged file nor the visible one.
	Commit(ctx context.Context, area, token, path string) error
	// Sync makes the names in dir durable.
	Sync(ctx context.Context, dir string) error
	// CloseArea removes the area with all that is staged in it. It is idempotent.
	CloseArea(ctx context.Context, area string) error
}

// For returns the store that a path of a job belongs to, and the path in its absolute form.
func For(name string) (Store, string, error) {
	if i := strings.Index(name, "://"); i > 0 {
		return nil, "", drover.Errorf(drover.Invalid, "%s:// is not supported by this version", strings.ToLower(name[:i])).WithHint("give a local path")
	}
	if strings.ContainsRune(name, 0) {
		return nil, "", drover.Errorf(drover.Invalid, "a path holds a NUL byte")
	}
	abs, err := absolute(name)
	if err != nil {
		return nil, "", err
	}
	return Local{}, abs, nil
}

// Hidden reports whether readers of a folder pass over an entry of this name, as Hive, Spark and pyarrow do. A partition
// folder of a column whose name starts with an underscore is not hidden.
func Hidden(name string) bool {
	name = path.Base(name)
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") && !strings.Contains(name, "=")
}
