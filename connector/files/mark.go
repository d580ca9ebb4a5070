package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/droverdata/drover/internal/storage"
)

// mark implements connector.Local's Mark in the given folders. Folders that may not be written to are left out.
func mark(ctx context.Context, store storage.Store, dirs []string, name string) ([]string, error) {
	var places []string
	for _, dir := range dirs {
		if slices.Contains(places, dir) || store.Writable(ctx, dir) != nil {
			continue
		}
		if err := store.Put(ctx, filepath.Join(dir, name), nil); err != nil {
			return nil, fmt.Errorf("mark %s: %w", dir, err)
		}
		places = append(places, dir)
	}
	return places, nil
}

func unmarked(ctx context.Context, store storage.Store, name string, places []string) ([]string, error) {
	var missing []string
	for _, dir := range places {
		_, err := store.Stat(ctx, filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, dir)
		case err != nil:
			return nil, fmt.Errorf("look for the mark in %s: %w", dir, err)
		}
	}
	return missing, nil
}

func unmark(ctx context.Context, store storage.Store, name string, places []string) error {
	var errs []error
	for _, dir := range places {
		if err := store.Remove(ctx, filepath.Join(dir, name)); err != nil {
			errs = append(errs, fmt.Errorf("remove the mark in %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

// Mark implements connector.Local.
func (s *source) Mark(ctx context.Context, name string) ([]string, error) {
	dirs := make([]string, len(s.roots))
	for i, r := range s.roots {
		dirs[i] = r.Base
	}
	return mark(ctx, s.store, dirs, name)
}

// Unmarked implements connector.Local.
func (s *source) Unmarked(ctx context.Context, name string, places []string) ([]string, error) {
	return unmarked(ctx, s.store, name, places)
}

// Unmark implements connector.Local.
func (s *source) Unmark(ctx context.Context, name string, places []string) error {
	return unmark(ctx, s.store, name, places)
}

// Mark implements connector.Local.
func (s *sink) Mark(ctx context.Context, name string) ([]string, error) {
	return mark(ctx, s.store, []string{s.root}, name)
}

// Unmarked implements connector.Local.
func (s *sink) Unmarked(ctx context.Context, name string, places []string) ([]string, error) {
	return unmarked(ctx, s.store, name, places)
}

// Unmark implements connector.Local.
func (s *sink) Unmark(ctx context.Context, name string, places []string) error {
	return unmark(ctx, s.store, name, places)
}
