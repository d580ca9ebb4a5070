package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/droverdata/drover/internal/storage"
)

// acceptedFile lies in a dataset that drover test --accept wrote. Its name is hidden from those who read the dataset.
const acceptedFile = "_accepted.json"

// accepted says what the rows of a dataset are the result of, as long as its files are these.
type accepted struct {
	Of    string         `json:"of"`
	Files []acceptedPart `json:"files"`
}

type acceptedPart struct {
	Path string `json:"path"` // below the dataset
	Size int64  `json:"size"` // bytes
}

// Accept records in the source's folder that all of its rows are the result of something.
func (s *Source) Accept(ctx context.Context, of string) error {
	store, dir, err := storage.For(s.Path[0])
	if err != nil {
		return err
	}
	a := accepted{Of: of}
	if a.Files, err = parts(ctx, store, dir); err != nil {
		return err
	}
	data, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what the dataset is the result of: %w", err)
	}
	if err := store.Put(ctx, filepath.Join(dir, acceptedFile), append(data, '\n')); err != nil {
		return fmt.Errorf("record what %s is the result of: %w", dir, err)
	}
	return nil
}

// Accepted returns what Accept recorded; "" where nothing is, or where the files are others since.
func (s *Source) Accepted(ctx context.Context) (of string, err error) {
	if len(s.Path) != 1 || storage.HasMeta(s.Path[0]) {
		return "", nil
	}
	store, dir, err := storage.For(s.Path[0])
	if err != nil {
		return "", err
	}
	r, err := store.Open(ctx, filepath.Join(dir, acceptedFile))
	if err != nil {
		// Also where the path is a file. Whoever reads the dataset tells what is wrong with it.
		if errors.Is(err, fs.ErrNotExist) || ctx.Err() == nil && !isFolder(ctx, store, dir) {
			return "", nil
		}
		return "", fmt.Errorf("read what %s is the result of: %w", dir, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	data, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil {
		return "", fmt.Errorf("read what %s is the result of: %w", dir, err)
	}
	var a accepted
	if json.Unmarshal(data, &a) != nil {
		return "", nil // somebody else's
	}
	there, err := parts(ctx, store, dir)
	if err != nil || !slices.Equal(there, a.Files) {
		return "", err
	}
	return a.Of, nil
}

func isFolder(ctx context.Context, store storage.Store, path string) bool {
	o, err := store.Stat(ctx, path)
	return err == nil && o.Dir
}

// parts lists the data files of a folder.
func parts(ctx context.Context, store storage.Store, dir string) ([]acceptedPart, error) {
	var list []acceptedPart
	for o, err := range store.List(ctx, dir, false) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", dir, err)
		}
		rel, err := filepath.Rel(dir, o.Path)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", dir, err)
		}
		list = append(list, acceptedPart{filepath.ToSlash(rel), o.Size})
	}
	return list, nil
}
