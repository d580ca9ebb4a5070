package files

import (
	"bufio"
	"bytes"
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

const (
	areaPrefix   = "_drover_staging_"
	replacesName = "replaces.jsonl"
	stagedSuffix = ".staged"
)

func (s *sink) area(run connector.Run) string { return filepath.Join(s.root, areaPrefix+run.UID) }

// ownPrefix starts the names of all files of a run.
func ownPrefix(run connector.Run) string { return "drover-" + run.UID + "-" }

// replaced is a file that publish removes, if it still is the one that was listed.
type replaced struct {
	Path  string `json:"path"` // below the root, slash-separated
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime"`
}

// Begin implements connector.Sink. An area that was lost is made anew, unless the run's files are visible: then it was published a moment ago, or Verify finds
// what is missing.
func (s *sink) Begin(ctx context.Context, run connector.Run, _ drover.Schema) (gojson.RawMessage, error) {
	state, err := gojson.Marshal(map[string]string{"root": s.root})
	if err != nil {
		return nil, err
	}
	if run.State != nil && string(run.State) != string(state) {
		return nil, drover.Errorf(drover.Refused, "the run writes %s, and this job's path is now %s", run.State, s.root).
			WithHint("start in the folder that the run was started in, or start a new run: drover run JOB.yaml --new")
	}
	return state, s.open(ctx, run, false)
}

// open makes the run's area where there is none. The files to replace are listed here and nowhere else, so that what others add meanwhile stays; on a resume
// only files from before the run are. unfinished says that the run was not published, whatever is visible of it.
func (s *sink) open(ctx context.Context, run connector.Run, unfinished bool) error {
	area := s.area(run)
	list := filepath.Join(area, replacesName)
	if _, err := s.store.Stat(ctx, list); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return s.storeError("read", err)
	}
	var lines bytes.Buffer
	out := gojson.NewEncoder(&lines)
	for o, err := range s.store.List(ctx, s.root, true) {
		if err != nil {
			return s.storeError("list", err)
		}
		rel, err := filepath.Rel(s.root, o.Path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		name := filepath.Base(o.Path)
		summary := rel == commonMetadata || rel == "_metadata"
		if !summary && (formatOf(name) == "" || hiddenPath(rel)) {
			continue
		}
		if strings.HasPrefix(name, ownPrefix(run)) {
			if run.State != nil && !unfinished {
				return nil
			}
			continue
		}
		if s.mode() == Error && !summary && run.State == nil {
			return s.refuse(o.Path)
		}
		if s.mode() != Overwrite && s.mode() != OverwritePartitions || s.mode() == OverwritePartitions && summary {
			continue
		}
		if run.State != nil && !o.ModTime.Before(run.StartedAt.Truncate(time.Second)) {
			continue
		}
		if err := out.Encode(replaced{rel, o.Size, o.ModTime.UnixNano()}); err != nil {
			return err
		}
	}
	if err := s.store.OpenArea(ctx, area); err != nil {
		return s.storeError("create", err)
	}
	if err := s.store.Put(ctx, list, lines.Bytes()); err != nil {
		return s.storeError("write", err)
	}
	return nil
}

// hiddenPath reports whether readers pass over a file for any part of its path.
func hiddenPath(rel string) bool {
	for part := range strings.SplitSeq(rel, "/") {
		if strings.HasPrefix(part, ".") || strings.HasPrefix(part, "_") && !strings.Contains(part, "=") {
			return true
		}
	}
	return false
}

// storeError is a failure of the target.
func (s *sink) storeError(what string, err error) error {
	if drover.KindOf(err) != "" {
		return err
	}
	return drover.Errorf(drover.Refused, "%s the target %s: %w", what, s.root, err).WithField("sink.files.path").
		WithHint("check the folder's permissions and free space, then run the same command again")
}

// eachReplaced yields the files that the run replaces.
func (s *sink) eachReplaced(ctx context.Context, run connector.Run, each func(replaced) error) error {
	r, err := s.store.Open(ctx, filepath.Join(s.area(run), replacesName))
	if err != nil {
		return fmt.Errorf("read the list of replaced files: %w", err)
	}
	err = func() error {
		in := gojson.NewDecoder(bufio.NewReader(io.NewSectionReader(r, 0, r.Size())))
		for {
			var f replaced
			if err := in.Decode(&f); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("read the list of replaced files: %w", err)
			}
			if err := each(f); err != nil {
				return err
			}
		}
	}()
	return errors.Join(err, r.Close())
}
