package files

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/memory"
)

func TestATaskLeavesOneFileInAPartition(t *testing.T) {
	root := t.TempDir()
	spec := Out(filepath.Join(root, "out")).PartitionBy("k")
	query := "SELECT (i %% 3)::VARCHAR AS k, i + %d AS v FROM range(30000) t(i)"
	j, err := newJob(t, openTarget(t, spec, false), fmt.Sprintf(query, 0), fmt.Sprintf(query, 100000), fmt.Sprintf(query, 200000))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(j.chunks...); err != nil {
		t.Fatal(err)
	}
	for id, r := range j.got {
		if r.RowsOut != 30000 {
			t.Errorf("chunk %d counts %d rows of 30000", id, r.RowsOut)
		}
	}
	published, err := j.sink.Publish(t.Context(), j.run, j.output, j.receipts())
	if err != nil || published.Files != 3 {
		t.Errorf("one task over three chunks published %d files in 3 partitions (%v)", published.Files, err)
	}
}

func TestPartitionValueTooLongForAFolderIsRefusedBeforePublish(t *testing.T) {
	j, err := newJob(t, openTarget(t, Out(filepath.Join(t.TempDir(), "out")).PartitionBy("k"), false), "SELECT repeat('x', 300) AS k, 1 AS v")
	if err != nil {
		t.Fatal(err)
	}
	var e *drover.Error
	if err := j.write(j.chunks...); !errors.As(err, &e) || e.Kind != drover.Data || e.Column != "k" || !strings.Contains(e.Message, "302 bytes") {
		t.Errorf("got %v", err)
	}
}

// The collector has nothing to find in what the writer holds. Where that alone comes near the runtime's limit, it runs all the time.
func TestTheWriterLeavesTheCollectorAThirdOfItsPart(t *testing.T) {
	for _, share := range []int64{memory.Least, 256 << 20, 1 << 30, 64 << 30} {
		s := &sink{spec: Out("out"), env: connector.Env{Memory: share}}
		if got, limit := s.writeMemory(), memory.Divide(share).Go; got > limit*2/3 || got <= 0 {
			t.Errorf("of a share of %d MiB the writer holds %d KiB, and the runtime has %d KiB", share>>20, got>>10, limit>>10)
		}
	}
}
