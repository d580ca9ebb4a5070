// Package storagetest breaks storage on purpose.
package storagetest

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/droverdata/drover/internal/storage"
)

// ErrInjected is what a Faulty store fails with.
var ErrInjected = errors.New("injected failure")

// Faulty is a store whose operations end at the At-th one that changes something, counted from 1: it and all later ones fail, as if the
// process had been killed there. With After the At-th still takes effect.
type Faulty struct {
	storage.Store
	At    int
	After bool

	mu sync.Mutex
	n  int
}

// Operations returns how many changing operations were asked for.
func (f *Faulty) Operations() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *Faulty) do(op func() error) error {
	f.mu.Lock()
	f.n++
	n := f.n
	f.mu.Unlock()
	if f.At > 0 && (n > f.At || n == f.At && !f.After) {
		return ErrInjected
	}
	if err := op(); err != nil {
		return err
	}
	if f.At > 0 && n == f.At {
		return ErrInjected
	}
	return nil
}

// Put implements storage.Store.
func (f *Faulty) Put(ctx context.Context, path string, data []byte) error {
	return f.do(func() error { return f.Store.Put(ctx, path, data) })
}

// Remove implements storage.Store.
func (f *Faulty) Remove(ctx context.Context, path string) error {
	return f.do(func() error { return f.Store.Remove(ctx, path) })
}

// Prune implements storage.Store.
func (f *Faulty) Prune(ctx context.Context, dir, root string) error {
	return f.do(func() error { return f.Store.Prune(ctx, dir, root) })
}

// OpenArea implements storage.Store.
func (f *Faulty) OpenArea(ctx context.Context, area string) error {
	return f.do(func() error { return f.Store.OpenArea(ctx, area) })
}

// Scratch implements storage.Store.
func (f *Faulty) Scratch(ctx context.Context, area, name string) (dir string, err error) {
	err = f.do(func() error { dir, err = f.Store.Scratch(ctx, area, name); return err })
	return dir, err
}

// Stage implements storage.Store.
func (f *Faulty) Stage(ctx context.Context, area string, files []string) (tokens []string, err error) {
	err = f.do(func() error { tokens, err = f.Store.Stage(ctx, area, files); return err })
	return tokens, err
}

// Commit implements storage.Store.
func (f *Faulty) Commit(ctx context.Context, area, token, path string) error {
	return f.do(func() error { return f.Store.Commit(ctx, area, token, path) })
}

// Sync implements storage.Store.
func (f *Faulty) Sync(ctx context.Context, dir string) error {
	return f.do(func() error { return f.Store.Sync(ctx, dir) })
}

// CloseArea implements storage.Store.
func (f *Faulty) CloseArea(ctx context.Context, area string) error {
	return f.do(func() error { return f.Store.CloseArea(ctx, area) })
}

// List implements storage.Store; reading does not count.
func (f *Faulty) List(ctx context.Context, dir string, hidden bool) iter.Seq2[storage.Object, error] {
	return f.Store.List(ctx, dir, hidden)
}
