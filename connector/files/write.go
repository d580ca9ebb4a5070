package files

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// manifest is what an attempt staged. It is the Publish note of the attempt's lowest chunk.
type manifest struct {
	Files []staged `json:"files"`
	// Inputs is the attempt's connector.Run.Inputs.
	Inputs string `json:"inputs,omitempty"`
}

// staged is one file that waits to be published.
type staged struct {
	Token string `json:"token"` // storage's
	Path  string `json:"path"`  // below the root, slash-separated
	Size  int64  `json:"size"`
}

// Write implements connector.Sink. Bytes out are the files' sizes, divided among the chunks by their rows.
func (s *sink) Write(ctx context.Context, a connector.Attempt, open func(context.Context, []connector.Chunk) (connector.Input, error)) (_ []connector.Receipt, err error) {
	if len(a.Chunks) == 0 {
		return nil, nil
	}
	scratch, name, err := s.scratch(ctx, a)
	if err != nil {
		return nil, err
	}
	defer func() { err = giveUp(scratch, err) }()
	in, err := open(ctx, a.Chunks)
	if err != nil {
		return nil, err
	}
	rowsOut, done, err := s.write(ctx, in, len(a.Chunks), scratch)
	if err != nil {
		return nil, s.copyError(err, scratch)
	}
	files, err := s.collect(ctx, a.Run, scratch, name, done)
	if err != nil {
		return nil, err
	}
	var bytes int64
	for _, f := range files {
		bytes += f.Size
	}
	return receipts(a, in, rowsOut, bytes, manifest{files, a.Run.Inputs})
}

// scratch makes the folder of an attempt in the run's area.
func (s *sink) scratch(ctx context.Context, a connector.Attempt) (dir, name string, err error) {
	name = fmt.Sprintf("s%d-c%d-t%d", a.Run.Stage, a.Chunks[0].ID, a.Token)
	dir, err = s.store.Scratch(ctx, s.area(a.Run), name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = drover.Errorf(drover.Fenced, "the run is closed: its staging folder in %s is gone", s.root)
	case errors.Is(err, fs.ErrExist):
		err = drover.Errorf(drover.Fenced, "attempt %d has been made before", a.Token)
	case err != nil:
		err = s.storeError("write to", err)
	}
	return dir, name, err
}

// giveUp removes the folder of an attempt that failed with err: no receipt names its files, which publish would remove too.
func giveUp(scratch string, err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, os.RemoveAll(scratch))
}

// written is a file in an attempt's scratch folder, and the folder below the root that it goes to.
type written struct{ path, dir string }

// write makes the files of an input of so many chunks in the scratch folder and counts the rows by chunk.
func (s *sink) write(ctx context.Context, in connector.Input, chunks int, scratch string) ([]int64, []written, error) {
	if o, expressions, ok := s.vectors(in.Output); ok {
		return s.writeVectors(ctx, in, chunks, scratch, o, expressions)
	}
	return s.writeCopy(ctx, in, chunks, scratch)
}

// writeCopy writes the input by DuckDB's COPY and counts its rows by chunk.
func (s *sink) writeCopy(ctx context.Context, in connector.Input, chunks int, scratch string) ([]int64, []written, error) {
	query, counts, remove := in.Session.AddTally(in.Query(chunks), step.Tag, chunks)
	defer remove()
	err := whileReporting(reporter(in, counts), func() error { return s.copy(ctx, in.Session, in.Output, query, scratch) })
	if err != nil || sum(counts()) == 0 {
		// DuckDB writes a file without rows where there are no partitions; the dataset gets at most one such, at publish.
		return counts(), nil, err
	}
	var files []written
	err = filepath.WalkDir(scratch, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(scratch, path)
		if err != nil {
			return err
		}
		dir, err := s.target(filepath.ToSlash(rel), in.Output)
		files = append(files, written{path, dir})
		return err
	})
	if err != nil {
		return nil, nil, s.collectError(err)
	}
	return counts(), files, nil
}

// reporter tells the input's progress with the rows written so far.
func reporter(in connector.Input, counts func() []int64) func() {
	return func() {
		var rowsIn, bytesIn, rowsOut int64
		for i, n := range counts() {
			c := in.Relation.Count(i)
			rowsIn, bytesIn, rowsOut = rowsIn+c.Rows, bytesIn+c.Bytes, rowsOut+n
		}
		in.Progress(rowsIn, rowsOut, bytesIn, 0)
	}
}

// whileReporting runs work and calls report now and then meanwhile, and at its end.
func whileReporting(report func(), work func() error) error {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				report()
			}
		}
	})
	err := work()
	close(done)
	wg.Wait()
	report()
	return err
}

// copyError names the target where the file system failed, which a retry may mend. DuckDB says the same of a source's file.
func (s *sink) copyError(err error, scratch string) error {
	var e *drover.Error
	if errors.As(err, &e) && e.Code == "IO Error" {
		if _, gone := os.Stat(scratch); errors.Is(gone, fs.ErrNotExist) {
			return drover.Errorf(drover.Fenced, "the run is closed: its staging folder in %s is gone", s.root)
		}
		if e.Kind == drover.Disk {
			return err // the session's own disk, which the error names
		}
		if strings.Contains(e.Message, scratch) {
			return (&drover.Error{Kind: drover.Disk, Code: e.Code, Message: fmt.Sprintf("the disk of %s is full or fails: %s", s.root, e.Message), Cause: err}).
				WithHint("check the free space and permissions of %s", s.root)
		}
		return (&drover.Error{Kind: drover.Unreachable, Code: e.Code, Message: e.Message, Cause: err}).
			WithHint("check that the source can be read, and the free space and permissions of %s", s.root)
	}
	return err
}

// collect stages what an attempt wrote: durable, and named for where it will go.
func (s *sink) collect(ctx context.Context, run connector.Run, scratch, name string, done []written) ([]staged, error) {
	if len(done) == 0 {
		return nil, os.RemoveAll(scratch)
	}
	paths := make([]string, len(done))
	for i, w := range done {
		paths[i] = w.path
	}
	tokens, err := s.store.Stage(ctx, s.area(run), paths)
	if err != nil {
		return nil, s.collectError(err)
	}
	var files []staged
	numbers := map[string]int{}
	for i, w := range done {
		info, err := os.Stat(w.path)
		if err != nil {
			return nil, s.collectError(err)
		}
		files = append(files, staged{
			Token: tokens[i],
			Path:  fmt.Sprintf("%s%s%s-%d%s", w.dir, ownPrefix(run), name, numbers[w.dir], s.suffix()),
			Size:  info.Size(),
		})
		numbers[w.dir]++
	}
	return files, nil
}

func (s *sink) collectError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return drover.Errorf(drover.Fenced, "the run is closed: its staging folder in %s is gone", s.root)
	}
	return s.storeError("stage files in", err)
}

func sum(ns []int64) (total int64) {
	for _, n := range ns {
		total += n
	}
	return total
}

// receipts are those of an attempt that left so many bytes; note is what to publish.
func receipts(a connector.Attempt, in connector.Input, rowsOut []int64, bytes int64, note any) ([]connector.Receipt, error) {
	rows := sum(rowsOut)
	lowest := 0
	out := make([]connector.Receipt, len(a.Chunks))
	var passed, given int64
	for i, c := range a.Chunks {
		n := in.Relation.Count(i)
		passed += rowsOut[i]
		share := int64(0)
		if rows > 0 {
			// In floating point: the product can pass 2^63. The last share takes what rounding left.
			share = int64(float64(bytes)*(float64(passed)/float64(rows))) - given
		}
		given += share
		out[i] = connector.Receipt{
			ChunkID: c.ID, Token: a.Token,
			RowsIn: n.Rows, RowsOut: rowsOut[i], RowsScanned: n.Scanned, BytesIn: n.Bytes, BytesOut: share,
			PeakMemory: in.PeakMemory(),
		}
		in.Mark(&out[i], i)
		if c.ID < a.Chunks[lowest].ID {
			lowest = i
		}
	}
	text, err := gojson.Marshal(note)
	if err != nil {
		return nil, err
	}
	out[lowest].Publish = text
	return out, nil
}
