package storage_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/storage"
	"github.com/droverdata/drover/internal/storage/storagetest"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string, hidden bool) string {
	t.Helper()
	var out []string
	for o, err := range (storage.Local{}).List(t.Context(), dir, hidden) {
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(dir, o.Path)
		out = append(out, rel)
	}
	return strings.Join(out, " ")
}

func TestListIsSortedByPathSegment(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"b", "a/z", "a/b/c", "a.x", ".h", "_h", "_p=1/x", ".d/x", "é"} {
		put(t, filepath.Join(dir, n), n)
	}
	if err := os.Symlink(dir, dir+"/a/loop"); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, dir, false), "_p=1/x a/b/c a/z a.x b é"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := names(t, dir, true), ".d/x .h _h _p=1/x a/b/c a/z a.x b é"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := names(t, dir+"/nope", false); got != "" {
		t.Errorf("got %s", got)
	}
	for _, err := range (storage.Local{}).List(t.Context(), dir+"/b", false) {
		if err == nil {
			t.Error("a file was listed as a folder")
		}
	}
}

func TestPut(t *testing.T) {
	s, ctx, path := storage.Local{}, t.Context(), t.TempDir()+"/a/b"
	if err := s.Put(ctx, path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, path, []byte("three")); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || string(data) != "three" {
		t.Fatalf("%q, %v", data, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if got := names(t, filepath.Dir(path), true); got != "b" {
		t.Errorf("left: %s", got)
	}
}

func TestAreas(t *testing.T) {
	s, ctx, root := storage.Local{}, t.Context(), t.TempDir()
	area := root + "/_area"
	if _, err := s.Scratch(ctx, area, "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a scratch folder without an area: %v", err)
	}
	if err := s.OpenArea(ctx, area); err != nil {
		t.Fatal(err)
	}
	dir, err := s.Scratch(ctx, area, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Scratch(ctx, area, "x"); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a second scratch folder: %v", err)
	}
	put(t, dir+"/k=1/f", "data")
	tokens, err := s.Stage(ctx, area, []string{dir + "/k=1/f"})
	if err != nil {
		t.Fatal(err)
	}
	token := tokens[0]
	if o, err := s.Staged(ctx, area, token); err != nil || o.Size != 4 {
		t.Fatal(o, err)
	}
	for range 2 {
		if err := s.Commit(ctx, area, token, root+"/k=1/final"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(ctx, area, "nope", root+"/nope"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	for range 2 {
		if err := s.CloseArea(ctx, area); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, root, true); got != "k=1/final" {
		t.Errorf("left: %s", got)
	}
}

func TestPruneStopsAtTheRootAndAtWhatIsNotEmpty(t *testing.T) {
	s, ctx, root := storage.Local{}, t.Context(), t.TempDir()
	put(t, root+"/a/keep", "")
	for _, d := range []string{"/a/b/c", "/d/e"} {
		if err := os.MkdirAll(root+d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := s.Prune(ctx, root+d, root); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 1 || entries[0].Name() != "a" {
		t.Fatal(entries, err)
	}
	if entries, err = os.ReadDir(root + "/a"); err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		glob, name string
		want       bool
	}{
		{"/a/*.csv", "/a/x.csv", true},
		{"/a/*.csv", "/a/b/x.csv", false},
		{"/a/**/*.csv", "/a/x.csv", true},
		{"/a/**/*.csv", "/a/b/c/x.csv", true},
		{"/a/**", "/a/b/c", true},
		{"/a/**/c", "/a/_b/c", false},
		{"/a/*/c", "/a/.b/c", false},
		{"/a/_*/c", "/a/_b/c", true},
		{"/a/[0-9]?", "/a/1x", true},
		{"/a/**/b/**/c", "/a/x/b/y/z/c", true},
		{"/a/b", "/a/b/c", false},
	} {
		if got, err := storage.Match(c.glob, c.name); err != nil || got != c.want {
			t.Errorf("%s, %s: %t, %v", c.glob, c.name, got, err)
		}
	}
	if _, err := storage.Match("/a/[", "/a/b"); err == nil {
		t.Error("a bad pattern matches")
	}
}

func TestOtherSchemesAreRefused(t *testing.T) {
	_, _, err := storage.For("s3://bucket/key")
	if drover.KindOf(err) != drover.Invalid || err.Error() != "s3:// is not supported by this version" {
		t.Errorf("got %v", err)
	}
}

func TestFaultyEndsAtItsOperation(t *testing.T) {
	dir := t.TempDir()
	for _, after := range []bool{false, true} {
		f := &storagetest.Faulty{Store: storage.Local{}, At: 2, After: after}
		var errs []error
		for _, n := range []string{"/1", "/2", "/3"} {
			errs = append(errs, f.Put(t.Context(), dir+n, nil))
		}
		_, err := os.Stat(dir + "/2")
		if errs[0] != nil || !errors.Is(errs[1], storagetest.ErrInjected) || !errors.Is(errs[2], storagetest.ErrInjected) || (err == nil) != after || f.Operations() != 3 {
			t.Errorf("after %t: %v, %v", after, errs, err)
		}
	}
}
