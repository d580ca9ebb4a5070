package files

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
)

// StagedState implements connector.Stager: the files that the receipts name.
func (*sink) StagedState(_ connector.Run, all iter.Seq2[connector.Receipt, error]) (gojson.RawMessage, error) {
	files := []staged{}
	err := eachStaged(all, func(_ connector.Receipt, f staged) error {
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gojson.Marshal(files)
}

// Staged implements connector.Stager: the files are read as a source reads them, partition columns from where they will lie.
func (s *sink) Staged(ctx context.Context, session *duck.Session, run connector.Run, output drover.Schema, state gojson.RawMessage) (connector.Relation, error) {
	var files []staged
	if err := gojson.Unmarshal(state, &files); err != nil {
		return nil, fmt.Errorf("decode the list of staged files: %w", err)
	}
	pieces := make([]piece, len(files))
	paths := make([]string, len(files))
	for i, f := range files {
		path, err := s.stagedPath(ctx, run, f)
		if err != nil {
			return nil, err
		}
		// Without a size it is no file of which a survey saw a sample only.
		pieces[i], paths[i] = piece{file: file{Rel: f.Path, at: path}}, path
	}
	data := shape(s.inFiles(output))
	sv := &survey{
		Format: s.format(), Roots: []root{{Base: s.root}}, Dialect: &dialect{Delimiter: ",", Header: true}, Keys: drover.Schema(data), staged: s.compression(),
	}
	r := &relation{
		source: &source{store: s.store, env: s.env}, ctx: ctx, session: session, schema: output, sv: sv,
		chunks: []bounds{{Pieces: pieces}}, kind: map[string]int{},
	}
	if sv.Format == formatCSV {
		for i := range data {
			data[i].Type = "VARCHAR"
		}
		r.shapes = []shape{data}
		return r, nil
	}
	if err := r.source.shape(ctx, r, paths); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// stagedPath is where a file of a receipt lies: staged, or visible where a publish began.
func (s *sink) stagedPath(ctx context.Context, run connector.Run, f staged) (string, error) {
	o, err := s.store.Staged(ctx, s.area(run), f.Token)
	if errors.Is(err, fs.ErrNotExist) {
		o, err = s.store.Stat(ctx, filepath.Join(s.root, filepath.FromSlash(f.Path)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", drover.Errorf(drover.Refused, "a staged file of the run is gone: %s", f.Path).
			WithHint("run the same command again: the chunks that it held are read again")
	}
	if err != nil {
		return "", s.storeError("read", err)
	}
	return o.Path, nil
}

// compression is how the sink's text files are compressed, in DuckDB's words.
func (s *sink) compression() string {
	if c := s.spec.Compression; (s.format() == formatCSV || s.format() == formatJSON) && c != "" && c != "uncompressed" {
		return c
	}
	return "uncompressed"
}
