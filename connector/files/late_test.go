package files

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/storage"
	"github.com/droverdata/drover/internal/storage/storagetest"
)

// areas lists the staging areas in a dataset.
func areas(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, areaPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestWhoJoinsAPublishedRunMakesNoStagingArea: nobody would remove it.
func TestWhoJoinsAPublishedRunMakesNoStagingArea(t *testing.T) {
	dir, j := prepare(t, Overwrite, storage.Local{})
	if _, err := j.publish(); err != nil {
		t.Fatal(err)
	}
	published := visible(t, dir)
	if _, err := j.sink.Begin(t.Context(), j.run, j.output); err != nil {
		t.Fatal(err)
	}
	if left := areas(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := j.publish(); err != nil { // its own answer was lost
		t.Fatal(err)
	}
	want(t, "after the second publish", visible(t, dir), published)
}

// TestWhatIsGoneAmidAPublishCanBeStagedAgain: the area is lost when one of the run's two files is visible.
func TestWhatIsGoneAmidAPublishCanBeStagedAgain(t *testing.T) {
	fresh, staged := prepare(t, Append, storage.Local{})
	for at := 1; ; at++ {
		dir, j := again(t, fresh, staged)
		j.sink.(*sink).store = &storagetest.Faulty{Store: storage.Local{}, At: at}
		if _, err := j.publish(); err == nil {
			t.Fatal("it was never published by half")
		}
		j.sink.(*sink).store = storage.Local{}
		if visible(t, dir) != "1|1\n2|1\n3|2\n4|2" {
			continue
		}
		for _, area := range areas(t, dir) {
			if err := os.RemoveAll(area); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := j.sink.Begin(t.Context(), j.run, j.output); err != nil {
			t.Fatal(err)
		}
		gone, err := j.sink.Verify(t.Context(), j.run, j.receipts())
		if err != nil || !slices.Equal(gone, []int64{j.chunks[1].ID}) {
			t.Fatalf("gone %v, %v", gone, err)
		}
		if err := j.write(j.chunks[1]); err != nil {
			t.Fatalf("stage it again: %v", err)
		}
		if _, err := j.publish(); err != nil {
			t.Fatal(err)
		}
		want(t, "in the end", visible(t, dir), "1|1\n2|1\n3|2\n4|2\n5|3")
		return
	}
}

// TestALateBeginIsUndone: where a run published nothing, nothing shows that it has.
func TestALateBeginIsUndone(t *testing.T) {
	dir, j := prepare(t, Append, storage.Local{})
	if _, err := j.sink.Abort(t.Context(), j.run); err != nil {
		t.Fatal(err)
	}
	if _, err := j.sink.Begin(t.Context(), j.run, j.output); err != nil {
		t.Fatal(err)
	}
	if len(areas(t, dir)) != 1 {
		t.Fatal("it needs an area to be of any use to a run that is not over")
	}
	for range 2 {
		if err := j.sink.(*sink).Late(t.Context(), j.run); err != nil {
			t.Fatal(err)
		}
	}
	if left := areas(t, dir); len(left) > 0 {
		t.Errorf("left behind: %s", strings.Join(left, ", "))
	}
}
