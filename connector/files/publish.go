package files

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// Publish implements connector.Sink. In this order, each step harmless when it is taken again: the staged files are renamed to where they
// go; the dataset's schema is kept; the names are made durable; what the run replaces is removed; the area is closed, and with it
// whatever no receipt names.
func (s *sink) Publish(ctx context.Context, run connector.Run, output drover.Schema, all iter.Seq2[connector.Receipt, error]) (connector.Published, error) {
	var published connector.Published
	area := s.area(run)
	open, err := s.store.HasArea(ctx, area)
	if err != nil {
		return published, s.storeError("read", err)
	}
	if open && s.mode() == Error {
		if err := s.stillEmpty(ctx, run); err != nil {
			return published, err
		}
	}
	dirs := map[string]bool{}
	err = eachStaged(all, func(_ connector.Receipt, f staged) error {
		dest := filepath.Join(s.root, filepath.FromSlash(f.Path))
		dirs[path.Dir(f.Path)] = true
		published.Files++
		if open {
			err = s.store.Commit(ctx, area, f.Token, dest)
		} else {
			_, err = s.store.Stat(ctx, dest)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return drover.Errorf(drover.Refused, "a staged file of the run is gone: %s", f.Path).
				WithHint("run the same command again: the chunks that it held are read again")
		}
		return err
	})
	if err != nil {
		return published, s.storeError("publish to", err)
	}
	if !open {
		// Everything is in place, and the area was closed last. What a crash amid that has left goes now.
		if err := s.store.CloseArea(ctx, area); err != nil {
			return published, s.storeError("publish to", err)
		}
		return published, nil
	}
	err = s.keepSchema(ctx, run, output, published.Files == 0, dirs)
	if err == nil {
		err = s.sync(ctx, dirs)
	}
	if err == nil {
		err = s.removeReplaced(ctx, run, dirs)
	}
	if err == nil {
		err = s.store.CloseArea(ctx, area)
	}
	if err != nil {
		return published, s.storeError("publish to", err)
	}
	return published, nil
}

// stillEmpty refuses to publish beside data that came since the run began.
func (s *sink) stillEmpty(ctx context.Context, run connector.Run) error {
	for o, err := range s.store.List(ctx, s.root, false) {
		if err != nil {
			return s.storeError("list", err)
		}
		if name := filepath.Base(o.Path); formatOf(name) != "" && !strings.HasPrefix(name, ownPrefix(run)) {
			return s.refuse(o.Path)
		}
	}
	return nil
}

// eachStaged yields the staged files of all receipts.
func eachStaged(all iter.Seq2[connector.Receipt, error], each func(connector.Receipt, staged) error) error {
	for r, err := range all {
		if err != nil {
			return err
		}
		if len(r.Publish) == 0 {
			continue
		}
		var m manifest
		if err := gojson.Unmarshal(r.Publish, &m); err != nil {
			return fmt.Errorf("decode the receipt of chunk %d: %w", r.ChunkID, err)
		}
		for _, f := range m.Files {
			if err := each(r, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// sync makes the new names durable, before anything old is removed.
func (s *sink) sync(ctx context.Context, dirs map[string]bool) error {
	done := map[string]bool{}
	for dir := range dirs {
		for ; !done[dir]; dir = path.Dir(dir) {
			done[dir] = true
			if err := s.store.Sync(ctx, filepath.Join(s.root, filepath.FromSlash(dir))); err != nil {
				return err
			}
		}
	}
	if !done["."] {
		return s.store.Sync(ctx, s.root)
	}
	return nil
}

// removeReplaced removes the files that were listed when the run began, if they are still the same.
func (s *sink) removeReplaced(ctx context.Context, run connector.Run, dirs map[string]bool) error {
	emptied := map[string]bool{}
	err := s.eachReplaced(ctx, run, func(f replaced) error {
		if s.mode() == OverwritePartitions && !dirs[canonical(path.Dir(f.Path))] {
			return nil
		}
		name := filepath.Join(s.root, filepath.FromSlash(f.Path))
		emptied[filepath.Dir(name)] = true
		o, err := s.store.Stat(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if o.Size != f.Size || o.ModTime.UnixNano() != f.MTime {
			return nil // somebody else's, by now
		}
		return s.store.Remove(ctx, name)
	})
	if err != nil {
		return err
	}
	for dir := range emptied {
		if err := s.store.Prune(ctx, dir, s.root); err != nil {
			return err
		}
	}
	return nil
}

// canonical returns a partition's folder as drover would name it. Other writers encode more characters, or in lower case.
func canonical(dir string) string {
	parts := strings.Split(dir, "/")
	for i, p := range parts {
		for _, h := range parseHive(p + "/") {
			parts[i] = h.dir()
		}
	}
	return strings.Join(parts, "/")
}

// Verify implements connector.Sink. A receipt's files are staged, or visible where a publish began; one that is neither takes all chunks
// of its attempt with it, and what is visible of that attempt is removed, so that their next attempt cannot double it. So does one that was
// written from other inputs than the run's. What is gone is staged again, so there must be an area.
func (s *sink) Verify(ctx context.Context, run connector.Run, all iter.Seq2[connector.Receipt, error]) ([]int64, error) {
	area := s.area(run)
	gone := map[int64]bool{} // tokens
	var chunks []int64
	// Receipts come by chunk ID, and the lowest of an attempt has the note: later ones only need the token.
	for r, err := range all {
		if err != nil {
			return nil, err
		}
		var m manifest
		if len(r.Publish) > 0 {
			if err := gojson.Unmarshal(r.Publish, &m); err != nil {
				return nil, fmt.Errorf("decode the receipt of chunk %d: %w", r.ChunkID, err)
			}
		}
		if len(r.Publish) > 0 && m.Inputs != run.Inputs {
			gone[r.Token] = true
		}
		for _, f := range m.Files {
			ok, err := s.has(ctx, area, f)
			if err != nil {
				return nil, s.storeError("read", err)
			}
			if !ok {
				gone[r.Token] = true
			}
		}
		if !gone[r.Token] {
			continue
		}
		chunks = append(chunks, r.ChunkID)
		for _, f := range m.Files {
			if err := s.store.Remove(ctx, filepath.Join(s.root, filepath.FromSlash(f.Path))); err != nil {
				return nil, s.storeError("write to", err)
			}
		}
	}
	if len(chunks) == 0 {
		return nil, nil
	}
	return chunks, s.open(ctx, run, true)
}

// Late implements connector.Latecomer.
func (s *sink) Late(ctx context.Context, run connector.Run) error {
	if err := s.store.CloseArea(ctx, s.area(run)); err != nil {
		return s.storeError("write to", err)
	}
	return nil
}

// has reports whether a file that a receipt names is there, whole.
func (s *sink) has(ctx context.Context, area string, f staged) (bool, error) {
	o, err := s.store.Staged(ctx, area, f.Token)
	if errors.Is(err, fs.ErrNotExist) {
		o, err = s.store.Stat(ctx, filepath.Join(s.root, filepath.FromSlash(f.Path)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && o.Size == f.Size, err
}

// Void implements connector.Sink. Only files that a receipt in the ledger names are ever published, and the ledger fences a
// late attempt off, so there is nothing to take.
func (*sink) Void(context.Context, connector.Run, int64) (*connector.Receipt, error) { return nil, nil }

// Abort implements connector.Sink. A run whose publish began is refused: its new files are visible, and what they replace may be gone.
func (s *sink) Abort(ctx context.Context, run connector.Run) (int64, error) {
	open, err := s.store.HasArea(ctx, s.area(run))
	if err != nil {
		return 0, s.storeError("read", err)
	}
	chunks := map[string]bool{}
	for o, err := range s.store.List(ctx, s.root, false) {
		if err != nil {
			return 0, s.storeError("list", err)
		}
		if rest, ok := strings.CutPrefix(filepath.Base(o.Path), ownPrefix(run)); ok {
			chunk, _, _ := strings.Cut(rest, "-t")
			chunks[chunk] = true
		}
	}
	if open && len(chunks) > 0 {
		return 0, drover.Errorf(drover.Refused, "the publish of run %s to %s has begun: its files are visible in part", run.ID, s.root).
			WithHint("run the same command again: it finishes the publish")
	}
	if err := s.store.CloseArea(ctx, s.area(run)); err != nil {
		return 0, s.storeError("write to", err)
	}
	return int64(len(chunks)), nil
}

// emptyName is the name of a dataset's file without rows.
func emptyName(run connector.Run, suffix string) string {
	return ownPrefix(run) + "s" + strconv.Itoa(run.Stage) + "-empty" + suffix
}
